/**
 * The text file of `Socket.makefile`: characters and lines over a {@link BufferedSocketFile}.
 */
import { wrongType } from "./args.ts";
import type { BufferedSocketFile } from "./bufferedfile.ts";
import { type Decoder, decoderFor, type Encoder, encoderFor, type TextErrors } from "./codecs.ts";
import { BlockingIOError } from "./errors.ts";
import { list } from "./message.ts";
import { afterWriting, amount, LayeredFile, noBytes, takenBefore } from "./rawfile.ts";

/** How lines end; see {@link FileOptions.newline}. */
export type Newline = null | "" | "\n" | "\r" | "\r\n";

/** A text file's options, complete. */
export interface TextFormat {
  mode: string;
  encoding: string;
  errors: TextErrors;
  newline: Newline;
  lineBuffering: boolean;
}

/** Bytes that are decoded at once. */
const CHUNK = 8192;

const [LF, CR, CRLF] = [1, 2, 4];

/** What {@link TextSocketFile.newlines} is, by the bits of what has been seen. */
const seenNewlines = [
  null,
  "\n",
  "\r",
  ["\r", "\n"],
  "\r\n",
  ["\n", "\r\n"],
  ["\r", "\r\n"],
  ["\r", "\n", "\r\n"],
] as const;

/** How many characters a string has: code points, as Python counts them. */
function characters(text: string): number {
  return text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);
}

/**
 * A text file, of `makefile` without a `b` in the mode.
 *
 * Lengths are in characters, and a character is a code point: `"😀"` is one, as in Python, though its `length` is 2.
 * Writes are sent when the buffer is full, at {@link flush} and at {@link close}, and with `buffering` 1 at each line.
 * Reading and writing are independent: what asks a peer something has to flush before it reads the answer.
 *
 * What an error interrupts is never lost: the text before it is read next, what was not sent is sent by the next flush.
 *
 * @example
 * ```ts
 * import { socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * a.send("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n");
 * using file = b.makefile("rw", { newline: "\r\n" });
 * for (const line of file) {
 *   if (line === "\r\n") break;
 *   console.log(line.trimEnd()); // GET / HTTP/1.0, Host: example.org
 * }
 * file.write("HTTP/1.0 204 No Content\n\n");
 * file.flush();
 * console.log(a.recv(100).toString().endsWith("\r\n\r\n")); // true
 * a.close();
 * b.close();
 * ```
 */
export class TextSocketFile extends LayeredFile<BufferedSocketFile, string> {
  /** The mode, as it was given. */
  readonly mode: string;
  /** The encoding's name, as it was given; `"utf-8"` by default. */
  readonly encoding: string;
  /** What is done with what cannot be decoded or encoded; `"strict"` by default. */
  readonly errors: TextErrors;
  /** Whether each line that is written is sent at once. */
  readonly lineBuffering: boolean;
  readonly #newline: Newline;
  readonly #decoder: Decoder | null;
  readonly #encoder: Encoder | null;
  /** Decoded: what lies behind `#at` was not read yet. */
  #text = "";
  #at = 0;
  /** Whether a `\r` is held back, which a `\n` may follow. */
  #heldCR = false;
  #seen = 0;
  /** Encoded: what the buffer below did not take when it failed. */
  #unsent: Buffer = noBytes;

  /** @internal Made by `Socket.makefile`. @throws RangeError for an encoding that is not to be had. */
  constructor(buffer: BufferedSocketFile, format: TextFormat) {
    super(buffer);
    this.#decoder = buffer.readable() ? decoderFor(format.encoding, format.errors) : null;
    this.#encoder = buffer.writable() ? encoderFor(format.encoding, format.errors) : null;
    this.#newline = format.newline;
    this.mode = format.mode;
    this.encoding = format.encoding;
    this.errors = format.errors;
    this.lineBuffering = format.lineBuffering;
  }

  /**
   * The newlines that came so far, one or several of `"\n"`, `"\r"` and `"\r\n"`; `null` before the first, and where the
   * option `newline` names the only one.
   */
  get newlines(): string | readonly string[] | null {
    return seenNewlines[this.#seen]!;
  }

  /**
   * Reads exactly `size` characters; fewer only where the stream ends, or a non-blocking socket has no more.
   *
   * @param size - Characters; `null` and whatever is below 0: all of them until the end of the stream.
   * @returns The text; empty at the end of the stream.
   * @throws RangeError where the file is closed or not readable; where bytes cannot be decoded and `errors` is
   *   `"strict"`, once all text before them was read.
   * @throws OSError of recv(2); TimeoutError, and EINVAL at every read after that which would have to receive;
   *   BlockingIOError where a non-blocking socket has nothing.
   */
  read(size: number | null = -1): string {
    return this.#read(amount(size, "size"), false);
  }

  /**
   * Reads a line.
   *
   * @param limit - The most characters to return; `null` and whatever is below 0: as many as the line has.
   * @returns The line with its newline; without it where the stream ends; empty at the end of the stream.
   * @throws As {@link read}; BlockingIOError where a non-blocking socket does not have all of the line.
   */
  readline(limit: number | null = -1): string {
    return this.#read(amount(limit, "limit"), true);
  }

  #read(size: number, byLine: boolean): string {
    this.reading();
    const parts: string[] = [];
    let left = size < 0 ? Infinity : size;
    try {
      for (let more = true; ; more = this.#fill()) {
        const lineEnd = byLine ? this.#lineEnd(parts.at(-1)) : -1;
        const end = this.#cut(left, lineEnd < 0 ? this.#text.length : lineEnd);
        const part = this.#text.slice(this.#at, end);
        this.#at = end;
        if (part !== "") parts.push(part);
        if (left !== Infinity) left -= characters(part);
        if (end === lineEnd || left === 0 || !more) return parts.join("");
      }
    } catch (error) {
      const text = parts.join("");
      if (error instanceof BlockingIOError && text !== "" && !byLine) return text;
      this.unread([text]);
      throw error;
    }
  }

  /** Where the next line ends in the text, behind its newline; -1 where it does not. `before` is what came before it. */
  #lineEnd(before: string | undefined): number {
    const [text, at] = [this.#text, this.#at];
    if (this.#newline === "") {
      const any = /\r\n?|\n/g;
      any.lastIndex = at;
      return any.test(text) ? any.lastIndex : -1;
    }
    const newline = this.#newline ?? "\n";
    if (newline === "\r\n" && before?.endsWith("\r") && text[at] === "\n") return at + 1;
    const found = text.indexOf(newline, at);
    return found < 0 ? -1 : found + newline.length;
  }

  /** Where `left` characters of the text end, but no further than `end`. */
  #cut(left: number, end: number): number {
    if (end - this.#at <= left) return end;
    let at = this.#at;
    for (let n = 0; n < left && at < end; n++) at += this.#text.codePointAt(at)! > 0xffff ? 2 : 1;
    return at;
  }

  /** Decodes what is received next, in place of the text that was read; false at the end of the stream. */
  #fill(): boolean {
    const decoder = this.#decoder!;
    if (decoder.failure !== null) throw new RangeError(decoder.failure);
    const data = this.open().read1(CHUNK);
    const final = data.length === 0;
    const decoded = decoder.decode(data, final);
    const failed = decoder.failure !== null;
    this.#text = this.#readNewlines(decoded, final || failed);
    this.#at = 0;
    return !final || failed;
  }

  /** Translates newlines where that is wanted, and never lets a `\r\n` come in two. */
  #readNewlines(decoded: string, final: boolean): string {
    if (this.#newline !== null && this.#newline !== "") return decoded;
    let text = decoded;
    if (this.#heldCR && (text !== "" || final)) {
      text = `\r${text}`;
      this.#heldCR = false;
    }
    if (text.endsWith("\r") && !final) {
      text = text.slice(0, -1);
      this.#heldCR = true;
    }
    if (!text.includes("\r")) {
      if (text.includes("\n")) this.#seen |= LF;
      return text;
    }
    if (text.includes("\r\n")) this.#seen |= CRLF;
    if (/\r(?!\n)/.test(text)) this.#seen |= CR;
    if (/(?<!\r)\n/.test(text)) this.#seen |= LF;
    return this.#newline === null ? text.replace(/\r\n?/g, "\n") : text;
  }

  /** @internal */
  protected unread(lines: string[]): void {
    this.#text = lines.join("") + this.#text.slice(this.#at);
    this.#at = 0;
  }

  /** @internal */
  protected override measure(line: string): number {
    return characters(line);
  }

  /**
   * Writes text into the buffer, each `\n` as the option `newline` says, and sends where it is full.
   *
   * @param data - The text.
   * @returns How many characters it has.
   * @throws RangeError where the file is closed or not writable, or the text cannot be encoded and `errors` does not help:
   *   nothing is written then.
   * @throws OSError of send(2), TimeoutError, BlockingIOError. All of the text is written all the same (and
   *   `charactersWritten` says so): what was not sent is sent by the next flush.
   */
  write(data: string): number {
    if (typeof data !== "string") throw wrongType("data", "a string", data);
    const length = characters(data);
    try {
      this.#write(data);
    } catch (error) {
      throw afterWriting(error, length);
    }
    return length;
  }

  #write(data: string): void {
    this.writing();
    const newline = this.#newline ?? (process.platform === "win32" ? "\r\n" : "\n");
    const text = newline === "" || newline === "\n" ? data : data.replaceAll("\n", newline);
    const encoded = this.#encoder!(text);
    this.#unsent = this.#unsent.length === 0 ? encoded : Buffer.concat([this.#unsent, encoded]);
    this.#push();
    if (this.lineBuffering && (data.includes("\n") || data.includes("\r"))) this.open().flush();
  }

  /** Gives the buffer below what is encoded. What it does not take stays. */
  #push(): void {
    if (this.#unsent.length === 0) return;
    const data = this.#unsent;
    this.#unsent = noBytes;
    try {
      this.open().write(data);
    } catch (error) {
      this.#unsent = data.subarray(takenBefore(error));
      throw error;
    }
  }

  /**
   * Writes several pieces of text. Nothing is put between them.
   *
   * @param lines - The pieces; where one is no string, nothing is written.
   * @throws As {@link write}; `charactersWritten` counts the characters of all pieces. Those behind it are not written.
   */
  writelines(lines: Iterable<string>): void {
    const pieces = list(lines, "lines", "strings").map((line, i) => {
      if (typeof line !== "string") throw wrongType(`lines[${i}]`, "a string", line);
      return line;
    });
    this.writing();
    let taken = 0;
    for (const piece of pieces) {
      taken += characters(piece);
      try {
        this.write(piece);
      } catch (error) {
        throw afterWriting(error, taken);
      }
    }
  }

  /**
   * Sends what was written.
   *
   * @throws OSError of send(2), TimeoutError, BlockingIOError: what was not sent is sent by the next flush.
   * @throws RangeError where the file is closed.
   */
  flush(): void {
    const buffer = this.open();
    this.#push();
    buffer.flush();
  }
}
