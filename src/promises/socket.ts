/**
 * The socket object whose calls wait by promises. Everything it does is done by a {@link CoreSocket} that is non-blocking.
 */
import type { AfalgOptions } from "../afalg.ts";
import { bits, bytes, bytesOf, byteLengthOf, flag, INT_MAX, integer, type BytesLike, seconds } from "../args.ts";
import { type Batch, BLOCKED, CORE, hold, LEFT, RECEIVE, RELEASE, SEND } from "../batch.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EAGAIN,
  EALREADY,
  EBADF,
  ECANCELED,
  ECONNABORTED,
  EINPROGRESS,
  EINTR,
  EISCONN,
  ENOTCONN,
  ENOTSUP,
  IPPROTO_TCP,
  SHUT_WR,
  SO_ACCEPTCONN,
  SO_ERROR,
  SO_RCVLOWAT,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_ULP,
} from "../constants.ts";
import { BlockingIOError, OSError, quietly, systemError, TimeoutError, WOULD_BLOCK } from "../errors.ts";
import {
  type AddressArgument,
  type AddressOf,
  decodePacked,
  type FamilyConstant,
  type FamilyName,
  type SenderOf,
} from "../families/index.ts";
import { type AncillaryData, list, readControl, type ReceivedAncillaryData } from "../message.ts";
import { READABLE, WRITABLE } from "../native.ts";
import type { MessageBatch } from "../packets/batch.ts";
import { hostName, lookUp } from "../resolve.ts";
import { sendingFile, type SendableFile } from "../sendfile.ts";
import { adopt, type KeepaliveValues, Socket as CoreSocket } from "../socket.ts";
import {
  isNamed,
  type LineOptions,
  lineOptions,
  optionsSignal,
  type ReceiveOptions,
  receiveOptions,
  SIZE,
  snapshot,
  takeSignal,
  timeoutWith,
  wantedBy,
} from "./arguments.ts";
import { END, iterate, type Step, type Taking } from "./iteration.ts";
import { follow, type WaitOptions } from "./names.ts";
import { Unread } from "./unread.ts";
import { AGAIN, type Attempt, moved, PIECE_BYTES, spent, Waits, type Wanted } from "./waits.ts";

/** A socket whose iteration gives connections: {@link createServer} returns one. */
export type ServerSocket<Name extends FamilyName = FamilyName> = Socket<Name, Connected<Name>>;

/** A connection that was accepted, and its peer's address. */
export type Connected<Name extends FamilyName = FamilyName> = [conn: Socket<Name>, address: AddressOf<Name>];

/** A socket of the core, to be taken over. */
class Taken {
  readonly core: CoreSocket;
  constructor(core: CoreSocket) {
    this.core = core;
  }
}

type AnySocket = Socket<FamilyName, unknown>;
type AnyMethod = (...args: unknown[]) => unknown;

/** How many pieces of a file or of a line are taken before others have their turn. */
const PIECES = 16;
/** What more than so many bytes are a part of may be on its way still, and there as soon as they are received. */
const SHORT = 4096;

/** The root's socket that a socket is made of. */
export let coreOf: (sock: AnySocket) => CoreSocket;

/**
 * A socket whose calls wait by promises, on Bun's event loop.
 *
 * Its names are those of the root's `Socket`. What cannot wait is the same: `bind`, `listen`, `setsockopt`, `close` …
 * What may wait returns a promise: it is tried at once, and waits where the system says so. A wrong argument rejects the
 * promise. Any number of calls may wait on one socket: those that receive are served in their order, and those that send.
 *
 * Each call that waits takes `{ signal }` at its end, and rejects with the signal's reason; `settimeout` is for each call
 * as in the root. Both leave the socket as it was: what was not received is there for the next call. `close` rejects what
 * waits with ECANCELED.
 *
 * A process stays alive while a call waits, and not longer; see {@link Socket.unref}.
 *
 * @typeParam Name - The family's name, from which the type of its addresses follows.
 * @typeParam Item - What `for await` gives: data or, of a server, connections.
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets/promises";
 * using a = new Socket(AF_INET, SOCK_DGRAM);
 * using b = new Socket(AF_INET, SOCK_DGRAM);
 * a.bind(["127.0.0.1", 0]);
 * setTimeout(() => b.sendto("hello", a.getsockname()), 10);
 * const [data, from] = await a.recvfrom(2048);
 * console.log(data.toString(), from[0]); // hello 127.0.0.1
 * ```
 */
export class Socket<out Name extends FamilyName = FamilyName, out Item = Buffer> {
  readonly #core: CoreSocket;
  readonly #waits: Waits;
  #timeout: number | null;
  /** The address of a `connect` that goes on in the system, though it was given up. */
  #connecting: unknown = null;
  readonly #unread = new Unread();
  /** Whether what is received are TCP's bytes, told from the first on: no messages or records. `undefined`: not known yet. */
  #isBytes: boolean | undefined;
  /** Whether nothing is received any more: `shutdown` was told so here. */
  #isShut = false;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<BytesLike> | undefined;

  /**
   * Opens a socket; see socket(2).
   *
   * @param family - The address family: `AF_INET` by default.
   * @param type - `SOCK_STREAM` by default.
   * @param proto - The protocol; 0 for the type's own.
   * @param options - `fileno`: a descriptor to take over instead of opening one: `sock.detach()` of a socket of the root
   *   moves it here. It becomes non-blocking, for all who have it.
   * @throws OSError from socket(2) (EAFNOSUPPORT, EACCES, EMFILE …); EBADF or ENOTSOCK for a `fileno` that is no socket.
   * @throws TypeError for an `undefined` family: a constant that this platform lacks.
   */
  constructor(family: FamilyConstant<Name>, type?: number, proto?: number, options?: { fileno?: number });
  constructor(family?: number, type?: number, proto?: number, options?: { fileno?: number });
  /** Takes over a descriptor, and asks it for its family, type and protocol. */
  constructor(options: { fileno: number });
  /** @internal */
  constructor(taken: Taken);
  constructor(...args: unknown[]) {
    const core = args[0] instanceof Taken ? args[0].core : new CoreSocket(...(args as [number]));
    this.#core = core;
    this.#timeout = core.gettimeout();
    if (this.#timeout !== 0) core.setblocking(false);
    this.#waits = new Waits(core.fileno());
  }

  static {
    coreOf = (sock) => sock.#core;
  }

  /** @internal */
  get [CORE](): CoreSocket {
    return this.#core;
  }

  /** The address family, `AF_*`. */
  get family(): number {
    return this.#core.family;
  }

  /** The type, `SOCK_*`. */
  get type(): number {
    return this.#core.type;
  }

  /** The protocol, as it was given or detected. */
  get proto(): number {
    return this.#core.proto;
  }

  /** How long a call may wait, in seconds: 0 is not at all, `null` as long as it takes. */
  get timeout(): number | null {
    return this.#timeout;
  }

  // ---- What waits ----

  /**
   * Waits for a connection to a listening socket; see accept(2).
   *
   * @returns The connection's socket, with the default timeout, and the peer's address.
   * @throws OSError: EINVAL where the socket does not listen, ECONNABORTED, EMFILE; TimeoutError.
   */
  accept(options?: WaitOptions): Promise<Connected<Name>>;
  accept(...args: unknown[]): Promise<Connected<Name>> {
    return this.#wait(READABLE, "accept", args, 0, -1, acceptOne) as Promise<Connected<Name>>;
  }

  /**
   * Connects to an address; see connect(2). A name is resolved without blocking. Given up, the attempt goes on in the
   * system: another `connect` waits for its end and tells of that (EISCONN where that was to another address). Of one-to-many sockets of SCTP the system does not tell that nobody answers:
   * give them a timeout.
   *
   * @throws OSError: ECONNREFUSED, ENETUNREACH, ETIMEDOUT …; BlockingIOError (EINPROGRESS) with a timeout of 0;
   *   TimeoutError; gaierror for a name of no host.
   */
  async connect(address: AddressArgument<Name>, options?: WaitOptions): Promise<void>;
  async connect(...args: unknown[]): Promise<void> {
    await this.#connect(args, (error, address) => {
      throw systemError("connect", -error, address);
    });
  }

  /** Connects; what the system says, as an `errno`, is the result of `failed`. */
  async #connect(args: unknown[], failed: (error: number, address: unknown) => number): Promise<number> {
    const signal = takeSignal(args, 1);
    let given = snapshot(args[0]);
    let timeout = this.#timeout;
    if (isNamed(this.#core.family, given)) [given, timeout] = await this.#resolved(given, "connect", timeout, signal);
    const core = this.#core;
    let begun = false;
    return this.#waits.run(WRITABLE, {
      syscall: "connect",
      address: given,
      timeout,
      signal,
      wouldBlock: EINPROGRESS,
      self: null,
      args,
      attempt: () => {
        // Who finds one going on learns how that ends.
        const address = this.#connecting ?? given;
        const isOther = this.#connecting !== null && !Bun.deepEquals(address, given);
        const end = (error: number): number => {
          this.#connecting = null;
          if (error !== 0) return failed(error, address);
          return isOther ? failed(EISCONN, given) : 0;
        };
        if (!begun) {
          const error = core.connectEx(given as never);
          if (error === 0 || (error === EISCONN && this.#connecting !== null)) return end(0);
          begun = error === EINPROGRESS || error === EALREADY || error === EINTR;
          if (error === EAGAIN) {
            // Windows says so of an attempt that goes on; of AF_UNIX it is a server whose queue is full.
            if (core.family !== AF_UNIX) begun = true;
          } else if (!begun) {
            return end(error);
          }
          this.#connecting = begun ? address : null;
          return timeout === 0 ? failed(error, given) : WOULD_BLOCK;
        }
        let error = core.getsockopt(SOL_SOCKET, SO_ERROR);
        if (error === 0 && !isConnected(core)) {
          // It goes on, or another call was told how it ended: asked again, the system says which.
          error = core.connectEx(given as never);
          if (error === EALREADY || error === EINPROGRESS || error === EAGAIN) return WOULD_BLOCK;
          if (error === EISCONN) error = 0;
        }
        return end(error);
      },
    });
  }

  /**
   * Like {@link connect}, but gives the system's error instead of throwing it.
   *
   * @returns 0, or an `errno`; EAGAIN where the timeout ran out, ECANCELED where the socket was closed meanwhile.
   * @throws TypeError, RangeError, gaierror: what is no error of connect(2).
   */
  async connectEx(address: AddressArgument<Name>, options?: WaitOptions): Promise<number>;
  async connectEx(...args: unknown[]): Promise<number> {
    try {
      return await this.#connect(args, (error) => error);
    } catch (error) {
      // How the wait ended.
      if (error instanceof TimeoutError) return EAGAIN;
      if (error instanceof BlockingIOError && error.syscall === "connect") return error.errno;
      if (error instanceof OSError && (error.errno === ECANCELED || error.errno === EBADF)) return error.errno;
      throw error;
    }
  }

  /**
   * Receives data; see recv(2).
   *
   * @param bufsize - The most bytes to return.
   * @param flags - `MSG_*`. With `MSG_DONTWAIT` it does not wait. `MSG_WAITALL` takes what is there, as in the root where
   *   there is a timeout: the descriptor is non-blocking.
   * @returns The data; empty at the end of a stream.
   * @throws OSError: ECONNRESET, ENOTCONN; BlockingIOError, TimeoutError.
   */
  recv(bufsize: number, options?: WaitOptions): Promise<Buffer>;
  recv(bufsize: number, flags: number, options?: WaitOptions): Promise<Buffer>;
  recv(...args: unknown[]): Promise<Buffer> {
    return this.#wait(READABLE, "recv", args, 1, 1, Socket.#recv) as Promise<Buffer>;
  }

  /**
   * Receives data and its sender's address; see recvfrom(2).
   *
   * @returns The data and the address: `null` where the protocol gives none.
   */
  recvfrom(bufsize: number, options?: WaitOptions): Promise<[data: Buffer, address: SenderOf<Name>]>;
  recvfrom(bufsize: number, flags: number, options?: WaitOptions): Promise<[data: Buffer, address: SenderOf<Name>]>;
  recvfrom(...args: unknown[]): Promise<[data: Buffer, address: SenderOf<Name>]> {
    return this.#wait(READABLE, "recvfrom", args, 1, 1, Socket.#recvfrom) as never;
  }

  /**
   * Receives data into a view; see {@link recv}.
   *
   * @param buffer - Where the data goes. It is written to when the data is there, until the promise is settled.
   * @param nbytes - The most bytes to receive; 0 is as many as the view has.
   * @param flags - `MSG_*`.
   * @returns How many bytes were received.
   */
  recvInto(buffer: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<number>;
  recvInto(buffer: NodeJS.ArrayBufferView, nbytes: number | undefined, options?: WaitOptions): Promise<number>;
  recvInto(
    buffer: NodeJS.ArrayBufferView,
    nbytes: number | undefined,
    flags: number,
    options?: WaitOptions,
  ): Promise<number>;
  recvInto(...args: unknown[]): Promise<number> {
    return this.#wait(READABLE, "recvInto", args, 1, 2, Socket.#recvInto) as Promise<number>;
  }

  /** Receives data into a view, and tells its sender's address; see {@link recvInto} and {@link recvfrom}. */
  recvfromInto(
    buffer: NodeJS.ArrayBufferView,
    options?: WaitOptions,
  ): Promise<[nbytes: number, address: SenderOf<Name>]>;
  recvfromInto(
    buffer: NodeJS.ArrayBufferView,
    nbytes: number | undefined,
    options?: WaitOptions,
  ): Promise<[nbytes: number, address: SenderOf<Name>]>;
  recvfromInto(
    buffer: NodeJS.ArrayBufferView,
    nbytes: number | undefined,
    flags: number,
    options?: WaitOptions,
  ): Promise<[nbytes: number, address: SenderOf<Name>]>;
  recvfromInto(...args: unknown[]): Promise<[nbytes: number, address: SenderOf<Name>]> {
    return this.#wait(READABLE, "recvfromInto", args, 1, 2, Socket.#recvfromInto) as never;
  }

  /**
   * Receives a message with its ancillary data; see recvmsg(2), cmsg(3). Descriptors that come with it are the caller's
   * to close.
   *
   * @param bufsize - The most bytes of data to return.
   * @param ancbufsize - The room for ancillary data: a sum of `CMSG_SPACE`.
   * @param flags - `MSG_*`. With `MSG_ERRQUEUE` it waits for an error.
   * @returns The data, the control messages, the message's flags, and the sender's address or `null`.
   */
  recvmsg(bufsize: number, options?: WaitOptions): Promise<Message<Buffer, Name>>;
  recvmsg(bufsize: number, ancbufsize: number | undefined, options?: WaitOptions): Promise<Message<Buffer, Name>>;
  recvmsg(
    bufsize: number,
    ancbufsize: number | undefined,
    flags: number,
    options?: WaitOptions,
  ): Promise<Message<Buffer, Name>>;
  recvmsg(...args: unknown[]): Promise<Message<Buffer, Name>> {
    return this.#wait(READABLE, "recvmsg", args, 1, 2, Socket.#recvmsg) as never;
  }

  /**
   * Receives a message into views, one after the other; see {@link recvmsg}.
   *
   * @param buffers - Where the data goes.
   * @returns The number of bytes, the control messages, the message's flags, and the sender's address or `null`.
   */
  recvmsgInto(buffers: Iterable<NodeJS.ArrayBufferView>, options?: WaitOptions): Promise<Message<number, Name>>;
  recvmsgInto(
    buffers: Iterable<NodeJS.ArrayBufferView>,
    ancbufsize: number | undefined,
    options?: WaitOptions,
  ): Promise<Message<number, Name>>;
  recvmsgInto(
    buffers: Iterable<NodeJS.ArrayBufferView>,
    ancbufsize: number | undefined,
    flags: number,
    options?: WaitOptions,
  ): Promise<Message<number, Name>>;
  async recvmsgInto(...args: unknown[]): Promise<Message<number, Name>> {
    const signal = takeSignal(args, 1);
    args[0] = list(args[0], "buffers", "ArrayBufferViews");
    return this.#waitBy(READABLE, "recvmsgInto", args, signal, 2, Socket.#recvmsgInto) as never;
  }

  /**
   * Receives as many messages as there are; waits for the first only. See the root's `Socket.recvBatch` and recvmmsg(2).
   *
   * @param batch - A `MessageBatch` of `berkeley-sockets/packets`; no other call can have it before the promise is settled.
   * @param flags - `MSG_*`.
   * @returns How many messages there are in the batch now.
   */
  recvBatch(batch: MessageBatch<Name>, options?: WaitOptions): Promise<number>;
  recvBatch(batch: MessageBatch<Name>, flags: number, options?: WaitOptions): Promise<number>;
  recvBatch(...args: unknown[]): Promise<number> {
    return this.#waitWithBatch(READABLE, "recvmmsg", args, Socket.#recvBatch);
  }

  /**
   * Sends the messages of a batch, until all are sent. See the root's `Socket.sendBatch` and sendmmsg(2). After a timeout or
   * an abort `batch.sent` tells how many were sent.
   *
   * @param batch - A `MessageBatch` of `berkeley-sockets/packets`; no other call can have it before the promise is settled.
   * @param flags - `MSG_*`.
   * @returns How many messages the system took; less than all where an error ended it, which the next call throws.
   */
  sendBatch(batch: MessageBatch<Name>, options?: WaitOptions): Promise<number>;
  sendBatch(batch: MessageBatch<Name>, flags: number, options?: WaitOptions): Promise<number>;
  sendBatch(...args: unknown[]): Promise<number> {
    return this.#waitWithBatch(WRITABLE, "sendmmsg", args, Socket.#sendBatch);
  }

  /**
   * Sends data on a connected socket; see send(2). The data must not change before the promise is settled.
   *
   * @param data - Bytes, or a string as UTF-8.
   * @param flags - `MSG_*`.
   * @returns How many bytes the system took, which may be less than all; {@link sendall} sends all.
   * @throws OSError: EPIPE, ECONNRESET, EMSGSIZE, ENOTCONN; BlockingIOError, TimeoutError.
   */
  send(data: BytesLike, options?: WaitOptions): Promise<number>;
  send(data: BytesLike, flags: number, options?: WaitOptions): Promise<number>;
  send(...args: unknown[]): Promise<number> {
    if (typeof args[0] === "string") args[0] = Buffer.from(args[0]);
    return this.#wait(WRITABLE, "send", args, 1, 1, Socket.#send) as Promise<number>;
  }

  /**
   * Sends all of the data. The timeout is for the whole of it; after an error, a timeout or an abort nobody knows how much
   * was sent. What others send meanwhile comes behind it.
   */
  sendall(data: BytesLike, options?: WaitOptions): Promise<void>;
  sendall(data: BytesLike, flags: number, options?: WaitOptions): Promise<void>;
  sendall(...args: unknown[]): Promise<void> {
    try {
      const data = bytes(args[0], "data");
      args[0] = data instanceof DataView ? bytesOf(data) : data; // one that is detached tells its length no more
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#wait(WRITABLE, "send", args, 1, 1, Socket.#sendall) as Promise<void>;
  }

  /**
   * Sends data to an address; see sendto(2). A name is resolved first, without blocking; what is sent meanwhile to other
   * addresses goes before it.
   *
   * @returns How many bytes the system took.
   * @throws OSError: EMSGSIZE, EACCES (a broadcast without SO_BROADCAST), ECONNREFUSED of an earlier datagram.
   */
  sendto(data: BytesLike, address: AddressArgument<Name>, options?: WaitOptions): Promise<number>;
  sendto(data: BytesLike, flags: number, address: AddressArgument<Name>, options?: WaitOptions): Promise<number>;
  sendto(...args: unknown[]): Promise<number> {
    try {
      const signal = takeSignal(args, 2);
      // Options that are left out by `undefined`: an address is none.
      if (args.length > 2 && args.at(-1) === undefined && typeof args.at(-2) !== "number") args.pop();
      if (typeof args[0] === "string") args[0] = Buffer.from(args[0]);
      const at = args.length - 1;
      if (at > 0) {
        args[at] = snapshot(args[at]);
        if (isNamed(this.#core.family, args[at])) return this.#sendtoNamed(args, signal);
      }
      return this.#sendtoNumber(args, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #sendtoNumber(args: unknown[], signal: AbortSignal | undefined, timeout?: number | null): Promise<number> {
    const at = args.length - 1;
    const flags = at > 1 ? 1 : -1;
    const address = args[at];
    return this.#waitBy(WRITABLE, "sendto", args, signal, flags, Socket.#sendto, address, timeout) as Promise<number>;
  }

  async #sendtoNamed(args: unknown[], signal: AbortSignal | undefined): Promise<number> {
    const [address, timeout] = await this.#resolved(args.pop(), "sendto", this.#timeout, signal);
    args.push(address);
    return this.#sendtoNumber(args, signal, timeout);
  }

  /**
   * Sends a message gathered from pieces, with ancillary data; see sendmsg(2), cmsg(3).
   *
   * @param buffers - The pieces.
   * @param ancdata - Control messages: `[level, type, data]`.
   * @param flags - `MSG_*`.
   * @param address - Where to, on a socket that is not connected.
   * @returns How many bytes of data the system took.
   */
  sendmsg(buffers: Iterable<BytesLike>, options?: WaitOptions): Promise<number>;
  sendmsg(
    buffers: Iterable<BytesLike>,
    ancdata: Iterable<AncillaryData> | undefined,
    options?: WaitOptions,
  ): Promise<number>;
  sendmsg(
    buffers: Iterable<BytesLike>,
    ancdata: Iterable<AncillaryData> | undefined,
    flags: number,
    options?: WaitOptions,
  ): Promise<number>;
  sendmsg(
    buffers: Iterable<BytesLike>,
    ancdata: Iterable<AncillaryData> | undefined,
    flags: number,
    address: AddressArgument<Name> | null | undefined,
    options?: WaitOptions,
  ): Promise<number>;
  async sendmsg(...args: unknown[]): Promise<number> {
    const signal = takeSignal(args, 1);
    // An iterable gives its members once, and an attempt may not be the last.
    args[0] = list(args[0], "buffers", "bytes");
    if (args[1] !== undefined) args[1] = readControl(args[1]);
    let timeout: number | null | undefined;
    if (args.length > 3 && args[3] !== undefined && args[3] !== null) {
      args[3] = snapshot(args[3]);
      if (isNamed(this.#core.family, args[3])) {
        [args[3], timeout] = await this.#resolved(args[3], "sendmsg", this.#timeout, signal);
      }
    }
    const address = args[3] ?? undefined;
    return this.#waitBy(WRITABLE, "sendmsg", args, signal, 2, Socket.#sendmsg, address, timeout) as Promise<number>;
  }

  /**
   * {@link sendmsg} for AF_ALG, the kernel's cryptography: says what to do with the data. Linux only.
   *
   * @param buffers - The pieces of the data.
   * @param options - `op` (`ALG_OP_*`), `iv`, `assoclen`, `flags`.
   * @returns How many bytes of data the system took.
   * @throws OSError (EOPNOTSUPP) where the socket's family is another; TypeError on other platforms.
   */
  async sendmsgAfalg(buffers: Iterable<BytesLike>, options: AfalgOptions, wait?: WaitOptions): Promise<number>;
  async sendmsgAfalg(...args: unknown[]): Promise<number> {
    const signal = args.length > 2 ? takeSignal(args, 2) : undefined;
    args[0] = list(args[0], "buffers", "bytes");
    if (typeof args[1] === "object") args[1] = { ...args[1] }; // attempts run none of the caller's code
    return this.#waitBy(WRITABLE, "sendmsgAfalg", args, signal, -1, Socket.#sendmsgAfalg) as Promise<number>;
  }

  /**
   * Sends a file's bytes on a stream; see sendfile(2). The file is read on this thread. After an abort a file that is not
   * regular, such as a pipe, has lost what was read of it and not sent.
   *
   * @param file - A path, a `Bun.file` of one, a `FileHandle` of `node:fs/promises`, or a descriptor.
   * @param offset - The file's first byte to send.
   * @param count - How many bytes; `null` is all until the end.
   * @returns How many bytes were sent.
   * @throws RangeError where the socket is no stream; TimeoutError where it takes longer than the socket's timeout.
   */
  sendfile(file: SendableFile, options?: WaitOptions): Promise<number>;
  sendfile(file: SendableFile, offset: number | undefined, options?: WaitOptions): Promise<number>;
  sendfile(
    file: SendableFile,
    offset: number | undefined,
    count: number | null | undefined,
    options?: WaitOptions,
  ): Promise<number>;
  async sendfile(...args: unknown[]): Promise<number> {
    const signal = takeSignal(args, 1);
    const [file, from, many] = args;
    const offset = from === undefined ? 0 : integer(from, "offset", 0, Number.MAX_SAFE_INTEGER);
    const count = many === undefined || many === null ? null : integer(many, "count", 1, Number.MAX_SAFE_INTEGER);
    const steps = sendingFile(this.#core, file as SendableFile, offset, count, this.#timeout);
    return this.#waits.run(WRITABLE, {
      syscall: "sendfile",
      timeout: this.#timeout,
      signal,
      self: null,
      args,
      attempt: () => {
        for (let i = 0; i < PIECES; i++) {
          const step = steps.next();
          if (step.done) return step.value;
          if (step.value === WOULD_BLOCK) return i > 0 ? AGAIN : WOULD_BLOCK;
          if (!moved(step.value)) break;
        }
        return AGAIN;
      },
      failed: (_, reason) => {
        steps.return(0); // closes the file
        throw reason;
      },
    });
  }

  // ---- Iteration ----

  /**
   * What comes: data until the stream ends or, of a socket that listens, connections. A loop ends where the socket is
   * closed here. Leaving it leaves the socket open, and what comes later for others.
   *
   * The type is that of data, unless the socket came from `createServer`: of another one that listens, take
   * {@link connections}.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Item> {
    const listens = this.fileno() >= 0 && this.#core.getsockopt(SOL_SOCKET, SO_ACCEPTCONN) !== 0;
    return (listens ? this.connections() : this.chunks()) as AsyncIterableIterator<never>;
  }

  /** The data of a stream as it comes, until its end. */
  chunks(options?: ReceiveOptions): AsyncIterableIterator<Buffer> {
    const { size, signal } = receiveOptions(options);
    const args = [size];
    const take = (): Taking<Buffer> => {
      const data = Socket.#recv(this, args) as Buffer | typeof WOULD_BLOCK;
      return data !== WOULD_BLOCK && data.length === 0 && hasEnd(this.type) ? END : data;
    };
    return this.#items("recv", signal, () => ({ take, isPlain: this.#isPlain(Socket.#recv, args) }));
  }

  /**
   * The connections to a listening socket. Those that were given up before they were accepted are passed over.
   *
   * @throws OSError of accept(2): EMFILE where there are too many descriptors. The socket listens still, and a new loop goes
   *   on.
   */
  connections(options?: WaitOptions): AsyncIterableIterator<Connected<Name>> {
    const take = (): Taking<Connected<Name>> => {
      try {
        return acceptOne(this, []) as Connected<Name> | typeof WOULD_BLOCK;
      } catch (error) {
        if (error instanceof OSError && error.errno === ECONNABORTED) return AGAIN;
        throw error;
      }
    };
    const step = { take };
    return this.#items("accept", optionsSignal(options), () => step);
  }

  /** Datagrams and their senders, without end. */
  datagrams(options?: ReceiveOptions): AsyncIterableIterator<[data: Buffer, address: SenderOf<Name>]> {
    const { size, signal } = receiveOptions(options);
    const args = [size];
    const step = { take: () => Socket.#recvfrom(this, args) as Taking<[Buffer, SenderOf<Name>]> };
    return this.#items("recvfrom", signal, () => step);
  }

  /**
   * The lines of a stream, as text without their ends (`\n` or `\r\n`). The last need not have one. What was received
   * behind the last line that was asked for is there for the next call that receives. The timeout is for a whole line.
   *
   * @throws RangeError where a line is longer than `limit`: what was received of it can still be received.
   */
  lines(options?: LineOptions): AsyncIterableIterator<string> {
    const { limit, signal } = lineOptions(options);
    return this.#items<string>("recv", signal, () => {
      const line: Buffer[] = [];
      let length = 0;
      const goesOn = <T>(how: T): T => {
        this.#unread.begun = length;
        return how;
      };
      // One wait for a whole line: what others receive meanwhile comes behind it.
      return {
        isPlain: this.#isBytes === true && this.#unread.isEmpty,
        take: () => {
          for (let i = 0; i < PIECES; i++) {
            const chunk = Socket.#recv(this, [Math.max(SIZE, this.#unread.length)]) as Buffer | typeof WOULD_BLOCK;
            if (chunk === WOULD_BLOCK) return goesOn(WOULD_BLOCK);
            const end = chunk.indexOf(10);
            line.push(chunk);
            length += end < 0 ? chunk.length : end;
            // What may be of its end does not count.
            const last = end < 0 ? chunk.at(-1) : end > 0 ? chunk[end - 1] : line.at(-2)?.at(-1);
            if (length - (last === 13 ? 1 : 0) > limit)
              throw new RangeError(`lines: a line is longer than the limit of ${limit} bytes`);
            if (end >= 0) {
              this.#unread.set(chunk.subarray(end + 1));
              line[line.length - 1] = chunk.subarray(0, end);
            } else if (chunk.length > 0) continue;
            this.#unread.begun = 0;
            const whole = line.length === 1 ? line[0]! : Buffer.concat(line);
            if (end < 0 && whole.length === 0) return END;
            return whole.toString("utf8", 0, end >= 0 && whole.at(-1) === 13 ? whole.length - 1 : whole.length);
          }
          return goesOn(AGAIN);
        },
        failed: () => {
          this.#unread.begun = 0;
          if (length === 0) return;
          // Not lost: who receives next gets it, and that may wait already.
          this.#unread.set(Buffer.concat(line));
          this.#waits.again(READABLE);
        },
      };
    });
  }

  #items<T>(syscall: string, signal: AbortSignal | undefined, begin: () => Step<T>): AsyncIterableIterator<T> {
    return iterate(this.#waits, syscall, signal, () => this.#timeout, begin);
  }

  // ---- Web streams ----

  /**
   * What is received, as a stream of bytes (with BYOB readers). It receives as it is read, and ends where the connection
   * does; empty datagrams are passed over. Cancelled, it leaves the socket open, and the next one is a new stream.
   *
   * @example
   * ```ts
   * import { socketpair } from "berkeley-sockets/promises";
   * const [a, b] = socketpair();
   * await a.sendall("hello");
   * a.close();
   * console.log(await new Response(b.readable).text()); // hello
   * b.close();
   * ```
   */
  get readable(): ReadableStream<Uint8Array> {
    if (this.#readable !== undefined) return this.#readable;
    const cancelled = new AbortController();
    // An empty datagram has a sender, after SHUT_RD there is none. One of AF_UNIX may have none either.
    const isDatagram = (sender: unknown): boolean =>
      !hasEnd(this.type) && (sender !== null || (this.family === AF_UNIX && !this.#isShut));
    const source = {
      type: "bytes" as const,
      pull: async (controller: ReadableByteStreamController) => {
        // What was received is the stream's in the same moment: one that is cancelled in between would lose it.
        const { byobRequest } = controller;
        const options = { signal: cancelled.signal };
        const view = byobRequest?.view;
        if (view) {
          await this.#wait(READABLE, "recvfromInto", [view, undefined, options], 1, 2, (sock, args) => {
            const received = Socket.#recvfromInto(sock, args) as [number, unknown] | typeof WOULD_BLOCK;
            if (received === WOULD_BLOCK) return received;
            const [n, address] = received;
            if (n === 0 && isDatagram(address)) return AGAIN;
            if (n === 0) controller.close();
            byobRequest.respond(n);
            return n;
          });
          return;
        }
        await this.#wait(READABLE, "recvfrom", [SIZE, options], 1, 1, (sock, args) => {
          const received = Socket.#recvfrom(sock, args) as [Buffer, unknown] | typeof WOULD_BLOCK;
          if (received === WOULD_BLOCK) return received;
          const [data, address] = received;
          if (data.length === 0 && isDatagram(address)) return AGAIN;
          if (data.length > 0) controller.enqueue(data as Uint8Array<ArrayBuffer>);
          else {
            controller.close();
            controller.byobRequest?.respond(0); // of a reader that came meanwhile
          }
          return data;
        });
      },
      cancel: () => {
        this.#readable = undefined;
        cancelled.abort();
      },
    };
    return (this.#readable = new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<Uint8Array>);
  }

  /**
   * What is to be sent, as a stream. A write is done when the system has all of it. Closed, it ends this direction of the
   * connection (SHUT_WR); aborted, it leaves the socket as it is.
   *
   * @example
   * ```ts
   * import { socketpair } from "berkeley-sockets/promises";
   * const [a, b] = socketpair();
   * await new Blob(["hello"]).stream().pipeTo(a.writable);
   * console.log((await b.recv(100)).toString(), (await b.recv(100)).length); // hello 0
   * a.close();
   * b.close();
   * ```
   */
  get writable(): WritableStream<BytesLike> {
    return (this.#writable ??= new WritableStream<BytesLike>({
      write: (chunk, controller) => this.sendall(chunk, { signal: Reflect.get(controller, "signal") as AbortSignal }),
      // Behind what others send.
      close: () =>
        this.#waits.run(WRITABLE, {
          attempt: () => this.shutdown(SHUT_WR),
          self: null,
          args: [],
          syscall: "shutdown",
          timeout: null,
          signal: undefined,
        }),
    }));
  }

  // ---- What does not wait ----

  /** Gives the socket its own address; see bind(2). A host's name is resolved here, and blocks: give a number. */
  bind(address: AddressArgument<Name>): void {
    this.#core.bind(address);
  }

  /**
   * Closes the socket. What waits is rejected with ECANCELED. Closing twice is nothing.
   *
   * @throws OSError where close(2) reports an error.
   */
  close(): void {
    this.#waits.close();
    this.#unread.clear();
    this.#core.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * Gives the descriptor up: the socket is closed, the descriptor stays open, becomes blocking, and is the caller's. What
   * waits is rejected with ECANCELED. `new Socket({ fileno: sock.detach() })` of the root moves it there. Whether it is
   * blocking is the same for all descriptors of the socket, those of `dup` and other processes too.
   *
   * @returns The descriptor; -1 where the socket was closed.
   * @throws Error where `lines` left something that it had received: it would be lost. Receive it first.
   */
  detach(): number {
    this.#unread.mustBeEmpty("detach", this.#unread.begun);
    this.#waits.close();
    try {
      if (this.#core.fileno() >= 0) this.#core.setblocking(true);
    } catch (error) {
      if (!(error instanceof OSError)) throw error; // it was closed behind the socket's back
    }
    return this.#core.detach();
  }

  /**
   * A second socket object for the same socket, with a descriptor of its own.
   *
   * @throws OSError: EBADF, EMFILE.
   */
  dup(): Socket<Name, Item> {
    const copy = wrap(this.#core.dup()) as Socket<Name, Item>;
    copy.#timeout = this.#timeout;
    return copy;
  }

  /** Describes the socket for another process; see the root's `Socket.share`. Windows only. */
  share(processId: number): Buffer {
    return this.#core.share(processId);
  }

  /** The descriptor; -1 once the socket is closed. It remains the socket's. */
  fileno(): number {
    return this.#core.fileno();
  }

  /** Whether child processes inherit the descriptor. */
  getInheritable(): boolean {
    return this.#core.getInheritable();
  }

  /** Sets whether child processes inherit the descriptor. */
  setInheritable(inheritable: boolean): void {
    this.#core.setInheritable(inheritable);
  }

  /**
   * The peer's address; see getpeername(2).
   *
   * @throws OSError: ENOTCONN.
   */
  getpeername(): AddressOf<Name> {
    return this.#core.getpeername() as AddressOf<Name>;
  }

  /** The socket's own address; see getsockname(2). */
  getsockname(): AddressOf<Name> {
    return this.#core.getsockname() as AddressOf<Name>;
  }

  /** The value of an option; see the root's `Socket.getsockopt` and getsockopt(2). */
  getsockopt(level: number, option: number): number;
  getsockopt(level: number, option: number, buflen: number): Buffer;
  getsockopt(...args: [number, number]): number | Buffer {
    return this.#core.getsockopt(...args);
  }

  /** Sets an option; see the root's `Socket.setsockopt` and setsockopt(2). */
  setsockopt(level: number, option: number, value: number | BytesLike): void;
  setsockopt(level: number, option: number, value: null, optlen: number): void;
  setsockopt(...args: unknown[]): void {
    this.#core.setsockopt(...(args as [number, number, number]));
    this.#isBytes = undefined; // it may have been TCP_ULP, or SO_RCVLOWAT
    this.#waits.ranDry(false);
  }

  /** Whether calls may wait. */
  getblocking(): boolean {
    return this.#timeout !== 0;
  }

  /** The timeout in seconds: 0 is not to wait, `null` to wait as long as it takes. */
  gettimeout(): number | null {
    return this.#timeout;
  }

  /** `true` is `settimeout(null)`, `false` is `settimeout(0)`. */
  setblocking(blocking: boolean): void {
    this.settimeout(flag(blocking, "blocking") ? null : 0);
  }

  /**
   * Sets how long a call may wait; those that wait already keep the time they began with.
   *
   * @param timeout - Seconds, from 0 (a call that would wait is rejected with BlockingIOError); `null`: as long as it
   *   takes. A call that runs out of time is rejected with {@link TimeoutError}.
   */
  settimeout(timeout: number | null): void {
    const value = seconds(timeout, "timeout");
    this.#core.setblocking(false); // says whether it is closed
    this.#timeout = value;
  }

  /** A device's own call; see the root's `Socket.ioctl` and ioctl(2). */
  ioctl(request: number, argument?: number | NodeJS.ArrayBufferView | KeepaliveValues): number;
  ioctl(...args: [number]): number {
    return this.#core.ioctl(...args);
  }

  /** Lets a bound socket take connections; see listen(2). */
  listen(backlog?: number): void {
    this.#core.listen(backlog);
  }

  /**
   * Ends one direction of a connection or both; see shutdown(2). Linux does not tell of SHUT_RD on a socket of datagrams: what
   * waits to receive there waits on.
   *
   * @param how - `SHUT_RD`, `SHUT_WR`, `SHUT_RDWR`.
   */
  shutdown(how: number): void {
    this.#core.shutdown(how);
    if (how !== SHUT_WR) this.#isShut = true;
  }

  /** What waits on the socket keeps the process alive again; see {@link unref}. */
  ref(): this {
    this.#waits.keepAlive(true);
    return this;
  }

  /** What waits on the socket does not keep the process alive: it may end meanwhile. */
  unref(): this {
    this.#waits.keepAlive(false);
    return this;
  }

  /** Shows the names of its constants, and both addresses. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return Bun.inspect(this.#core);
  }

  // ---- How it waits ----

  /** A call that takes plain arguments and, at its end, how to wait. `flags` is where its flags are. */
  #wait(
    wanted: Wanted,
    name: string,
    args: unknown[],
    least: number,
    flags: number,
    attempt: Attempt<AnySocket, unknown>,
  ): Promise<unknown> {
    let signal: AbortSignal | undefined;
    if (args.length > least) {
      try {
        signal = takeSignal(args, least);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#waitBy(wanted, name, args, signal, flags, attempt);
  }

  #waitBy(
    wanted: Wanted,
    name: string,
    args: unknown[],
    signal: AbortSignal | undefined,
    flags: number,
    attempt: Attempt<AnySocket, unknown>,
    address?: unknown,
    timeLeft = this.#timeout,
  ): Promise<unknown> {
    const given = flags >= 0 ? args[flags] : undefined;
    const timeout = timeoutWith(given, timeLeft);
    if (typeof given === "number") wanted = wantedBy(given, wanted);
    if (this.#waits.hasWaiting(wanted)) {
      // It will not be tried soon; whether its arguments are right shows at once, on a socket that is closed.
      const core = this.#core;
      try {
        Reflect.apply(Reflect.get(core, name) as AnyMethod, closedLike(core), args);
      } catch (error) {
        if (!(error instanceof OSError)) return Promise.reject(error);
      }
    }
    return this.#waits.run(wanted, {
      attempt,
      self: this,
      args,
      syscall: syscalls[name] ?? name,
      address,
      timeout,
      signal,
      isPlain: this.#isPlain(attempt, args),
    });
  }

  /** Whether a call receives bytes, and can do nothing else: its arguments are right, it has no flags, `lines` left nothing. */
  #isPlain(attempt: unknown, args: unknown[]): boolean {
    if (this.#isBytes !== true || !this.#unread.isEmpty || args.length !== 1) return false;
    const asked = args[0];
    if (attempt === Socket.#recv) return typeof asked === "number" && asked >= 1 && asked <= INT_MAX && asked % 1 === 0;
    return attempt === Socket.#recvInto && asked instanceof Uint8Array && byteLengthOf(asked) > 0;
  }

  /** A call that has a batch to itself until it has ended: its arguments are the batch, flags, and how to wait. */
  async #waitWithBatch(
    wanted: Wanted,
    syscall: string,
    args: unknown[],
    attempt: Attempt<AnySocket, unknown>,
  ): Promise<number> {
    const signal = takeSignal(args, 1);
    const flags = args.length < 2 ? 0 : bits(args[1], "flags");
    const timeout = timeoutWith(flags, this.#timeout);
    const given = [args[0], flags, timeout, 0];
    const wait = { attempt, self: this, args: given, syscall, timeout, signal };
    const batch = hold(args[0], (reason) => this.#waits.end((one) => one === wait, reason));
    try {
      return (await this.#waits.run(wantedBy(flags, wanted), wait)) as number;
    } finally {
      batch[RELEASE]();
    }
  }

  // The attempts. What `lines` left comes first.

  static #recv(sock: AnySocket, args: unknown[]): unknown {
    if (sock.#unread.isFor(args, 1)) return sock.#unread.take(args[0], args[1]);
    const data = quietly(sock.#core.recv as AnyMethod, sock.#core, args) as Buffer | typeof WOULD_BLOCK;
    if (data === WOULD_BLOCK) return WOULD_BLOCK;
    moved(data.length);
    if (args.length === 1) sock.#received(data.length, args[0] as number);
    return data;
  }

  static #recvfrom(sock: AnySocket, args: unknown[]): unknown {
    if (sock.#unread.isFor(args, 1)) return [sock.#unread.take(args[0], args[1]), null];
    return quietly(sock.#core.recvfrom as AnyMethod, sock.#core, args);
  }

  static #recvInto(sock: AnySocket, args: unknown[]): unknown {
    if (sock.#unread.isFor(args, 2)) return sock.#unread.takeInto([args[0]], args[1], args[2]);
    const n = quietly(sock.#core.recvInto as AnyMethod, sock.#core, args) as number | typeof WOULD_BLOCK;
    if (n === WOULD_BLOCK) return WOULD_BLOCK;
    moved(n);
    if (args.length === 1) sock.#received(n, byteLengthOf(args[0] as NodeJS.ArrayBufferView));
    return n;
  }

  static #recvfromInto(sock: AnySocket, args: unknown[]): unknown {
    if (sock.#unread.isFor(args, 2)) return [sock.#unread.takeInto([args[0]], args[1], args[2]), null];
    return quietly(sock.#core.recvfromInto as AnyMethod, sock.#core, args);
  }

  static #recvmsg(sock: AnySocket, args: unknown[]): unknown {
    if (sock.#unread.isFor(args, 2)) return [sock.#unread.take(args[0], args[2]), [], 0, null];
    return quietly(sock.#core.recvmsg as AnyMethod, sock.#core, args);
  }

  static #recvmsgInto(sock: AnySocket, args: unknown[]): unknown {
    if (sock.#unread.isFor(args, 2))
      return [sock.#unread.takeInto(args[0] as unknown[], undefined, args[2]), [], 0, null];
    return quietly(sock.#core.recvmsgInto as AnyMethod, sock.#core, args);
  }

  static #send(sock: AnySocket, args: unknown[]): unknown {
    const sent = quietly(sock.#core.send as AnyMethod, sock.#core, args) as number | typeof WOULD_BLOCK;
    if (sent !== WOULD_BLOCK) moved(sent);
    return sent;
  }

  static #sendall(sock: AnySocket, args: unknown[]): unknown {
    for (let i = 0; ; i++) {
      const data = args[0] as NodeJS.ArrayBufferView;
      const length = byteLengthOf(data);
      if (length > PIECE_BYTES && sock.type === SOCK_STREAM) args[0] = bytesOf(data).subarray(0, PIECE_BYTES);
      const sent = quietly(sock.#core.send as AnyMethod, sock.#core, args) as number | typeof WOULD_BLOCK;
      if (sent !== WOULD_BLOCK && sent >= length) {
        moved(sent);
        return undefined;
      }
      args[0] = sent === WOULD_BLOCK || sent === 0 ? data : bytesOf(data).subarray(sent);
      if (sent === WOULD_BLOCK) return i > 0 ? AGAIN : WOULD_BLOCK;
      if (!moved(sent)) return AGAIN;
    }
  }

  static #sendto(sock: AnySocket, args: unknown[]): unknown {
    return quietly(sock.#core.sendto as AnyMethod, sock.#core, args);
  }

  static #sendmsg(sock: AnySocket, args: unknown[]): unknown {
    return quietly(sock.#core.sendmsg as AnyMethod, sock.#core, args);
  }

  static #sendmsgAfalg(sock: AnySocket, args: unknown[]): unknown {
    return quietly(sock.#core.sendmsgAfalg as AnyMethod, sock.#core, args);
  }

  static #recvBatch(sock: AnySocket, args: unknown[]): unknown {
    const [batch, flags] = args as [Batch, number];
    sock.#unread.mustBeEmpty("recvBatch");
    const begun = performance.now();
    const n = quietly(batch[RECEIVE], batch, [sock.#core, flags, 0]);
    spent(begun);
    return n;
  }

  static #sendBatch(sock: AnySocket, args: unknown[]): unknown {
    const [batch, flags, timeout, before] = args as [Batch, number, number | null, number];
    const begun = performance.now();
    const n = quietly(batch[SEND], batch, [sock.#core, flags, 0, before, true]);
    spent(begun);
    const sent = n === WOULD_BLOCK ? before : before + n;
    args[3] = sent;
    if (n !== WOULD_BLOCK && batch[LEFT]) return AGAIN;
    const waits = n === WOULD_BLOCK || batch[BLOCKED];
    return waits && (sent === 0 || timeout !== 0) ? WOULD_BLOCK : sent;
  }

  /**
   * An address whose host is a name, by number: resolved as the root does, but without blocking. And what is left of the
   * time for the call.
   */
  async #resolved(
    address: unknown,
    syscall: string,
    timeout: number | null,
    signal: AbortSignal | undefined,
  ): Promise<[address: unknown[], timeout: number | null]> {
    const [host, ...rest] = address as [string, ...unknown[]];
    const { family, proto } = this.#core;
    const steps = lookUp(hostName(host, "address[0]"), null, family, 0, 0, 0, host);
    const began = performance.now();
    // As in the root, a socket that does not wait waits for the name all the same.
    const found = await this.#waits.ask(
      { syscall, address, timeout: timeout === 0 ? null : timeout, signal },
      (ended) => follow(steps, ended, false),
    );
    const left = timeout ? Math.max(timeout - (performance.now() - began) / 1000, Number.MIN_VALUE) : timeout;
    const first = decodePacked(found[0]!.name, proto) as [string, number, number, number];
    // A scope that came with the name, as in fe80::1%eth0.
    if (family === AF_INET6 && rest.length < 3 && first[3] !== 0) {
      return [[first[0], rest[0], rest[1] ?? 0, first[3]], left];
    }
    return [[first[0], ...rest], left];
  }

  /** `n` bytes were received, of as many as `most`. */
  #received(n: number, most: number): void {
    if (n > 0 && n < most && n <= SHORT && (this.#isBytes ??= hasPlainBytes(this.#core))) this.#waits.ranDry(true);
  }
}

/** What a receive of a message gives. */
export type Message<Data, Name extends FamilyName = FamilyName> = [
  data: Data,
  ancdata: ReceivedAncillaryData[],
  flags: number,
  address: SenderOf<Name>,
];

function acceptOne(sock: AnySocket, args: unknown[]): unknown {
  const core = coreOf(sock);
  const accepted = quietly(core.accept as AnyMethod, core, args);
  if (accepted === WOULD_BLOCK) return WOULD_BLOCK;
  const [conn, address] = accepted as [CoreSocket, unknown];
  return [wrap(conn), address];
}

/** Python's name for the type of {@link Socket}. */
export const SocketType: typeof Socket = Socket;

/** A socket over one of the root's, which nobody else may use any more. */
export function wrap(core: CoreSocket): Socket {
  return new Socket(new Taken(core));
}

/** The names of the system's calls, where they are others than the methods'. */
const syscalls: Partial<Record<string, string>> = {
  recvInto: "recv",
  recvfromInto: "recvfrom",
  recvmsgInto: "recvmsg",
  sendmsgAfalg: "sendmsg",
};

/** Whether to receive nothing is the end of what comes by a socket of that type, and no empty message. */
function hasEnd(type: number): boolean {
  return type === SOCK_STREAM || type === SOCK_SEQPACKET;
}

function isConnected(core: CoreSocket): boolean {
  try {
    core.getpeername();
    return true;
  } catch (error) {
    // A family without the call does not tell that it is not connected.
    return !(error instanceof OSError) || (error.errno !== ENOTCONN && error.errno !== ENOTSUP);
  }
}

/**
 * Whether a socket is of Linux's TCP, no protocol above it (TLS, MPTCP) makes records of what is received, and the first
 * byte is told as the others are.
 */
function hasPlainBytes(core: CoreSocket): boolean {
  const { family, type, proto } = core;
  if (TCP_ULP === undefined || (family !== AF_INET && family !== AF_INET6) || type !== SOCK_STREAM) return false;
  if (proto !== 0 && proto !== IPPROTO_TCP) return false;
  try {
    return core.getsockopt(SOL_SOCKET, SO_RCVLOWAT) <= 1 && core.getsockopt(IPPROTO_TCP, TCP_ULP, 16).length === 0;
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    return false;
  }
}

const closed = new Map<string, CoreSocket>();

/** A socket that is closed, of the same family, type and protocol: its calls look at their arguments, and do nothing. */
function closedLike({ family, type, proto }: CoreSocket): CoreSocket {
  const key = `${family} ${type} ${proto}`;
  let sock = closed.get(key);
  if (sock === undefined) closed.set(key, (sock = adopt(-1, family, type, proto)));
  return sock;
}
