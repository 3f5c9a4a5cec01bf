/**
 * The binary file of `Socket.makefile` with a buffer for each direction.
 */
import { type BytesLike, bytes, bytesOf, writable, wrongValue } from "./args.ts";
import { BlockingIOError } from "./errors.ts";
import { list } from "./message.ts";
import {
  afterWriting,
  amount,
  LARGE,
  LARGEST,
  LayeredFile,
  NEWLINE,
  noBytes,
  type RawSocketFile,
  takenBefore,
  wouldBlock,
} from "./rawfile.ts";

/**
 * A binary file with a buffer, of `makefile` with a `b` in the mode.
 *
 * Reads wait until there is what they were asked for; writes are sent when the buffer is full, at {@link flush} and at
 * {@link close}. The buffers for both directions are independent: what asks a peer something has to flush before it reads
 * the answer.
 *
 * What an error interrupts is never lost: what was received before it is read next, what was not sent is sent by the next
 * flush. Close the file: of one that is forgotten, the unsent data is.
 *
 * @example
 * ```ts
 * import { socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * using file = b.makefile("rwb");
 * a.send("one\ntwo\n");
 * console.log(file.readline().length, file.read(2).toString()); // 4 tw
 * file.write("answer");
 * file.flush();
 * console.log(a.recv(100).toString()); // answer
 * a.close();
 * b.close();
 * ```
 */
export class BufferedSocketFile extends LayeredFile<RawSocketFile, Buffer> {
  /** `"rb"`, `"wb"` or `"rwb"`. */
  readonly mode: string;
  readonly #size: number;
  /** Received and not read yet: what lies from `#inStart` to `#inEnd`. It grows beyond `#size` where a read asks for more. */
  #in: Buffer = noBytes;
  #inStart = 0;
  #inEnd = 0;
  /** Written and not sent yet: what lies from `#outStart` to `#outEnd`. Never more than `#size`. */
  #out: Buffer = noBytes;
  #outStart = 0;
  #outEnd = 0;

  /** @internal Made by `Socket.makefile`. */
  constructor(raw: RawSocketFile, size: number) {
    super(raw);
    this.mode = raw.mode;
    this.#size = size;
  }

  /**
   * Reads exactly `size` bytes; fewer only where the stream ends, or a non-blocking socket has no more.
   *
   * @param size - Bytes; -1 and `null`: all of them until the end of the stream.
   * @returns The data; empty at the end of the stream.
   * @throws RangeError where the file is closed or not readable, or `size` is below -1.
   * @throws OSError of recv(2); TimeoutError, and EINVAL at every read after that which would have to receive;
   *   BlockingIOError where a non-blocking socket has nothing.
   */
  read(size: number | null = -1): Buffer {
    const n = amount(size, "size");
    if (size !== null && size < -1) throw wrongValue("size", "-1 or more", size);
    this.reading();
    return this.#read(n < 0 ? Infinity : n);
  }

  #read(wanted: number): Buffer {
    for (let have = this.#buffered(); have < wanted; have = this.#buffered()) {
      const n = this.#receive(wanted - have);
      if (n === 0) break;
      if (n === null) {
        if (have === 0) throw wouldBlock("recv");
        break;
      }
    }
    return this.#take(wanted);
  }

  /**
   * Reads what is there, and receives at most once.
   *
   * @param size - The most bytes to return; `null` and whatever is below 0: the size of the buffer.
   * @returns The data; empty at the end of the stream.
   * @throws As {@link read}.
   */
  read1(size: number | null = -1): Buffer {
    const n = amount(size, "size");
    this.reading();
    const wanted = n < 0 ? this.#size : n;
    if (wanted > 0 && this.#buffered() === 0) this.#receiveSome(wanted);
    return this.#take(wanted);
  }

  /**
   * Shows what is buffered, without reading it; where nothing is, it receives once.
   *
   * @param size - Ignored: what is returned may be less and may be more.
   * @returns A copy of the data; empty at the end of the stream.
   * @throws As {@link read}.
   */
  peek(size: number | null = 0): Buffer {
    amount(size, "size");
    this.reading();
    if (this.#buffered() === 0) this.#receiveSome(1);
    return Buffer.from(this.#in.subarray(this.#inStart, this.#inEnd));
  }

  /**
   * Fills a view; leaves some of it only where the stream ends, or a non-blocking socket has no more.
   *
   * @param buffer - Where the data goes.
   * @returns How many bytes; 0 at the end of the stream.
   * @throws As {@link read}.
   */
  readinto(buffer: NodeJS.ArrayBufferView): number {
    const view = bytesOf(writable(buffer, "buffer"));
    this.reading();
    return this.#read(view.length).copy(view);
  }

  /**
   * Reads what is there into a view, and receives at most once.
   *
   * @param buffer - Where the data goes.
   * @returns How many bytes; 0 at the end of the stream.
   * @throws As {@link read}.
   */
  readinto1(buffer: NodeJS.ArrayBufferView): number {
    const view = bytesOf(writable(buffer, "buffer"));
    return this.read1(view.length).copy(view);
  }

  /**
   * Reads a line.
   *
   * @param limit - The most bytes to return; `null` and whatever is below 0: as many as the line has.
   * @returns The line with its `\n`; without it where the stream ends; empty at the end of the stream.
   * @throws As {@link read}; BlockingIOError where a non-blocking socket does not have all of the line.
   */
  readline(limit: number | null = -1): Buffer {
    const n = amount(limit, "limit");
    this.reading();
    const most = n < 0 ? Infinity : n;
    for (let searched = 0; ;) {
      const have = this.#buffered();
      const newline = this.#in.subarray(this.#inStart + searched, this.#inEnd).indexOf(NEWLINE);
      if (newline >= 0) return this.#take(Math.min(searched + newline + 1, most));
      if (have >= most) return this.#take(most);
      searched = have;
      const received = this.#receive(1);
      if (received === null) throw wouldBlock("recv");
      if (received === 0) return this.#take(have);
    }
  }

  #buffered(): number {
    return this.#inEnd - this.#inStart;
  }

  /** Takes at most `wanted` bytes out of the buffer. */
  #take(wanted: number): Buffer {
    const end = Math.min(this.#inEnd, this.#inStart + wanted);
    const data = Buffer.from(this.#in.subarray(this.#inStart, end));
    this.#inStart = end;
    if (end === this.#inEnd) {
      this.#inStart = this.#inEnd = 0;
      // What a large read needed is not kept for the small ones.
      if (this.#in.length > this.#size) this.#in = noBytes;
    }
    return data;
  }

  /**
   * Receives into the buffer, once, what there is room for: at least what is missing, within reason.
   *
   * @param missing - How many bytes are still asked for; Infinity for all.
   * @returns How many bytes; 0 is the end of the stream; null where a non-blocking socket has nothing.
   */
  #receive(missing: number): number | null {
    const have = this.#buffered();
    const large = Math.max(this.#size, Math.min(missing === Infinity ? LARGE : missing, LARGEST));
    const room = have + missing <= this.#size ? this.#size - have : large;
    if (this.#in.length - this.#inEnd < room) {
      const fits = have + room <= this.#in.length;
      // Twice as large each time, so that all the copying together is no more than the data.
      const into = fits ? this.#in : Buffer.allocUnsafeSlow(Math.max(have + room, 2 * have));
      into.set(this.#in.subarray(this.#inStart, this.#inEnd));
      this.#in = into;
      this.#inStart = 0;
      this.#inEnd = have;
    }
    const n = this.open().readinto(this.#in.subarray(this.#inEnd, this.#inEnd + room));
    if (n !== null) this.#inEnd += n;
    return n;
  }

  /** {@link #receive} for what cannot go on with nothing. */
  #receiveSome(missing: number): void {
    if (this.#receive(missing) === null) throw wouldBlock("recv");
  }

  /** @internal */
  protected unread(lines: Buffer[]): void {
    this.#in = Buffer.concat([...lines, this.#in.subarray(this.#inStart, this.#inEnd)]);
    this.#inStart = 0;
    this.#inEnd = this.#in.length;
  }

  /**
   * Writes data into the buffer, and sends where it is full. Nothing is written where an argument is wrong.
   *
   * @param data - Bytes, or a string as UTF-8.
   * @returns How many bytes were written: all.
   * @throws RangeError where the file is closed or not writable.
   * @throws OSError of send(2), TimeoutError, BlockingIOError; `charactersWritten` tells how many bytes of the data were
   *   written all the same, sent or buffered.
   */
  write(data: BytesLike): number {
    const given = bytesOf(bytes(data, "data"));
    const raw = this.writing();
    let taken = 0;
    try {
      if (given.length > this.#size - (this.#outEnd - this.#outStart)) this.#send(raw);
      while (given.length - taken > this.#size) {
        const n = raw.write(given.subarray(taken));
        if (n === null) throw wouldBlock("send");
        taken += n;
      }
    } catch (error) {
      if (error instanceof BlockingIOError) taken += this.#keep(given.subarray(taken));
      if (taken === given.length) return taken;
      throw afterWriting(error, taken);
    }
    return taken + this.#keep(given.subarray(taken));
  }

  /** Keeps as much of the data as there is room for. */
  #keep(data: Uint8Array): number {
    if (data.length === 0) return 0;
    if (this.#out.length === 0) this.#out = Buffer.allocUnsafeSlow(this.#size);
    if (data.length > this.#size - this.#outEnd && this.#outStart > 0) {
      this.#out.copyWithin(0, this.#outStart, this.#outEnd);
      this.#outEnd -= this.#outStart;
      this.#outStart = 0;
    }
    const n = Math.min(data.length, this.#size - this.#outEnd);
    this.#out.set(n === data.length ? data : data.subarray(0, n), this.#outEnd);
    this.#outEnd += n;
    return n;
  }

  /** Sends what is kept. What the system did not take stays. */
  #send(raw: RawSocketFile): void {
    while (this.#outStart < this.#outEnd) {
      const n = raw.write(this.#out.subarray(this.#outStart, this.#outEnd));
      if (n === null) throw wouldBlock("send");
      this.#outStart += n;
    }
    this.#outStart = this.#outEnd = 0;
  }

  /**
   * Writes several pieces of data. Nothing is put between them.
   *
   * @param lines - Bytes, or strings as UTF-8.
   * @throws As {@link write}; `charactersWritten` counts the bytes of all pieces.
   */
  writelines(lines: Iterable<BytesLike>): void {
    const pieces = list(lines, "lines", "bytes").map((line, i) => bytes(line, `lines[${i}]`));
    this.writing();
    let taken = 0;
    for (const piece of pieces) {
      try {
        taken += this.write(piece);
      } catch (error) {
        throw afterWriting(error, taken + takenBefore(error));
      }
    }
  }

  /**
   * Sends what is buffered.
   *
   * @throws OSError of send(2), TimeoutError, BlockingIOError: what was not sent stays in the buffer.
   * @throws RangeError where the file is closed.
   */
  flush(): void {
    this.#send(this.open());
  }
}
