/**
 * Names of the file system: bytes that are UTF-8 as a rule, and strings for them that lose nothing (PEP 383).
 */
import { wrongValue } from "./args.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes to a string; each byte that is not UTF-8 becomes one of U+DC80 to U+DCFF. */
export function decodeFileName(name: Uint8Array): string {
  try {
    return decoder.decode(name);
  } catch {
    return escaped(name);
  }
}

/** How many bytes the UTF-8 sequence at `at` has, 0 where there is none. */
function sequence(name: Uint8Array, at: number): number {
  for (const length of [1, 2, 3, 4]) {
    if (at + length > name.length) break;
    try {
      decoder.decode(name.subarray(at, at + length));
      return length;
    } catch {
      // Not this long, then.
    }
  }
  return 0;
}

function escaped(name: Uint8Array): string {
  let text = "";
  for (let at = 0; at < name.length;) {
    const length = sequence(name, at);
    text += length === 0 ? String.fromCharCode(0xdc00 + name[at]!) : decoder.decode(name.subarray(at, at + length));
    at += length || 1;
  }
  return text;
}

/**
 * A string to bytes; U+DC80 to U+DCFF become the bytes that they stand for.
 *
 * @throws RangeError for any other half of a surrogate pair, which is no character.
 */
export function encodeFileName(text: string, argument: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  const parts: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= 0xdc80 && code <= 0xdcff) parts.push(code - 0xdc00);
    else if (code >= 0xd800 && code <= 0xdfff) throw wrongValue(argument, "text without halves of surrogates", text);
    else parts.push(...Buffer.from(character));
  }
  return Buffer.from(parts);
}
