/**
 * The socket object: a thin object over the system's calls.
 */
import { type AfalgOptions, afalgMessage } from "./afalg.ts";
import {
  type BytesLike,
  bits,
  bytes,
  bytesAt,
  byteLengthOf,
  bytesOf,
  descriptor,
  flag,
  INT_MAX,
  INT_MIN,
  integer,
  lacking,
  options,
  present,
  seconds,
  UINT_MAX,
  writable,
  wrongType,
  wrongValue,
} from "./args.ts";
import { CORE, hold, RECEIVE, RELEASE, SEND } from "./batch.ts";
import {
  AddressFamily,
  AF_ALG,
  AF_VSOCK,
  AF_INET,
  EAGAIN,
  EBADF,
  EOPNOTSUPP,
  IPPROTO_TCP,
  SIO_KEEPALIVE_VALS,
  SIO_TCP_SET_ACK_FREQUENCY,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SocketKind,
  SOMAXCONN,
} from "./constants.ts";
import { failed, systemError } from "./errors.ts";
import {
  type AddressArgument,
  type AddressOf,
  decodeName,
  familyOf,
  type FamilyName,
  type SenderOf,
  type FamilyConstant,
} from "./families/index.ts";
import { outName } from "./families/family.ts";
import { type FileOptions, openSocketFile, type SocketFile } from "./makefile.ts";
import {
  type AncillaryData,
  closeReceived,
  control,
  controlRoom,
  items,
  list,
  nothing,
  packControl,
  readControl,
  receivedControl,
  type ReceivedAncillaryData,
} from "./message.ts";
import { io, ioWords, shim, slicesOf, TIMED_OUT } from "./native.ts";
import type { MessageBatch } from "./packets/batch.ts";
import type { Socket as PromisesSocket } from "./promises/socket.ts";
import { room, taken } from "./room.ts";
import { sendFile, type SendableFile } from "./sendfile.ts";

/** No timeout: the descriptor is blocking, and the system waits as long as it takes. */
const FOREVER = -1;

/** Bits that may be set in a type and are no part of it. */
const TYPE_FLAGS = (SOCK_NONBLOCK ?? 0) | (SOCK_CLOEXEC ?? 0);

let defaultTimeout: number | null = null;

/**
 * The timeout that new sockets begin with, in seconds; `null` (blocking) unless {@link setdefaulttimeout} said otherwise.
 * Each Worker has its own.
 *
 * @example
 * ```ts
 * import { getdefaulttimeout } from "berkeley-sockets";
 * console.log(getdefaulttimeout()); // null
 * ```
 */
export function getdefaulttimeout(): number | null {
  return defaultTimeout;
}

/**
 * Sets the timeout that new sockets begin with, those of `accept` too.
 *
 * @param timeout - Seconds; 0 for non-blocking, `null` for blocking. See {@link Socket.settimeout}.
 * @throws TypeError, RangeError for anything else.
 *
 * @example
 * ```ts
 * import { setdefaulttimeout, Socket } from "berkeley-sockets";
 * setdefaulttimeout(2.5);
 * using sock = new Socket();
 * console.log(sock.gettimeout()); // 2.5
 * setdefaulttimeout(null);
 * ```
 */
export function setdefaulttimeout(timeout: number | null): void {
  defaultTimeout = seconds(timeout, "timeout");
}

/** What outlives a socket: its descriptor, and what to call it when it was forgotten. */
interface Handle {
  /** -1 once it is closed or detached. */
  fd: number;
  /** Whether the socket was closed, and only a file of `makefile` kept the descriptor. */
  closed: boolean;
  readonly family: number;
  readonly type: number;
}

/** Sockets that were collected without having been closed. */
const forgotten = new FinalizationRegistry<Handle>((handle) => {
  if (handle.fd < 0) return;
  shim.bs_close(handle.fd);
  const forgot = handle.closed ? "unclosed file of a" : "unclosed";
  const what = `fd ${handle.fd}, ${familyName(handle.family)} ${kindName(handle.type)}`;
  process.emitWarning(`${forgot} Socket <${what}>`, "ResourceWarning");
});

/** A descriptor that the library itself just made, and of which it knows everything. */
class Made {
  readonly fd: number;
  readonly family: number;
  readonly type: number;
  readonly proto: number;
  readonly timeout: number;

  constructor(fd: number, family: number, type: number, proto: number, timeout: number) {
    this.fd = fd;
    this.family = family;
    this.type = type;
    this.proto = proto;
    this.timeout = timeout;
  }
}

/**
 * A socket.
 *
 * Every call does what the system call of its name does; a call that has to wait stops the whole JavaScript thread, in a
 * script, a test or a Worker what one wants. Once a socket and its files are closed, its calls fail with EBADF.
 *
 * Sockets are blocking at first, never inherited by child processes, and closed with a ResourceWarning when they are
 * forgotten; `close()` or `using` is better.
 *
 * @typeParam Name - The family's name, from which the type of its addresses follows.
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * using a = new Socket(AF_INET, SOCK_DGRAM);
 * using b = new Socket(AF_INET, SOCK_DGRAM);
 * a.bind(["127.0.0.1", 0]);
 * b.sendto("hello", a.getsockname());
 * const [data, from] = a.recvfrom(2048);
 * console.log(data.toString(), from[0]); // hello 127.0.0.1
 * ```
 */
export class Socket<out Name extends FamilyName = FamilyName> {
  readonly #handle: Handle;
  readonly #family: number;
  readonly #type: number;
  readonly #proto: number;
  /** Seconds, as the shim takes them. */
  #timeout: number;
  /** How many files of `makefile` are open; they keep the descriptor. */
  #files = 0;
  /** What TCP_QUICKACK was set to on Windows, which does not tell. */
  #quickAck = 0;

  /**
   * Opens a socket; see socket(2).
   *
   * @param family - The address family: `AF_INET` by default.
   * @param type - `SOCK_STREAM` by default. `SOCK_NONBLOCK` may be added where it exists, and is no part of `type` then.
   * @param proto - The protocol; 0 for the type's own.
   * @param options - `fileno`: a descriptor to take over instead of opening one. Not a duplicate: closing the socket
   *   closes it. A family, type or protocol of -1 is asked of it.
   * @throws OSError from socket(2) (EAFNOSUPPORT, EACCES, EMFILE …); EBADF or ENOTSOCK for a `fileno` that is no socket.
   * @throws TypeError for an `undefined` family: a constant that this platform lacks.
   */
  constructor(family: FamilyConstant<Name>, type?: number, proto?: number, options?: { fileno?: number });
  constructor(family?: number, type?: number, proto?: number, options?: { fileno?: number });
  /** Takes over a descriptor, and asks it for its family, type and protocol. */
  constructor(options: { fileno: number });
  /** @internal */
  constructor(made: Made);
  constructor(...args: unknown[]) {
    const made = args[0] instanceof Made ? args[0] : open(args);
    this.#family = made.family;
    this.#type = made.type & ~TYPE_FLAGS;
    this.#proto = made.proto;
    this.#timeout = made.timeout;
    this.#handle = { fd: made.fd, closed: false, family: made.family, type: this.#type };
    forgotten.register(this, this.#handle);
  }

  /** The address family, `AF_*`. */
  get family(): number {
    return this.#family;
  }

  /** The type, `SOCK_*`, without `SOCK_NONBLOCK` and `SOCK_CLOEXEC`. */
  get type(): number {
    return this.#type;
  }

  /** The protocol, as it was given or detected. */
  get proto(): number {
    return this.#proto;
  }

  /** The timeout in seconds: 0 is non-blocking, `null` blocking. */
  get timeout(): number | null {
    return this.#timeout === FOREVER ? null : this.#timeout;
  }

  /**
   * Waits for a connection to a listening socket; see accept(2).
   *
   * @returns The connection's socket and the peer's address. The new socket has the default timeout where there is one,
   *   and is blocking otherwise.
   * @throws OSError: EINVAL where the socket does not listen, ECONNABORTED, EMFILE; BlockingIOError, TimeoutError.
   */
  accept(): [conn: Socket<Name>, address: AddressOf<Name>] {
    const fd = shim.bs_accept(this.#handle.fd, this.#family === AF_ALG ? 0 : 1, io, this.#timeout);
    if (fd < 0) throw systemError("accept", fd);
    // The socket first: whatever goes wrong with the address, the descriptor has an owner.
    const conn = adopt(fd, this.#family, this.#type, this.#proto) as Socket<Name>;
    return [conn, this.#address()];
  }

  /**
   * Gives the socket its own address; see bind(2).
   *
   * @param address - In the family's shape. Port 0 is one that the system chooses; {@link getsockname} tells it.
   * @throws OSError: EADDRINUSE, EADDRNOTAVAIL, EACCES; ENAMETOOLONG for a path; gaierror for a name of no host.
   */
  bind(address: AddressArgument<Name>): void {
    const length = familyOf(this.#family).encode(address, "bind", this.#proto, this.#handle.fd);
    const r = shim.bs_bind(this.#handle.fd, outName, length);
    if (r < 0) throw systemError("bind", r, address);
  }

  /**
   * Closes the socket. The descriptor is closed when the last file of {@link makefile} is closed too: a file that is
   * forgotten keeps the connection until it is collected. Closing twice is nothing.
   *
   * @throws OSError where close(2) reports an error.
   */
  close(): void {
    this.#handle.closed = true;
    if (this.#files === 0) this.#reallyClose();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #reallyClose(): void {
    const fd = this.#handle.fd;
    if (fd < 0) return;
    this.#handle.fd = -1;
    const r = shim.bs_close(fd);
    if (r < 0) throw systemError("close", r);
  }

  /**
   * Connects to an address; see connect(2). With a timeout it may take that long; interrupted, it goes on.
   *
   * @throws OSError: ECONNREFUSED, ENETUNREACH, ETIMEDOUT …; BlockingIOError (EINPROGRESS) where the socket is
   *   non-blocking; TimeoutError; gaierror for a name of no host.
   */
  connect(address: AddressArgument<Name>): void {
    const length = familyOf(this.#family).encode(address, "connect", this.#proto, this.#handle.fd);
    const r = shim.bs_connect(this.#handle.fd, outName, length, this.#timeout);
    if (r < 0) throw systemError("connect", r, address);
  }

  /**
   * Like {@link connect}, but returns the system's error instead of throwing it.
   *
   * @returns 0, or an `errno`; EAGAIN where the timeout ran out, as CPython has it.
   * @throws TypeError, RangeError, gaierror: what is no error of connect(2).
   */
  connectEx(address: AddressArgument<Name>): number {
    const length = familyOf(this.#family).encode(address, "connect", this.#proto, this.#handle.fd);
    const r = shim.bs_connect(this.#handle.fd, outName, length, this.#timeout);
    return r === TIMED_OUT ? EAGAIN : Math.abs(r);
  }

  /**
   * Gives the descriptor up: the socket is closed, the descriptor stays open and is the caller's.
   *
   * @returns The descriptor; -1 where the socket was closed.
   */
  detach(): number {
    const fd = this.#handle.fd;
    this.#handle.fd = -1;
    this.#handle.closed = true;
    return fd;
  }

  /**
   * A second socket object for the same socket, with a descriptor of its own.
   *
   * @throws OSError: EBADF, EMFILE.
   */
  dup(): Socket<Name> {
    const fd = shim.bs_dup(this.#handle.fd);
    if (fd < 0) throw systemError("dup", fd);
    return new Socket(new Made(fd, this.#family, this.#type, this.#proto, this.#timeout)) as Socket<Name>;
  }

  /**
   * Describes the socket for another process, which opens it with {@link fromshare}. Both have the socket then, until both
   * have closed it. Windows only.
   *
   * @param processId - The process that may open it, once.
   * @returns A `WSAPROTOCOL_INFOW`; how it gets to the other process is the caller's affair.
   * @throws OSError: EINVAL where there is no such process, EACCES; TypeError on other platforms.
   * @see https://learn.microsoft.com/windows/win32/api/winsock2/nf-winsock2-wsaduplicatesocketw
   *
   * @example
   * ```ts
   * import { Socket } from "berkeley-sockets";
   * using sock = new Socket();
   * const data = process.platform === "win32" ? sock.share(process.pid) : null;
   * console.log(data?.length ?? 628); // 628
   * ```
   */
  share(processId: number): Buffer {
    const pid = integer(processId, "processId", 0, UINT_MAX);
    if (process.platform !== "win32") throw lacking("share", "on Windows only");
    const info = Buffer.alloc(SHARED_LENGTH);
    const n = shim.bs_share(this.#handle.fd, pid, info, info);
    if (n < 0) throw systemError("share", n);
    return info;
  }

  /**
   * The descriptor; -1 once the socket and all its files are closed. It remains the socket's. On Windows it is a `SOCKET`,
   * which `node:fs` does not know.
   */
  fileno(): number {
    return this.#handle.fd;
  }

  /** Whether child processes inherit the descriptor. */
  getInheritable(): boolean {
    const r = shim.bs_get_inheritable(this.#handle.fd);
    if (r < 0) throw systemError("fcntl", r);
    return r === 1;
  }

  /** Sets whether child processes inherit the descriptor. */
  setInheritable(inheritable: boolean): void {
    const on = flag(inheritable, "inheritable");
    const r = shim.bs_set_inheritable(this.#handle.fd, on ? 1 : 0);
    if (r < 0) throw systemError("fcntl", r);
  }

  /**
   * The peer's address; see getpeername(2).
   *
   * @throws OSError: ENOTCONN.
   */
  getpeername(): AddressOf<Name> {
    const r = shim.bs_getpeername(this.#handle.fd, io);
    if (r < 0) throw systemError("getpeername", r);
    return this.#address();
  }

  /**
   * The socket's own address; see getsockname(2).
   *
   * @throws OSError: EBADF; EINVAL on Windows, where the socket has none yet.
   */
  getsockname(): AddressOf<Name> {
    const r = shim.bs_getsockname(this.#handle.fd, io);
    if (r < 0) throw systemError("getsockname", r);
    return this.#address();
  }

  /**
   * The value of an option; see getsockopt(2), socket(7), tcp(7), ip(7).
   *
   * @param level - `SOL_SOCKET`, `IPPROTO_TCP` …
   * @param option - `SO_*`, `TCP_*` …
   * @param buflen - Left out or 0: the option is a C int (of the level AF_VSOCK, 64 bits), and returned as a number. Otherwise
   *   the most bytes to return.
   * @throws OSError: ENOPROTOOPT, EINVAL.
   */
  getsockopt(level: number, option: number): number;
  getsockopt(level: number, option: number, buflen: number): Buffer;
  getsockopt(level: number, option: number, buflen?: number): number | Buffer {
    const l = integer(level, "level");
    if (l === IPPROTO_TCP && option === QUICK_ACK && buflen === undefined) return this.#getQuickAck();
    const o = integer(option, "option");
    const size = buflen === undefined ? 0 : integer(buflen, "buflen", 0);
    if (size === 0 && this.#isWide(l)) {
      const words = new Uint32Array(2);
      const n = shim.bs_getsockopt(this.#handle.fd, l, o, words, words);
      if (n < 0) throw systemError("getsockopt", n);
      return words[0]! + words[1]! * 2 ** 32;
    }
    if (size === 0) {
      const r = shim.bs_getsockopt_int(this.#handle.fd, l, o, io);
      if (r < 0) throw systemError("getsockopt", r);
      return ioWords[0]!;
    }
    const value = Buffer.alloc(size);
    const n = shim.bs_getsockopt(this.#handle.fd, l, o, value, value);
    if (n < 0) throw systemError("getsockopt", n);
    return n === size ? value : Buffer.from(value.subarray(0, n));
  }

  /**
   * Sets an option; see setsockopt(2).
   *
   * @param value - A C int, signed or unsigned (of the level AF_VSOCK, 64 bits); bytes; or `null` with `optlen`, for the
   *   options that want no value and a length (AF_ALG's).
   * @throws OSError: ENOPROTOOPT, EINVAL, EPERM.
   */
  setsockopt(level: number, option: number, value: number | BytesLike): void;
  setsockopt(level: number, option: number, value: null, optlen: number): void;
  setsockopt(level: number, option: number, value: number | BytesLike | null, optlen?: number): void {
    const l = integer(level, "level");
    if (l === IPPROTO_TCP && option === QUICK_ACK) return this.#setQuickAck(value);
    const o = integer(option, "option");
    let r: number;
    if (value === null) {
      const length = integer(optlen, "optlen", 0);
      r = shim.bs_setsockopt_null(this.#handle.fd, l, o, length);
    } else if (optlen !== undefined) {
      throw wrongType("value", "null where optlen is given", value);
    } else if (typeof value === "number" && this.#isWide(l)) {
      const number = integer(value, "value", 0, Number.MAX_SAFE_INTEGER);
      const words = Uint32Array.of(number % 2 ** 32, number / 2 ** 32);
      r = shim.bs_setsockopt(this.#handle.fd, l, o, words, words);
    } else if (typeof value === "number") {
      const number = integer(value, "value", INT_MIN, UINT_MAX) | 0;
      r = shim.bs_setsockopt_int(this.#handle.fd, l, o, number);
    } else {
      const data = bytes(value, "value");
      r = shim.bs_setsockopt(this.#handle.fd, l, o, data, data);
    }
    if (r < 0) throw systemError("setsockopt", r);
  }

  /** Whether a level's numbers have 64 bits. */
  #isWide(level: number): boolean {
    return AF_VSOCK !== undefined && level === AF_VSOCK && this.#family === AF_VSOCK;
  }

  #getQuickAck(): number {
    if (this.#handle.fd < 0) throw systemError("getsockopt", -EBADF);
    return this.#quickAck;
  }

  /** TCP_QUICKACK on Windows: a request of {@link ioctl}, whose number the constant is, as CPython has it. */
  #setQuickAck(value: unknown): void {
    const on = integer(value, "value");
    this.ioctl(SIO_TCP_SET_ACK_FREQUENCY, on);
    this.#quickAck = on;
  }

  /** Whether the socket is blocking, with or without a timeout. */
  getblocking(): boolean {
    return this.#timeout !== 0;
  }

  /** The timeout in seconds: 0 is non-blocking, `null` blocking. */
  gettimeout(): number | null {
    return this.timeout;
  }

  /** `true` is `settimeout(null)`, `false` is `settimeout(0)`. */
  setblocking(blocking: boolean): void {
    this.settimeout(flag(blocking, "blocking") ? null : 0);
  }

  /**
   * Sets how long a call may wait.
   *
   * The descriptor itself is blocking only where the timeout is `null`; that is shared with every other descriptor of the
   * socket.
   *
   * @param timeout - Seconds, from 0 (non-blocking: a call that would wait throws BlockingIOError); `null`: as long as it
   *   takes. A call that runs out of time throws {@link TimeoutError}.
   */
  settimeout(timeout: number | null): void {
    const value = seconds(timeout, "timeout") ?? FOREVER;
    const r = shim.bs_set_blocking(this.#handle.fd, value === FOREVER ? 1 : 0);
    if (r < 0) throw systemError("ioctl", r);
    this.#timeout = value;
  }

  /**
   * A device's own call; see ioctl(2), on Windows WSAIoctl.
   *
   * @param request - The call's number: `SIOC*`, `FIONREAD` …, on Windows `SIO_*`.
   * @param argument - A C int, or a view that the call reads and writes. For `SIO_KEEPALIVE_VALS` also
   *   `[onoff, time, interval]`: whether to ask a silent peer, after how many milliseconds, and how many after each
   *   question that stays without an answer.
   * @returns The call's own result, 0 as a rule; on Windows how many bytes it wrote.
   * @throws OSError: ENOTTY, EINVAL, ENODEV.
   * @see https://learn.microsoft.com/windows/win32/winsock/winsock-ioctls
   */
  ioctl(request: number, argument?: number | NodeJS.ArrayBufferView | KeepaliveValues): number {
    return deviceControl(() => this.#handle.fd, request, argument);
  }

  /**
   * Lets a bound socket take connections; see listen(2).
   *
   * @param backlog - How many may wait to be accepted; below 0 is 0. By default what the system thinks reasonable, at
   *   most 128.
   */
  listen(backlog?: number): void {
    const n = backlog === undefined ? Math.min(SOMAXCONN, 128) : Math.max(0, integer(backlog, "backlog"));
    const r = shim.bs_listen(this.#handle.fd, n);
    if (r < 0) throw systemError("listen", r);
  }

  /**
   * A file over the socket: text, or bytes where the mode has a `b`; with a buffer, unless there shall be none.
   *
   * The file keeps the descriptor open: it is closed once the socket and all of its files are. The file has the socket's
   * timeout; after a timeout, reads that would have to receive fail. The socket should not be non-blocking.
   *
   * @param mode - `r` (the default), `w` or both, and `b` for bytes.
   * @param buffering - The size of the buffer in bytes; -1 or `null` (the default) is 8192. 0 is none, for bytes only; 1 is
   *   line buffering for text: what is written is sent at each line.
   * @param options - `encoding`, `errors` and `newline` of text, and `buffering` where it is not given before.
   * @throws TypeError, RangeError for anything else.
   *
   * @example
   * ```ts
   * import { socketpair } from "berkeley-sockets";
   * const [a, b] = socketpair();
   * a.send("one\r\ntwo\r\n");
   * a.close();
   * using file = b.makefile();
   * console.log(file.readlines()); // [ "one\n", "two\n" ]
   * b.close();
   * ```
   */
  makefile<Mode extends string = "r", Buffering extends number | null = null>(
    mode?: Mode,
    buffering?: Buffering,
    options?: FileOptions,
  ): SocketFile<Mode, Buffering>;
  makefile<Mode extends string = "r", Buffering extends number | null = null>(
    mode: Mode,
    options: FileOptions & { buffering?: Buffering },
  ): SocketFile<Mode, Buffering>;
  makefile(...args: unknown[]): SocketFile<string, number> {
    const file = openSocketFile(this, () => this.#fileClosed(), args);
    this.#files++;
    return file;
  }

  #fileClosed(): void {
    this.#files--;
    if (this.#files === 0 && this.#handle.closed) this.#reallyClose();
  }

  /**
   * Receives data; see recv(2).
   *
   * What is returned is new memory, as large as what came. Above a few KiB that is most of the cost, because no cache
   * holds it: {@link recvInto} a view that is used again takes half the time or less.
   *
   * @param bufsize - The most bytes to return.
   * @param flags - `MSG_*`.
   * @returns The data; empty at the end of a stream.
   * @throws OSError: ECONNRESET, ENOTCONN; BlockingIOError, TimeoutError.
   */
  recv(bufsize: number, flags?: number): Buffer {
    const size = integer(bufsize, "bufsize", 0);
    const f = arguments.length < 2 ? 0 : bits(flags, "flags");
    if (size === 0) return this.#empty("recv");
    const into = room(size, f);
    const n = shim.bs_recv(this.#handle.fd, into, into, size, f, this.#timeout);
    if (n < 0) return failed("recv", n);
    return taken(into, n, size);
  }

  /** Nothing was asked for, and nothing waits for it: as in CPython, a receive of 0 bytes makes no call. */
  #empty(syscall: string): Buffer {
    if (this.#handle.fd < 0) throw systemError(syscall, -EBADF);
    return Buffer.alloc(0);
  }

  /**
   * Receives data and its sender's address; see recvfrom(2).
   *
   * @returns The data and the address: `null` where the protocol gives none (a stream, an unnamed Unix peer).
   */
  recvfrom(bufsize: number, flags?: number): [data: Buffer, address: SenderOf<Name>] {
    const size = integer(bufsize, "bufsize", 0);
    const f = arguments.length < 2 ? 0 : bits(flags, "flags");
    const into = room(size, f);
    const n = shim.bs_recvfrom(this.#handle.fd, into, into, size, f, io, this.#timeout);
    if (n < 0) return failed("recvfrom", n);
    return [taken(into, n, size), this.#sender()];
  }

  /**
   * Receives data into a view.
   *
   * @param buffer - Where the data goes.
   * @param nbytes - The most bytes to receive; 0 is as many as the view has.
   * @param flags - `MSG_*`.
   * @returns How many bytes were received (with `MSG_TRUNC`, how many the datagram had).
   */
  recvInto(buffer: NodeJS.ArrayBufferView, nbytes?: number, flags?: number): number {
    const f = arguments.length < 3 ? 0 : bits(flags, "flags");
    const view = writable(buffer, "buffer");
    const size = nbytes === undefined ? byteLengthOf(view) : portion(nbytes, view);
    if (size === 0) return this.#empty("recv").length;
    const n = shim.bs_recv(this.#handle.fd, view, view, size, f, this.#timeout);
    if (n < 0) return failed("recv", n);
    return n;
  }

  /** Receives data into a view, and tells its sender's address; see {@link recvInto} and {@link recvfrom}. */
  recvfromInto(
    buffer: NodeJS.ArrayBufferView,
    nbytes?: number,
    flags?: number,
  ): [nbytes: number, address: SenderOf<Name>] {
    const f = arguments.length < 3 ? 0 : bits(flags, "flags");
    const view = writable(buffer, "buffer");
    const size = nbytes === undefined ? byteLengthOf(view) : portion(nbytes, view);
    const n = shim.bs_recvfrom(this.#handle.fd, view, view, size, f, io, this.#timeout);
    if (n < 0) return failed("recvfrom", n);
    return [n, this.#sender()];
  }

  /**
   * Receives a message with its ancillary data; see recvmsg(2), cmsg(3).
   *
   * Descriptors that come with it (`SCM_RIGHTS`) are the caller's to close; they are not inheritable.
   *
   * @param bufsize - The most bytes of data to return.
   * @param ancbufsize - The room for ancillary data: a sum of `CMSG_SPACE`. What does not fit is cut, and `MSG_CTRUNC` is
   *   set.
   * @param flags - `MSG_*`.
   * @returns The data, the control messages, the message's flags, and the sender's address or `null`.
   */
  recvmsg(
    bufsize: number,
    ancbufsize?: number,
    flags?: number,
  ): [data: Buffer, ancdata: ReceivedAncillaryData[], flags: number, address: SenderOf<Name>] {
    const size = integer(bufsize, "bufsize", 0);
    const space = ancbufsize === undefined ? 0 : integer(ancbufsize, "ancbufsize", 0);
    const f = arguments.length < 3 ? 0 : bits(flags, "flags");
    const into = room(size, f);
    controlRoom(space);
    const n = this.#receiveMessage(into, size, noSlices, 0, space, f);
    try {
      return [taken(into, n, size), receivedControl(), ioWords[1]!, this.#sender()];
    } catch (error) {
      closeReceived();
      throw error;
    }
  }

  /**
   * Receives a message into views, one after the other; see {@link recvmsg}.
   *
   * @param buffers - Where the data goes. The system limits their number (1024).
   * @returns The number of bytes, the control messages, the message's flags, and the sender's address or `null`.
   */
  recvmsgInto(
    buffers: Iterable<NodeJS.ArrayBufferView>,
    ancbufsize?: number,
    flags?: number,
  ): [nbytes: number, ancdata: ReceivedAncillaryData[], flags: number, address: SenderOf<Name>] {
    const space = ancbufsize === undefined ? 0 : integer(ancbufsize, "ancbufsize", 0);
    const f = arguments.length < 3 ? 0 : bits(flags, "flags");
    const views = list(buffers, "buffers", "ArrayBufferViews").map((view, i) => writable(view, `buffers[${i}]`));
    controlRoom(space);
    const only = views.length === 1 ? views[0]! : noBytes;
    const slices = views.length > 1 ? slicesOf(views) : noSlices;
    const n = this.#receiveMessage(only, INT_MAX, slices, slices.length / 4, space, f);
    try {
      return [n, receivedControl(), ioWords[1]!, this.#sender()];
    } catch (error) {
      closeReceived();
      throw error;
    }
  }

  /**
   * Receives as many messages as there are, by one call: waits for the first only. See recvmmsg(2). (With `MSG_PEEK` each
   * place of the batch gets the same message, the first one.) The end of a connection of SOCK_SEQPACKET is one empty message.
   *
   * @param batch - A `MessageBatch` of `berkeley-sockets/packets`: what was in it is gone, even where the call fails.
   * @param flags - `MSG_*`.
   * @returns How many messages there are in the batch now.
   * @throws OSError: as {@link recvmsg}; BlockingIOError, TimeoutError.
   */
  recvBatch(batch: MessageBatch<Name>, flags?: number): number {
    const f = arguments.length < 2 ? 0 : bits(flags, "flags");
    const held = hold(batch);
    try {
      return held[RECEIVE](this, f, this.#timeout);
    } finally {
      held[RELEASE]();
    }
  }

  #receiveMessage(
    data: NodeJS.ArrayBufferView,
    size: number,
    slices: Uint32Array,
    count: number,
    space: number,
    flags: number,
  ): number {
    const fd = this.#handle.fd;
    const timeout = this.#timeout;
    // prettier-ignore
    const n = shim.bs_recvmsg(
      fd, data, data, size, slices, count, control, control, space, items, items, flags, io, timeout,
    );
    if (n < 0) throw systemError("recvmsg", n);
    return n;
  }

  /**
   * Sends data on a connected socket; see send(2).
   *
   * @param data - Bytes, or a string as UTF-8.
   * @param flags - `MSG_*`.
   * @returns How many bytes the system took, which may be less than all; {@link sendall} sends all.
   * @throws OSError: EPIPE (no SIGPIPE is raised), ECONNRESET, EMSGSIZE, ENOTCONN; BlockingIOError, TimeoutError.
   */
  send(data: BytesLike, flags?: number): number {
    const f = arguments.length < 2 ? 0 : bits(flags, "flags");
    const view = bytes(data, "data");
    const n = shim.bs_send(this.#handle.fd, view, view, f, this.#timeout);
    if (n < 0) return failed("send", n);
    return n;
  }

  /**
   * Sends all of the data. The timeout is for the whole of it; after an error nobody knows how much was sent.
   */
  sendall(data: BytesLike, flags?: number): void {
    const f = arguments.length < 2 ? 0 : bits(flags, "flags");
    const view = bytes(data, "data");
    const r = shim.bs_sendall(this.#handle.fd, view, view, f, this.#timeout);
    if (r < 0) throw systemError("send", r);
  }

  /**
   * Sends data to an address; see sendto(2).
   *
   * @returns How many bytes the system took.
   * @throws OSError: EMSGSIZE, EACCES (a broadcast without SO_BROADCAST), ECONNREFUSED of an earlier datagram.
   */
  sendto(data: BytesLike, address: AddressArgument<Name>): number;
  sendto(data: BytesLike, flags: number, address: AddressArgument<Name>): number;
  sendto(data: BytesLike, second: unknown, third?: unknown): number {
    const address = arguments.length > 2 ? third : second;
    const f = arguments.length > 2 ? bits(second, "flags") : 0;
    const view = bytes(data, "data");
    const length = familyOf(this.#family).encode(address, "sendto", this.#proto, this.#handle.fd);
    present(view, "data"); // a getter of the address may have taken its memory
    const n = shim.bs_sendto(this.#handle.fd, view, view, f, outName, length, this.#timeout);
    if (n < 0) return failed("sendto", n, address);
    return n;
  }

  /**
   * Sends a message gathered from pieces, with ancillary data; see sendmsg(2), cmsg(3).
   *
   * @param buffers - The pieces. The system limits their number (1024).
   * @param ancdata - Control messages: `[level, type, data]`.
   * @param flags - `MSG_*`.
   * @param address - Where to, on a socket that is not connected.
   * @returns How many bytes of data the system took.
   */
  sendmsg(
    buffers: Iterable<BytesLike>,
    ancdata?: Iterable<AncillaryData>,
    flags?: number,
    address?: AddressArgument<Name> | null,
  ): number {
    const given = list(buffers, "buffers", "bytes");
    const messages = ancdata === undefined ? noMessages : readControl(ancdata);
    const f = arguments.length < 3 ? 0 : bits(flags, "flags");
    const connected = address === null || address === undefined;
    const pieces = views(given);
    const { records, control } = messages.length === 0 ? nothing : packControl(messages);
    const length = connected ? 0 : familyOf(this.#family).encode(address, "sendmsg", this.#proto, this.#handle.fd);
    // From here on nothing of the caller's runs; a getter of the address may have taken a view's memory.
    if (!connected) views(pieces);
    const only = pieces.length === 1 ? pieces[0]! : noBytes;
    const slices = pieces.length > 1 ? slicesOf(pieces) : noSlices;
    const fd = this.#handle.fd;
    // prettier-ignore
    const n = shim.bs_sendmsg(
      fd, only, only, slices, slices.length / 4, records, records.length, control, control, f, outName, length,
      this.#timeout,
    );
    if (n < 0) throw systemError("sendmsg", n, address ?? undefined);
    return n;
  }

  /**
   * Sends the messages of a batch, by one call: those that were not sent yet or, where all were, all of them again. See
   * sendmmsg(2). The timeout is for all of them.
   *
   * @param batch - A `MessageBatch` of `berkeley-sockets/packets`.
   * @param flags - `MSG_*`.
   * @returns How many messages the system took. Where that is not all of them, the next call goes on behind them, and throws
   *   what ended this one; `batch.skip()` passes over a message that the system does not take.
   * @throws OSError, where no message was sent: as {@link sendmsg}; BlockingIOError, TimeoutError. RangeError for a stream,
   *   which would take a part of a message.
   */
  sendBatch(batch: MessageBatch<Name>, flags?: number): number {
    const f = arguments.length < 2 ? 0 : bits(flags, "flags");
    const held = hold(batch);
    try {
      return held[SEND](this, f, this.#timeout, 0, false);
    } finally {
      held[RELEASE]();
    }
  }

  /**
   * {@link sendmsg} for AF_ALG, the kernel's cryptography: says what to do with the data. Linux only.
   *
   * @param buffers - The pieces of the data.
   * @param options - `op` (`ALG_OP_*`), `iv`, `assoclen`, `flags`.
   * @returns How many bytes of data the system took.
   * @throws OSError (EOPNOTSUPP) where the socket's family is another; TypeError on other platforms.
   */
  sendmsgAfalg(buffers: Iterable<BytesLike>, options: AfalgOptions): number {
    if (AF_ALG === undefined) throw lacking("sendmsgAfalg", "on Linux only");
    const { ancdata, flags } = afalgMessage(options);
    if (this.#family !== AF_ALG) throw systemError("sendmsg", -EOPNOTSUPP);
    return this.sendmsg(buffers, ancdata, flags);
  }

  /**
   * Sends a file's bytes on a stream; see sendfile(2). Files that are not regular are read and sent.
   *
   * @param file - A path, a `Bun.file` of one, a `FileHandle` of `node:fs/promises`, or a descriptor. The position of the
   *   last two is behind what was sent afterwards, even after an error; on Windows, where it cannot be set from here, that
   *   of a regular file stays where it was.
   * @param offset - The file's first byte to send.
   * @param count - How many bytes; `null` is all until the end.
   * @returns How many bytes were sent.
   * @throws RangeError where the socket is no stream or is non-blocking; TimeoutError where it takes nothing for as long
   *   as its timeout.
   */
  sendfile(file: SendableFile, offset?: number, count?: number | null): number {
    return sendFile(
      this,
      file,
      offset === undefined ? 0 : integer(offset, "offset", 0, Number.MAX_SAFE_INTEGER),
      count === undefined || count === null ? null : integer(count, "count", 1, Number.MAX_SAFE_INTEGER),
    );
  }

  /**
   * Ends one direction of a connection or both; see shutdown(2).
   *
   * @param how - `SHUT_RD`, `SHUT_WR`, `SHUT_RDWR`.
   */
  shutdown(how: number): void {
    const r = shim.bs_shutdown(this.#handle.fd, integer(how, "how"));
    if (r < 0) throw systemError("shutdown", r);
  }

  /** The address that the last call left. */
  #address(): AddressOf<Name> {
    return decodeName(this.#proto, this.#handle.fd) as AddressOf<Name>;
  }

  /** The sender's address that the last receive left. */
  #sender(): SenderOf<Name> {
    return decodeName(this.#proto, this.#handle.fd) as SenderOf<Name>;
  }

  /** Shows what a person wants to know: the names of its constants, and both addresses. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const parts = [`fd ${this.#handle.fd}`, familyName(this.#family), kindName(this.#type)];
    if (this.#proto !== 0) parts.push(`proto ${this.#proto}`);
    if (this.#handle.fd < 0) parts[0] = "closed";
    else if (shim.bs_getsockname(this.#handle.fd, io) >= 0) {
      parts.push(`local ${Bun.inspect(this.#address())}`);
      if (shim.bs_getpeername(this.#handle.fd, io) >= 0) parts.push(`peer ${Bun.inspect(this.#address())}`);
    }
    return `Socket <${parts.join(", ")}>`;
  }
}

/** Python's name for the type of {@link Socket}. */
export const SocketType: typeof Socket = Socket;

/** What {@link Socket.ioctl} takes for `SIO_KEEPALIVE_VALS`: the times are milliseconds. Windows only. */
export type KeepaliveValues = readonly [onoff: number, time: number, interval: number];

/**
 * ioctl(2) of a descriptor.
 *
 * @param fd - Tells it once the arguments have been read, which may run code of the caller's.
 */
export function deviceControl(fd: () => number, request: unknown, argument: unknown): number {
  const number = integer(request, "request", INT_MIN, UINT_MAX) >>> 0;
  let r: number;
  if (argument === undefined) {
    r = shim.bs_ioctl_int(fd(), number, 0);
  } else if (typeof argument === "number") {
    const value = integer(argument, "argument", INT_MIN, UINT_MAX) | 0;
    r = shim.bs_ioctl_int(fd(), number, value);
  } else {
    // The system writes as much as the request says, not as much as the view has: it writes to a larger copy.
    const view = Array.isArray(argument) ? keepalive(number, argument) : argument;
    const own = bytesOf(writable(view, "argument"));
    const copy = new Uint8Array(own.length + 16384);
    copy.set(own);
    r = shim.bs_ioctl(fd(), number, copy, own.length);
    if (r >= 0) own.set(copy.subarray(0, own.length));
  }
  if (r < 0) throw systemError("ioctl", r);
  return r;
}

/** `struct tcp_keepalive`. */
function keepalive(request: number, values: readonly unknown[]): Uint32Array {
  if (request !== SIO_KEEPALIVE_VALS || values.length !== 3) {
    throw wrongType("argument", "an integer or a view, for SIO_KEEPALIVE_VALS [onoff, time, interval]", values);
  }
  return Uint32Array.from(values, (value, i) => integer(value, `argument[${i}]`, 0, UINT_MAX));
}

/** sizeof(WSAPROTOCOL_INFOW). */
const SHARED_LENGTH = 628;

/** The number of TCP_QUICKACK on Windows; no number elsewhere. */
const QUICK_ACK = SIO_TCP_SET_ACK_FREQUENCY ?? NaN;

const noMessages: ReturnType<typeof readControl> = [];
const noBytes = new Uint8Array(0);
const noSlices = new Uint32Array(0);

function familyName(family: number): string {
  return AddressFamily[family] ?? `family ${family}`;
}

function kindName(type: number): string {
  return SocketKind[type] ?? `type ${type}`;
}

/** The bytes of each piece of a message. */
function views(pieces: readonly unknown[]): NodeJS.ArrayBufferView[] {
  const found: NodeJS.ArrayBufferView[] = [];
  for (let i = 0; i < pieces.length; i++) found.push(bytesAt(pieces[i], "buffers", i));
  return found;
}

/** `nbytes` of a view: 0 is all of it. */
function portion(nbytes: unknown, view: NodeJS.ArrayBufferView): number {
  const n = integer(nbytes, "nbytes", 0);
  const length = byteLengthOf(view);
  if (n > length) throw wrongValue("nbytes", `at most the buffer's ${length} bytes`, nbytes);
  return n === 0 ? length : n;
}

/** A descriptor with the timeout that new sockets begin with; 0 where `SOCK_NONBLOCK` is in the type. */
function begin(fd: number, family: number, type: number, proto: number): Made {
  const nonblocking = SOCK_NONBLOCK !== undefined && (type & SOCK_NONBLOCK) !== 0;
  const timeout = nonblocking ? 0 : (defaultTimeout ?? FOREVER);
  if (timeout !== FOREVER) shim.bs_set_blocking(fd, 0);
  return new Made(fd, family, type, proto, timeout);
}

/** Opens what the constructor's arguments say. */
function open(args: unknown[]): Made {
  const short = args.length === 1 && typeof args[0] === "object" && args[0] !== null;
  const { fileno } = options(short ? args[0] : args[3], "options", ["fileno"]);
  if (fileno !== undefined) return takeOver(fileno, short ? [] : args);
  if (short) throw wrongType("options.fileno", "a descriptor", fileno);
  const family = args.length > 0 ? integer(args[0], "family", 0) : AF_INET;
  const type = args.length > 1 ? integer(args[1], "type", 0) : SOCK_STREAM;
  const proto = args.length > 2 ? integer(args[2], "proto") : 0;
  const fd = shim.bs_socket(family, type, proto);
  if (fd < 0) throw systemError("socket", fd);
  return begin(fd, family, type, proto);
}

/** Takes over a descriptor; what is not given, or -1, is asked of it. */
function takeOver(fileno: unknown, args: unknown[]): Made {
  const fd = descriptor(fileno, "options.fileno");
  const family = args.length > 0 ? integer(args[0], "family", -1) : -1;
  const type = args.length > 1 ? integer(args[1], "type", -1) : -1;
  const proto = args.length > 2 ? integer(args[2], "proto", -1) : -1;
  const r = shim.bs_describe(fd, (family < 0 ? 1 : 0) | (type < 0 ? 2 : 0) | (proto < 0 ? 4 : 0), io);
  if (r < 0) throw systemError("socket", r);
  const [foundFamily, foundType, foundProto] = ioWords as unknown as [number, number, number];
  return begin(fd, family < 0 ? foundFamily : family, type < 0 ? foundType : type, proto < 0 ? foundProto : proto);
}

/** A socket over a descriptor that the library just made. */
export function adopt(fd: number, family: number, type: number, proto: number): Socket {
  return new Socket(begin(fd, family, type, proto));
}

/** Checks that an argument is a socket of this library. */
export function aSocket(sock: unknown): void {
  try {
    Socket.prototype.fileno.call(sock as Socket); // knows its own, and is not taken in by a Proxy
  } catch {
    throw wrongType("sock", "a Socket of berkeley-sockets", sock);
  }
}

/** A socket of the root or one of the promises. */
export type AnySocket<Name extends FamilyName = FamilyName> = Socket<Name> | PromisesSocket<Name, unknown>;

/** The root's socket that an argument is, or is made of. */
export function rootSocket(value: unknown): Socket {
  try {
    const sock = value as Socket & { [CORE]?: Socket };
    const core = sock instanceof Socket ? sock : sock[CORE]!;
    Socket.prototype.fileno.call(core); // knows its own, and is not taken in by a Proxy
    return core;
  } catch {
    throw wrongType("sock", "a Socket", value);
  }
}
