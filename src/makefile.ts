/**
 * `Socket.makefile`: files over a socket, as the layers that Python's `io` module has for them.
 */
import { integer, options, wrongType, wrongValue } from "./args.ts";
import { BufferedSocketFile } from "./bufferedfile.ts";
import { TEXT_ERRORS, type TextErrors } from "./codecs.ts";
import { RawSocketFile } from "./rawfile.ts";
import type { Socket } from "./socket.ts";
import { type Newline, TextSocketFile } from "./textfile.ts";

/** What `makefile` takes by name, for text. A binary mode ignores it. */
export interface FileOptions {
  /**
   * `"utf-8"` (the default, also `null`), `"utf-16le"`, `"latin1"`, `"ascii"`; to read also `"utf-16be"` and whatever
   * TextDecoder knows. `"utf-16"` is read in the order that its mark says, and written little-endian without a mark.
   */
  encoding?: string | null;
  /**
   * What is done with what cannot be decoded or encoded. `"strict"` (the default, also `null`) throws a RangeError;
   * `"ignore"` drops it; `"replace"` puts U+FFFD, written `?`; `"backslashreplace"` puts `\xff` or `\u20ac`;
   * `"surrogateescape"` reads a byte as one of U+DC80..U+DCFF, and writes these as the byte; `"xmlcharrefreplace"` writes
   * `&#8364;`, and is strict when it reads. The encodings that only TextDecoder knows have `"strict"` and `"replace"`;
   * gb18030 and gbk can spell U+FFFD itself, which `"strict"` refuses like what cannot be decoded.
   */
  errors?: TextErrors | null;
  /**
   * How lines end. `null` (the default): `\n`, `\r` and `\r\n` are all read as `\n`, and `\n` is written as the system's
   * own newline. `""`: the same are newlines, and nothing is translated. Otherwise lines that are read end with this alone
   * and keep it, and `\n` is written as this.
   */
  newline?: Newline;
}

/**
 * The file that `makefile` returns.
 *
 * @typeParam Mode - The mode: with a `b` the file is binary, otherwise text.
 * @typeParam Buffering - The buffering: 0 makes a binary file one without a buffer.
 *
 * @example
 * ```ts
 * import { socketpair, type SocketFile } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * const file: SocketFile<"rb"> = a.makefile("rb");
 * file.close();
 * a.close();
 * b.close();
 * ```
 */
export type SocketFile<Mode extends string = string, Buffering extends number | null = null> = string extends Mode
  ? TextSocketFile | BinaryFile<Buffering>
  : Mode extends `${string}b${string}`
    ? BinaryFile<Buffering>
    : TextSocketFile;

type BinaryFile<Buffering extends number | null> = number extends Buffering
  ? BufferedSocketFile | RawSocketFile
  : Buffering extends 0
    ? RawSocketFile
    : BufferedSocketFile;

/** Bytes to buffer where nothing else is asked for: Python's `io.DEFAULT_BUFFER_SIZE`. */
const DEFAULT_BUFFER_SIZE = 8192;

const TEXT_OPTIONS = ["encoding", "errors", "newline"] as const;

/**
 * Opens a file over a socket.
 *
 * @param sock - The socket. The file keeps it from being collected.
 * @param released - Called once, when the file is closed.
 * @param args - The arguments of `makefile`.
 */
export function openSocketFile(
  sock: Socket,
  released: () => void,
  args: unknown[],
): RawSocketFile | BufferedSocketFile | TextSocketFile {
  const [mode = "r", second, third] = args;
  if (typeof mode !== "string") throw wrongType("mode", "a string", mode);
  // Any order, any number, and none at all is "r": as CPython has it.
  if (!/^[rwb]*$/.test(mode)) throw wrongValue("mode", "only the letters r, w and b", mode);
  const binary = mode.includes("b");
  const writing = mode.includes("w");
  const reading = mode.includes("r") || !writing;

  const byName = typeof second === "object" && second !== null;
  if (byName && third !== undefined) throw wrongType("buffering", "an integer or null", second);
  const named: Record<string, unknown> = byName
    ? options(second, "options", [...TEXT_OPTIONS, "buffering"])
    : options(third, "options", TEXT_OPTIONS);
  const given = (byName ? named["buffering"] : second) ?? -1;
  const buffering = integer(given, byName ? "options.buffering" : "buffering");
  const encoding = named["encoding"] ?? "utf-8";
  if (typeof encoding !== "string") throw wrongType("options.encoding", "a string or null", encoding);
  const errors = named["errors"] ?? "strict";
  if (typeof errors !== "string") throw wrongType("options.errors", "a string or null", errors);
  const newline = named["newline"] ?? null;
  if (newline !== null && typeof newline !== "string") throw wrongType("options.newline", "a string or null", newline);

  const raw = new RawSocketFile(sock, reading ? (writing ? "rwb" : "rb") : "wb", released);
  if (binary) {
    if (buffering === 0) return raw;
    return new BufferedSocketFile(raw, buffering < 0 ? DEFAULT_BUFFER_SIZE : buffering);
  }
  if (buffering === 0) throw wrongValue(byName ? "options.buffering" : "buffering", "0 only with a b in the mode", 0);
  if (!isTextErrors(errors)) throw wrongValue("options.errors", `one of ${TEXT_ERRORS.join(", ")}`, errors);
  if (!isNewline(newline)) throw wrongValue("options.newline", 'null, "", "\\n", "\\r" or "\\r\\n"', newline);
  const lineBuffering = buffering === 1;
  const buffer = new BufferedSocketFile(raw, buffering < 0 || lineBuffering ? DEFAULT_BUFFER_SIZE : buffering);
  return new TextSocketFile(buffer, { mode, encoding, errors, newline, lineBuffering });
}

function isTextErrors(errors: string): errors is TextErrors {
  return (TEXT_ERRORS as readonly string[]).includes(errors);
}

function isNewline(newline: string | null): newline is Newline {
  return newline === null || ["", "\n", "\r", "\r\n"].includes(newline);
}
