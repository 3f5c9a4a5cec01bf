/**
 * Sends that do not copy: the kernel takes the data from where it lies. See
 * https://docs.kernel.org/networking/msg_zerocopy.html. Linux.
 */
import { type BytesLike, byteLengthOf, bytes, lacking, options as optionsOf, wrongValue } from "../args.ts";
import { RECEIVE } from "../batch.ts";
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
import { decodeAncillary } from "../messages/ancillary.ts";
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

/** The room of a notice: an address of IPv6 behind the error's structure, and more. */
const ANCBUFSIZE = 128;

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
  /** Numbers of which the end was told before the send itself returned here. */
  readonly #early = new Set<number>();
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
   * @param address - Where to; left out or `null` on a connected socket.
   * @param options - `signal`, of a socket by promises.
   * @returns How many bytes the system took.
   */
  send(data: BytesLike, address?: AddressArgument<NameOf<Sock>> | null, options?: WaitOptions): Given<Sock, number>;
  send(given: unknown, address?: unknown, options?: WaitOptions): unknown {
    if (this.#sock === this.#core) return this.#sendNow(bytes(given, "data"), address);
    return this.#sendLater(given, address, options);
  }

  #sendNow(data: NodeJS.ArrayBufferView, address: unknown): number {
    const core = this.#core;
    const plain = (flags: number): number =>
      address === undefined || address === null ? core.send(data, flags) : core.sendto(data, flags, address as never);
    if (!this.#isFor(data)) return plain(0);
    try {
      const n = plain(MSG_ZEROCOPY);
      this.#hold(data);
      return n;
    } catch (error) {
      if (!isFull(error)) throw error;
      this.reap();
      return plain(0);
    }
  }

  async #sendLater(given: unknown, address: unknown, options: WaitOptions | undefined): Promise<number> {
    const wait = optionsOf(options, "options", ["signal"]) as WaitOptions;
    const data = bytes(given, "data");
    const sock = this.#sock as PromisesSocket;
    const plain = (flags: number): Promise<number> =>
      address === undefined || address === null
        ? sock.send(data, flags, wait)
        : sock.sendto(data, flags, address as never, wait);
    if (!this.#isFor(data)) return plain(0);
    try {
      const n = await plain(MSG_ZEROCOPY);
      this.#hold(data);
      return n;
    } catch (error) {
      if (!isFull(error)) throw error;
      this.reap();
      return plain(0);
    }
  }

  #isFor(data: NodeJS.ArrayBufferView): boolean {
    if (!this.#isActive || byteLengthOf(data) < LENGTH_MIN) return false;
    if (this.#held.size >= PENDING) this.reap();
    return this.#isActive;
  }

  #hold(data: NodeJS.ArrayBufferView): void {
    const number = this.#next;
    this.#next = (number + 1) >>> 0;
    if (!this.#early.delete(number)) this.#held.set(number, data);
  }

  /**
   * Looks for what the kernel is done with, without waiting.
   *
   * @returns How many sends are still under way.
   */
  reap(): number {
    const core = this.#core;
    const flags = MSG_ERRQUEUE | MSG_DONTWAIT;
    if (this.#coming !== null) return this.#held.size; // that will see them
    while (this.#held.size > 0 && quietly(core.recvBatch, core, [this.#notices, flags]) !== WOULD_BLOCK)
      this.#release();
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
      this.#notices[RECEIVE](this.#core, MSG_ERRQUEUE, Math.min(left, 1e6));
      this.#release();
    }
  }

  async #waitLater(options: WaitOptions | undefined): Promise<void> {
    const { signal } = optionsOf(options, "options", ["signal"]);
    const given = signalOf(signal, "options.signal");
    this.#waiters++;
    try {
      while (this.reap() > 0) {
        this.#coming ??= this.#receive();
        await unlessAborted(this.#coming, given);
      }
    } finally {
      if (--this.#waiters === 0) this.#enough.abort();
    }
  }

  /** Waits for notices, for all who wait. */
  async #receive(): Promise<void> {
    const { signal } = (this.#enough = new AbortController());
    try {
      await (this.#sock as PromisesSocket).recvBatch(this.#notices, MSG_ERRQUEUE, { signal });
      this.#release();
    } catch (error) {
      if (error !== signal.reason) throw error; // otherwise who waits again asks again
    } finally {
      this.#coming = null;
    }
  }

  /** Lets go of the data of which the notices say that the kernel is done with it: a notice is for a range of numbers. */
  #release(): void {
    const notices = this.#notices;
    for (let i = 0; i < notices.length; i++) {
      for (const item of decodeAncillary(notices.ancillary(i))) {
        if (item.type !== "error" || item.origin !== SO_EE_ORIGIN_ZEROCOPY) continue;
        if (item.icmpCode & SO_EE_CODE_ZEROCOPY_COPIED) this.#isActive = false;
        const count = ((item.data - item.info) >>> 0) + 1;
        for (let n = 0; n < count; n++) {
          const number = (item.info + n) >>> 0;
          if (!this.#held.delete(number)) this.#early.add(number);
        }
      }
    }
  }
}

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

/** Whether a send failed because the kernel keeps no more notices for the socket. */
function isFull(error: unknown): boolean {
  return error instanceof OSError && error.errno === ENOBUFS;
}
