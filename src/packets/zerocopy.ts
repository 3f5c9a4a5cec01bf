/**
 * Sends that do not copy: the kernel takes the data from where it lies. See
 * https://docs.kernel.org/networking/msg_zerocopy.html. Linux.
 */
import { type BytesLike, byteLengthOf, bytes, lacking, options as optionsOf, wrongValue } from "../args.ts";
import { type Batch, BLOCKED, HOLD, LEFT, RECEIVE, RELEASE, SEND } from "../batch.ts";
import {
  EAGAIN,
  ENOBUFS,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_ZEROCOPY,
  SO_EE_CODE_ZEROCOPY_COPIED,
  SO_EE_ORIGIN_ZEROCOPY,
  SO_ZEROCOPY,
  SOL_SOCKET,
} from "../constants.ts";
import { OSError, quietly, systemError, WOULD_BLOCK } from "../errors.ts";
import type { AddressArgument, FamilyName } from "../families/index.ts";
import { decodeAncillary, type ErrorAncillary } from "../messages/ancillary.ts";
import { TIMED_OUT } from "../native.ts";
import type { WaitOptions } from "../promises/names.ts";
import { signalOf } from "../promises/waits.ts";
import type { Socket as PromisesSocket } from "../promises/socket.ts";
import { type AnySocket, rootSocket, type Socket } from "../socket.ts";
import { MessageBatch } from "./batch.ts";

/** From how many bytes on it costs less not to copy: below, to pin the pages and to be told of the end costs more. */
const LENGTH_MIN = 32768;

/** How many sends may be under way until notices are looked for. */
const PENDING = 64;

/**
 * The room of a notice: an address of IPv6 behind the error's structure, and what else a socket may have asked for, such as
 * times. One that is cut would never be told again.
 */
const ANCBUFSIZE = 512;

/** What the kernel may still read, by the socket: it stays there where nobody has the object any more that sent it. */
const heldBy = new WeakMap<Socket, ReadonlyMap<number, NodeJS.ArrayBufferView>>();

/** What a call gives: at once with a socket of the root, by a promise otherwise. */
type Given<Sock, Result> = Sock extends Socket ? Result : Promise<Result>;

/** The name of a socket's family. */
type NameOf<Sock> = Sock extends AnySocket<infer Name> ? Name : FamilyName;

/**
 * Sends without a copy, by `MSG_ZEROCOPY`.
 *
 * The data is held until the kernel says that it is done with it; it must not be changed, or its memory given away, before
 * that: what is changed is what is sent. {@link ZeroCopy.wait} waits until all of it is done; close the socket after that,
 * because a closed one holds nothing.
 *
 * It is not for everything. Data below 32 KiB is copied, because that costs less (measured by a virtual interface, see
 * bench/packets.ts: 60 KB cost 20 to 30 % less without a copy, 32 KB about the same, 1 KB 25 to 45 % more). To a receiver
 * on the same machine, the loopback among them, the kernel copies all the same; when it says so, this sends by plain calls
 * from then on.
 *
 * The socket's error queue is this object's: other messages that come there are lost. All sends of the socket by
 * `MSG_ZEROCOPY` have to go by one such object. Linux only.
 *
 * @typeParam Sock - The socket's type: with a socket by promises, {@link ZeroCopy.send} and {@link ZeroCopy.wait} return
 *   promises.
 *
 * @example
 * ```ts
 * import { AF_INET, SO_ZEROCOPY, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { ZeroCopy } from "berkeley-sockets/packets";
 * using a = new Socket(AF_INET, SOCK_DGRAM);
 * using b = new Socket(AF_INET, SOCK_DGRAM);
 * b.bind(["127.0.0.1", 0]);
 * if (SO_ZEROCOPY !== undefined) {
 *   const zero = new ZeroCopy(a);
 *   zero.send(new Uint8Array(50_000), b.getsockname());
 *   console.log(b.recv(65536).length); // 50000
 *   zero.wait(); // from here on the data may be changed
 *   console.log(zero.pending); // 0
 * }
 * ```
 */
export class ZeroCopy<Sock extends AnySocket<never> | AnySocket = AnySocket> {
  readonly #sock: AnySocket;
  readonly #core: Socket;
  readonly #notices: MessageBatch;
  /** The data of sends that are under way, by the kernel's number. */
  readonly #held = new Map<number, NodeJS.ArrayBufferView>();
  /** The number of the next send. */
  #next = 0;
  /** The receive of notices that is under way, of a socket by promises. */
  #coming: Promise<void> | null = null;
  /** Ends it where all who waited have given up: it shall not keep the process alive. */
  #enough = new AbortController();
  #waiters = 0;
  #isActive = true;

  /**
   * Lets a socket send so (`SO_ZEROCOPY`).
   *
   * @param sock - A socket of TCP or UDP, of the root or of the promises, that has not sent by `MSG_ZEROCOPY` before.
   * @throws OSError: ENOTSUP for sockets of other kinds. RangeError for a socket that has such an object. TypeError on other
   *   platforms.
   */
  constructor(sock: Sock) {
    if (SO_ZEROCOPY === undefined) throw lacking("ZeroCopy", "on Linux only");
    this.#core = rootSocket(sock);
    this.#sock = sock as AnySocket;
    if (heldBy.has(this.#core)) throw wrongValue("sock", "a socket that has no ZeroCopy yet", sock);
    this.#core.setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1);
    heldBy.set(this.#core, this.#held);
    this.#notices = new MessageBatch(this.#core, { capacity: 32, size: 1, ancbufsize: ANCBUFSIZE });
  }

  /** Of how many sends the kernel still has the data. */
  get pending(): number {
    return this.#held.size;
  }

  /** Whether it still sends without a copy: not once the kernel said that it copied the data all the same. */
  get isActive(): boolean {
    return this.#isActive;
  }

  /**
   * Sends data; see the socket's own `send` and `sendto`.
   *
   * @param data - Bytes, or a string as UTF-8. It belongs to the kernel until {@link wait} has returned.
   * @param address - Where to; left out or `null` on a connected socket. A host's name is resolved here, and blocks: give a
   *   number.
   * @param options - `signal`, of a socket by promises.
   * @returns How many bytes the system took.
   */
  send(data: BytesLike, address?: AddressArgument<NameOf<Sock>> | null, options?: WaitOptions): Given<Sock, number>;
  send(given: unknown, address?: unknown, options?: WaitOptions): unknown {
    if (this.#sock === this.#core) return this.#attempt(bytes(given, "data"), address);
    return this.#sendLater(given, address, options);
  }

  async #sendLater(given: unknown, address: unknown, options: WaitOptions | undefined): Promise<number> {
    const wait = optionsOf(options, "options", ["signal"]) as WaitOptions;
    const data = bytes(given, "data");
    // Attempts come later, and run none of the caller's code.
    const to: unknown = Array.isArray(address) ? [...(address as unknown[])] : address;
    const work: Batch = { ...idle, [SEND]: () => this.#attempt(data, to) };
    return (this.#sock as PromisesSocket).sendBatch(work as never, wait);
  }

  /** Sends, or tries to: the number that the kernel gives the send is known as soon as it is made. */
  #attempt(data: NodeJS.ArrayBufferView, address: unknown): number {
    if (!this.#isFor(data)) return this.#plain(data, 0, address);
    try {
      const n = this.#plain(data, MSG_ZEROCOPY, address) as number | typeof WOULD_BLOCK;
      if (n === WOULD_BLOCK) return n as never;
      this.#held.set(this.#next, data);
      this.#next = (this.#next + 1) >>> 0;
      return n;
    } catch (error) {
      if (!(error instanceof OSError) || this.#core.fileno() < 0) throw error;
      // A packet that was made and then refused, by a queue that is full or because it cannot be cut, has used a number up:
      // its notice is there already. (But for one of fragments, of which some were sent: those are copies.)
      const before = this.#next;
      while (this.#receive(MSG_DONTWAIT, 0) !== WOULD_BLOCK);
      // Without one it was refused because the kernel keeps no more notices for the socket, which a plain call does not need.
      if (error.errno === ENOBUFS && this.#next === before) return this.#plain(data, 0, address);
      throw error;
    }
  }

  #plain(data: NodeJS.ArrayBufferView, flags: number, address: unknown): number {
    const core = this.#core;
    return address === undefined || address === null
      ? core.send(data, flags)
      : core.sendto(data, flags, address as never);
  }

  #isFor(data: NodeJS.ArrayBufferView): boolean {
    if (!this.#isActive || byteLengthOf(data) < LENGTH_MIN) return false;
    if (this.#held.size >= PENDING) this.reap();
    return this.#isActive;
  }

  /**
   * Looks for what the kernel is done with, without waiting.
   *
   * @returns How many sends are still under way.
   */
  reap(): number {
    while (this.#held.size > 0 && this.#receive(MSG_DONTWAIT, 0) !== WOULD_BLOCK);
    return this.#held.size;
  }

  /**
   * Waits until the kernel is done with all that was sent. That can take as long as the peer takes to receive it.
   *
   * @param options - `signal`, of a socket by promises.
   * @throws OSError: TimeoutError by the socket's timeout; BlockingIOError where that is 0.
   */
  wait(options?: WaitOptions): Given<Sock, void>;
  wait(options?: WaitOptions): unknown {
    if (this.#sock === this.#core) return this.#waitNow();
    return this.#waitLater(options);
  }

  #waitNow(): void {
    const timeout = this.#core.gettimeout();
    // The error queue never blocks: the shim has to wait, however long.
    const due = timeout === null ? Infinity : performance.now() + timeout * 1000;
    while (this.reap() > 0) {
      if (timeout === 0) throw systemError("recvmmsg", -EAGAIN);
      const left = (due - performance.now()) / 1000;
      if (left <= 0) throw systemError("recvmmsg", TIMED_OUT);
      this.#receive(0, Math.min(left, 1e6));
    }
  }

  async #waitLater(options: WaitOptions | undefined): Promise<void> {
    const { signal } = optionsOf(options, "options", ["signal"]);
    const given = signalOf(signal, "options.signal");
    this.#waiters++;
    try {
      while (this.reap() > 0) {
        this.#coming ??= this.#come();
        await unlessAborted(this.#coming, given);
      }
    } finally {
      if (--this.#waiters === 0) this.#enough.abort();
    }
  }

  /** Waits for notices, for all who wait. */
  async #come(): Promise<void> {
    const { signal } = (this.#enough = new AbortController());
    const work: Batch = { ...idle, [RECEIVE]: () => this.#receive(MSG_DONTWAIT, 0) as number };
    try {
      await (this.#sock as PromisesSocket).recvBatch(work as never, MSG_ERRQUEUE, { signal });
    } catch (error) {
      if (error !== signal.reason) throw error; // otherwise who waits again asks again
    } finally {
      this.#coming = null;
    }
  }

  /** Receives notices, and lets go of the data that they tell of: how many, or that there are none. */
  #receive(flags: number, timeout: number): number | typeof WOULD_BLOCK {
    const notices = this.#notices;
    const n = quietly(notices[RECEIVE], notices, [this.#core, MSG_ERRQUEUE | flags, timeout]);
    if (n === WOULD_BLOCK) return n;
    for (let i = 0; i < n; i++) {
      for (const item of decodeAncillary(notices.ancillary(i))) {
        if (item.type === "error" && item.origin === SO_EE_ORIGIN_ZEROCOPY) this.#release(item);
      }
    }
    return n;
  }

  /** A notice is for a range of numbers, from `info` to `data`. */
  #release({ info, data, icmpCode }: Pick<ErrorAncillary, "info" | "data" | "icmpCode">): void {
    if (icmpCode & SO_EE_CODE_ZEROCOPY_COPIED) this.#isActive = false;
    const next = (data + 1) >>> 0;
    for (let number = info; number !== next; number = (number + 1) >>> 0) this.#held.delete(number);
    // No send is under way: what was given a number that is not known here has failed, and what comes has the next.
    if (((data - this.#next) | 0) >= 0) this.#next = next;
  }
}

/** What a socket by promises does in its turn as it does a batch: this and one call more. */
const idle: Batch = {
  [HOLD]() {},
  [RELEASE]() {},
  [RECEIVE]: () => 0,
  [SEND]: () => 0,
  [BLOCKED]: false,
  [LEFT]: false,
};

/** Rejects with the reason of a signal that aborts before a promise is settled. */
function unlessAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
