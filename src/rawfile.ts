/**
 * What the files of `Socket.makefile` share, and the one that lies below the others: a file without a buffer.
 */
import { type BytesLike, bytes, bytesOf, integer, writable } from "./args.ts";
import { EAGAIN } from "./constants.ts";
import { BlockingIOError, invalid, OSError, systemError, TimeoutError } from "./errors.ts";
import { list } from "./message.ts";
import type { Socket } from "./socket.ts";

/** What ends a line of bytes. */
export const NEWLINE = 0x0a;

/** An empty buffer. */
export const noBytes = Buffer.alloc(0);

/** Bytes that a read of everything receives at once, at least. */
export const LARGE = 65536;

/** Bytes that any read receives at once, at most. */
export const LARGEST = 1 << 20;

/** How much to read: -1 for `null` and for whatever is below 0. */
export function amount(value: unknown, name: string): number {
  if (value === null) return -1;
  return Math.max(-1, integer(value, name, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
}

/** What a closed file says to every call. */
const CLOSED = "I/O operation on closed file";

/** A non-blocking socket had nothing, or took nothing. */
export function wouldBlock(syscall: string): OSError {
  return systemError(syscall, -EAGAIN);
}

/** Says in a system's error how much a `write` took before it. */
export function afterWriting(error: unknown, taken: number): unknown {
  if (error instanceof OSError) error.charactersWritten = taken;
  return error;
}

/** How much a `write` took before this error. */
export function takenBefore(error: unknown): number {
  return error instanceof OSError ? (error.charactersWritten ?? 0) : 0;
}

/** What every file has: something below it that has the descriptor, lines, and an end. */
export abstract class LineFile<Lower extends { fileno(): number }, Line extends Buffer | string> {
  /** Letters: a `w` writes, an `r` reads, and so does what has neither. */
  abstract readonly mode: string;
  /** Whether the file is closed or detached. */
  abstract readonly closed: boolean;
  /** A line with its newline; shorter than `limit` only where it ends, or where the stream does. */
  abstract readline(limit?: number | null): Line;
  /** Closes the file. */
  abstract close(): void;
  /** @internal What lies below. @throws RangeError once the file is closed. */
  protected abstract open(): Lower;
  /** @internal Undoes the reading of these lines. */
  protected abstract unread(lines: Line[]): void;

  /** @internal The length of a line, in what `read` counts. */
  protected measure(line: Line): number {
    return line.length;
  }

  /** @internal What lies below, to read from. */
  protected reading(): Lower {
    if (!this.readable()) throw new RangeError("the file is not readable: its mode has no r");
    return this.open();
  }

  /** @internal What lies below, to write to. */
  protected writing(): Lower {
    if (!this.writable()) throw new RangeError("the file is not writable: its mode has no w");
    return this.open();
  }

  /** The descriptor; -1 once the file is closed. */
  get name(): number {
    return this.closed ? -1 : this.fileno();
  }

  /** Whether the mode reads. @throws RangeError once the file is closed. */
  readable(): boolean {
    this.open();
    return this.mode.includes("r") || !this.mode.includes("w");
  }

  /** Whether the mode writes. @throws RangeError once the file is closed. */
  writable(): boolean {
    this.open();
    return this.mode.includes("w");
  }

  /** false: a socket has no position. @throws RangeError once the file is closed. */
  seekable(): false {
    this.open();
    return false;
  }

  /** false: a socket is no terminal. @throws RangeError once the file is closed. */
  isatty(): false {
    this.open();
    return false;
  }

  /** The socket's descriptor; -1 where it was detached. @throws RangeError once the file is closed. */
  fileno(): number {
    return this.open().fileno();
  }

  /**
   * Lines, until the end of the stream.
   *
   * @param hint - No more lines are read once they have more bytes (of text: characters) than this. `null`, 0 and less:
   *   all lines.
   * @returns The lines with their newlines; none at the end of the stream.
   * @throws What `readline` throws. The lines before that can be read again.
   */
  readlines(hint: number | null = -1): Line[] {
    const most = amount(hint, "hint");
    const lines: Line[] = [];
    let total = 0;
    try {
      while (most <= 0 || total <= most) {
        const line = this.readline();
        if (line.length === 0) break;
        lines.push(line);
        total += this.measure(line);
      }
    } catch (error) {
      this.unread(lines);
      throw error;
    }
    return lines;
  }

  /** Line by line, until the end of the stream. Leaving the loop does not close the file. */
  *[Symbol.iterator](): Generator<Line, void, undefined> {
    for (let line = this.readline(); line.length > 0; line = this.readline()) yield line;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A file over another one, which it closes with itself. */
export abstract class LayeredFile<
  Lower extends LineFile<{ fileno(): number }, Buffer>,
  Line extends Buffer | string,
> extends LineFile<Lower, Line> {
  /** null once the file is detached. */
  #lower: Lower | null;

  /** @internal */
  constructor(lower: Lower) {
    super();
    this.#lower = lower;
  }

  /** Whether the file is closed or detached. */
  get closed(): boolean {
    return this.#lower?.closed ?? true;
  }

  /** @internal */
  protected open(): Lower {
    if (this.#lower === null) throw new RangeError("the file has been detached");
    if (this.#lower.closed) throw new RangeError(CLOSED);
    return this.#lower;
  }

  /** Sends what was written. */
  abstract flush(): void;

  /**
   * Gives up this layer: flushes, and leaves the file that lies below. What this one holds and nobody has read is lost.
   * This file counts as closed, and its methods throw a RangeError.
   */
  detach(): Lower {
    this.flush();
    const lower = this.open();
    this.#lower = null;
    return lower;
  }

  /**
   * Flushes and closes the file. The descriptor is closed once the socket and all of its files are. Closing twice is
   * nothing.
   *
   * @throws What {@link flush} throws; the file is closed all the same, and what was not sent is lost.
   */
  close(): void {
    const lower = this.#lower;
    if (lower === null || lower.closed) return;
    try {
      this.flush();
    } finally {
      lower.close();
    }
  }
}

/**
 * A file without a buffer, of `makefile` with `buffering` 0: each read is one recv(2), each write one send(2), and may be
 * short.
 *
 * @example
 * ```ts
 * import { socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * using file = b.makefile("rb", 0);
 * a.send("hello");
 * console.log(file.read(100)?.toString()); // hello
 * a.close();
 * b.close();
 * ```
 */
export class RawSocketFile extends LineFile<Socket, Buffer> {
  /** `"rb"`, `"wb"` or `"rwb"`. */
  readonly mode: string;
  /** null once the file is closed. Until then it keeps the socket from being collected, and so from being closed. */
  #sock: Socket | null;
  readonly #released: () => void;
  #timedOut = false;
  /** What a `readline` or `readall` had received when it failed. */
  #unread: Buffer = noBytes;

  /** @internal Made by `Socket.makefile`. */
  constructor(sock: Socket, mode: "rb" | "wb" | "rwb", released: () => void) {
    super();
    this.#sock = sock;
    this.mode = mode;
    this.#released = released;
  }

  /** Whether the file is closed. */
  get closed(): boolean {
    return this.#sock === null;
  }

  /** @internal */
  protected open(): Socket {
    if (this.#sock === null) throw new RangeError(CLOSED);
    return this.#sock;
  }

  /**
   * Receives into a view, once.
   *
   * @param buffer - Where the data goes.
   * @returns How many bytes; 0 is the end of the stream; `null` where a non-blocking socket has nothing.
   * @throws RangeError where the file is closed or not readable.
   * @throws OSError of recv(2); TimeoutError, and EINVAL at every read after that: nobody knows where the stream stands.
   */
  readinto(buffer: NodeJS.ArrayBufferView): number | null {
    const view = bytesOf(writable(buffer, "buffer"));
    const sock = this.reading();
    if (this.#timedOut) throw invalid("recv", "cannot read from timed out object");
    if (this.#unread.length > 0) {
      const n = this.#unread.copy(view);
      this.#unread = this.#unread.subarray(n);
      return n;
    }
    try {
      return sock.recvInto(view);
    } catch (error) {
      if (error instanceof BlockingIOError) return null;
      if (error instanceof TimeoutError) this.#timedOut = true;
      throw error;
    }
  }

  /**
   * Receives data, once.
   *
   * @param size - The most bytes to return. `null` and whatever is below 0: all of them, as {@link readall}.
   * @returns The data; empty at the end of the stream; `null` where a non-blocking socket has nothing.
   * @throws As {@link readinto}.
   */
  read(size: number | null = -1): Buffer | null {
    const n = amount(size, "size");
    if (n < 0) return this.readall();
    const room = Buffer.allocUnsafeSlow(Math.min(n, LARGEST));
    const length = this.readinto(room);
    if (length === null) return null;
    return length === room.length ? room : Buffer.from(room.subarray(0, length));
  }

  /**
   * Receives until the end of the stream, or until a non-blocking socket has no more.
   *
   * @returns The data; `null` where a non-blocking socket has nothing.
   * @throws As {@link readinto}.
   */
  readall(): Buffer | null {
    const chunks: Buffer[] = [];
    const room = Buffer.allocUnsafeSlow(LARGE);
    try {
      for (let n = this.readinto(room); n !== 0; n = this.readinto(room)) {
        if (n === null) return chunks.length === 0 ? null : Buffer.concat(chunks);
        chunks.push(Buffer.from(room.subarray(0, n)));
      }
    } catch (error) {
      this.unread(chunks);
      throw error;
    }
    return Buffer.concat(chunks);
  }

  /**
   * Receives a line, byte by byte: what lies behind it stays in the socket. A buffered file is much faster.
   *
   * @param limit - The most bytes to return; `null` and whatever is below 0: as many as the line has.
   * @returns The line with its `\n`; without it where the stream ends; empty at the end of the stream.
   * @throws As {@link readinto}; BlockingIOError where a non-blocking socket does not have all of it: the next call
   *   begins with what it had.
   */
  readline(limit: number | null = -1): Buffer {
    const most = amount(limit, "limit");
    const line: number[] = [];
    const byte = new Uint8Array(1);
    try {
      while (line.length !== most && line.at(-1) !== NEWLINE) {
        const n = this.readinto(byte);
        if (n === null) throw wouldBlock("recv");
        if (n === 0) break;
        line.push(byte[0]!);
      }
    } catch (error) {
      this.unread([Buffer.from(line)]);
      throw error;
    }
    return Buffer.from(line);
  }

  /** @internal */
  protected unread(lines: Buffer[]): void {
    this.#unread = Buffer.concat([...lines, this.#unread]);
  }

  /**
   * Sends data, once.
   *
   * @param data - Bytes, or a string as UTF-8.
   * @returns How many bytes the system took, which may be less than all; `null` where a non-blocking socket took none.
   * @throws RangeError where the file is closed or not writable.
   * @throws OSError of send(2); TimeoutError.
   */
  write(data: BytesLike): number | null {
    const view = bytes(data, "data");
    const sock = this.writing();
    try {
      return sock.send(view);
    } catch (error) {
      if (error instanceof BlockingIOError) return null;
      throw error;
    }
  }

  /**
   * Sends all of several pieces of data. Nothing is put between them.
   *
   * @param lines - Bytes, or strings as UTF-8.
   * @throws As {@link write}, and BlockingIOError where a non-blocking socket does not take all; `charactersWritten` of
   *   an OSError tells how many bytes were sent.
   */
  writelines(lines: Iterable<BytesLike>): void {
    const pieces = list(lines, "lines", "bytes").map((line, i) => bytes(line, `lines[${i}]`));
    this.writing();
    let sent = 0;
    try {
      for (const piece of pieces) {
        let rest = bytesOf(piece);
        while (rest.length > 0) {
          const n = this.write(rest);
          if (n === null) throw wouldBlock("send");
          rest = rest.subarray(n);
          sent += n;
        }
      }
    } catch (error) {
      throw afterWriting(error, sent);
    }
  }

  /** Nothing: there is no buffer. @throws RangeError once the file is closed. */
  flush(): void {
    this.open();
  }

  /**
   * Closes the file. The descriptor is closed once the socket and all of its files are. Closing twice is nothing.
   *
   * @throws OSError where close(2) reports an error.
   */
  close(): void {
    if (this.#sock === null) return;
    this.#sock = null;
    this.#released();
  }
}
