/**
 * What the rings of packet sockets and of XDP have in common: how they wait and end, and how a frame's bytes are read.
 */
import { type BytesLike, integer, options as optionsOf } from "../args.ts";
import { EBADF, ECANCELED, ENETDOWN, SO_ERROR, SOL_SOCKET } from "../constants.ts";
import { OSError, systemError, TimeoutError, WOULD_BLOCK } from "../errors.ts";
import { READABLE, shim, TIMED_OUT, type WRITABLE } from "../native.ts";
import type { WaitOptions } from "../promises/names.ts";
import { AGAIN, signalOf, Waits } from "../promises/waits.ts";
import type { Socket } from "../socket.ts";

/** The result of an iteration that has ended. */
export const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Ends every view of a piece of memory; whether it did: the engine does not end what an operation of its own is using (a
 * write to a file, say). One that its user has moved away is the user's.
 */
export function detach(memory: ArrayBuffer): boolean {
  if (!memory.detached) memory.transfer(0);
  return memory.detached;
}

/** What was looked at too late. */
export function released(): TypeError {
  return new TypeError("frame: its block was released, and the kernel has its memory again");
}

/** What says that a ring was closed here: while it waited, or before. */
const closedHere = new Set([ECANCELED, EBADF]);

/** Whether an error is that of a ring that was closed. */
function saysClosed(error: unknown, ring: Ring): boolean {
  return ring.fileno() < 0 && error instanceof OSError && closedHere.has(error.errno);
}

/** The `signal` of an options object with nothing else. */
export function signalIn(given: unknown): AbortSignal | undefined {
  return signalOf(optionsOf(given, "options", ["signal"]).signal, "options.signal");
}

/** Numbers in a frame, read where it lies. */
export abstract class FrameBytes {
  readonly #bytes: Uint8Array;

  /** @internal */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Where `size` bytes of the frame lie: throws where they are not in it. */
  protected abstract find(at: number, size: number): number;

  /**
   * A byte of the frame. It takes no view, and so no memory.
   *
   * @param at - Which: the first is 0.
   * @throws RangeError behind the bytes that are here.
   */
  uint8(at: number): number {
    return this.#bytes[this.find(at, 1)]!;
  }

  /**
   * A number of two bytes of the frame, in network byte order: `frame.uint16(12)` is what an Ethernet frame carries.
   *
   * @param at - Where it begins.
   * @throws RangeError behind the bytes that are here.
   */
  uint16(at: number): number {
    const i = this.find(at, 2);
    return (this.#bytes[i]! << 8) | this.#bytes[i + 1]!;
  }

  /**
   * A number of four bytes of the frame, in network byte order.
   *
   * @param at - Where it begins.
   * @throws RangeError behind the bytes that are here.
   */
  uint32(at: number): number {
    const i = this.find(at, 4);
    const bytes = this.#bytes;
    return ((bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!) >>> 0;
  }
}

/** Checks that `size` bytes from `at` on are among `length`. */
export function within(at: number, size: number, length: number): void {
  const last = length - size;
  if (!(Number.isInteger(at) && at >= 0 && at <= last)) integer(at, "at", 0, last); // which throws
}

/** What rings have in common: a socket, and how they wait. */
export abstract class Ring implements Disposable, AsyncDisposable {
  readonly #sock: Socket;
  readonly #waits: Waits;
  readonly #ifname: string;
  #failed = 0;

  /** @internal */
  constructor(ifname: string, sock: Socket) {
    this.#sock = sock;
    this.#ifname = ifname;
    this.#waits = new Waits(sock.fileno());
  }

  /** The descriptor; -1 once the ring is closed. It remains the ring's. */
  fileno(): number {
    return this.#sock.fileno();
  }

  /**
   * The value of an option of the ring's socket: see `Socket.getsockopt`.
   *
   * @throws OSError: ENOPROTOOPT, EBADF.
   */
  getsockopt(level: number, option: number): number;
  getsockopt(level: number, option: number, buflen: number): Buffer;
  getsockopt(level: number, option: number, buflen?: number): number | Buffer {
    return buflen === undefined ? this.#sock.getsockopt(level, option) : this.#sock.getsockopt(level, option, buflen);
  }

  /**
   * Sets an option of the ring's socket: see `Socket.setsockopt` and packet(7).
   *
   * @throws OSError: ENOPROTOOPT, EINVAL; EBUSY for what cannot be changed once there is a ring.
   */
  setsockopt(level: number, option: number, value: number | BytesLike): void {
    this.#sock.setsockopt(level, option, value);
  }

  /** Closes the ring: what waits is rejected with ECANCELED, and the memory is the kernel's again. Twice is nothing. */
  close(): void {
    if (this.#sock.fileno() < 0) return;
    this.#waits.close();
    try {
      this.#sock.close();
    } finally {
      this.unmap();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Throws where the ring is closed. */
  protected open(syscall: string): void {
    if (this.#sock.fileno() < 0) throw systemError(syscall, -EBADF);
  }

  /** Throws the error that the interface had since it was last asked for. */
  protected check(syscall: string): void {
    if (this.#failed === 0) {
      const errno = this.#sock.getsockopt(SOL_SOCKET, SO_ERROR);
      if (errno === 0) return;
      // The kernel tells it once. An interface that is gone does not come back, and nothing would ever end the next wait.
      if (errno !== ENETDOWN || !this.isGone()) throw systemError(syscall, -errno, this.#ifname);
      this.#failed = errno;
    }
    throw systemError(syscall, -this.#failed, this.#ifname);
  }

  /** How many seconds go by until it is asked again whether there is an error; `null` where the system announces it. */
  protected get patience(): number | null {
    return null;
  }

  /** Gives the memory back. */
  protected abstract unmap(): void;

  /** Whether an interface that is down is gone for ever. */
  protected abstract isGone(): boolean;

  /** Waits until `isReady`, which the events announce; whether it came to that before the time was up. */
  protected waitFor(events: number, syscall: string, timeout: number | null, isReady: () => boolean): boolean {
    const due = timeout === null ? Infinity : performance.now() + timeout * 1000;
    for (let isVain = false; ;) {
      if (isReady()) return true;
      this.check(syscall);
      const left = Math.min((due - performance.now()) / 1000, this.patience ?? Infinity);
      if (left <= 0) return false;
      // What was announced in vain is announced at once again: a short sleep keeps that from taking the processor.
      if (isVain) shim.bs_poll(this.fileno(), 0, 0.001);
      const r = shim.bs_poll(this.fileno(), events, left === Infinity ? -1 : left);
      if (r < 0 && r !== TIMED_OUT) throw systemError(syscall, r);
      isVain = r !== TIMED_OUT;
    }
  }

  /** The same, without blocking. `turn`: what else there is to do has its turn before. */
  protected async whenReady(
    events: typeof READABLE | typeof WRITABLE,
    syscall: string,
    signal: AbortSignal | undefined,
    isReady: () => boolean,
    turn = false,
  ): Promise<void> {
    let waits = turn;
    const attempt = (): true | typeof AGAIN | typeof WOULD_BLOCK => {
      if (waits) {
        waits = false;
        return AGAIN;
      }
      this.open(syscall);
      if (isReady()) return true;
      this.check(syscall);
      return WOULD_BLOCK;
    };
    const wait = { attempt, self: null, args: [], syscall, timeout: this.patience, signal };
    for (let isDone = false; !isDone;) {
      isDone = await this.#waits.run(events, wait).catch((error: unknown) => {
        if (error instanceof TimeoutError && error !== signal?.reason) return false;
        throw error;
      });
    }
  }

  /** All that is received, block for block; between two of them everything else has its turn. */
  protected async *framesBy<Frame>(
    options: WaitOptions | undefined,
    isReady: () => boolean,
    block: () => Iterable<Frame>,
  ): AsyncGenerator<Frame, undefined, undefined> {
    const signal = signalIn(options);
    for (let turn = false; ; turn = true) {
      try {
        await this.whenReady(READABLE, "recv", signal, isReady, turn);
      } catch (error) {
        if (saysClosed(error, this)) return;
        throw error;
      }
      if (this.fileno() < 0) return;
      for (const frame of block()) {
        yield frame;
        if (this.fileno() < 0) return;
      }
    }
  }
}
