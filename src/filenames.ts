/**
 * Names of the file system: bytes that are UTF-8 as a rule, and strings for them that lose nothing (PEP 383).
 */
import { wrongValue } from "./args.ts";
import { decoderFor, encoderFor } from "./codecs.ts";

const encode = encoderFor("utf-8", "surrogateescape");

/** Bytes to a string; each byte that is not UTF-8 becomes one of U+DC80 to U+DCFF. */
export function decodeFileName(name: Uint8Array): string {
  const data = Buffer.from(name.buffer, name.byteOffset, name.byteLength);
  return decoderFor("utf-8", "surrogateescape").decode(data, true);
}

/**
 * A string to bytes; U+DC80 to U+DCFF become the bytes that they stand for.
 *
 * @throws RangeError for any other half of a surrogate pair, which is no character.
 */
export function encodeFileName(text: string, argument: string): Buffer {
  try {
    return encode(text);
  } catch {
    throw wrongValue(argument, "text without halves of surrogates", text);
  }
}
