/**
 * Functions that make sockets, and those that handle bare descriptors.
 */
import {
  type BytesLike,
  bits,
  bytes,
  descriptor,
  flag,
  integer,
  lacking,
  options,
  seconds,
  text,
  UINT_MAX,
  wrongType,
  wrongValue,
} from "./args.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SCM_PIDFD,
  SCM_RIGHTS,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./constants.ts";
import { invalid, OSError, systemError } from "./errors.ts";
import {
  type AddressArgument,
  type SenderOf,
  type FamilyConstant,
  type FamilyName,
  familyOf,
} from "./families/index.ts";
import type { InetAddress } from "./families/inet.ts";
import { type AncillaryData, closeDescriptors, descriptorsIn, list, type ReceivedAncillaryData } from "./message.ts";
import { getaddrinfo } from "./names.ts";
import { io, ioWords, shim } from "./native.ts";
import { defaultPair, emulatedPair } from "./pair.ts";
import { adopt, aSocket, deviceControl, type KeepaliveValues, Socket } from "./socket.ts";

/**
 * Whether this platform has IPv6 at all. Whether this machine has an IPv6 address is another question.
 */
export const hasIPv6: boolean = AF_INET6 !== undefined;

/** Whether descriptors are handles, which no other process can be handed with a message. */
const isWindows = process.platform === "win32";

/**
 * Two connected sockets; see socketpair(2).
 *
 * Windows has no such call: there the two are connected over the loopback or, of AF_UNIX, by a path that is gone
 * afterwards, and no other program can come between. It has streams, and datagrams of AF_INET and AF_INET6.
 *
 * @param family - `AF_UNIX` by default; on a Windows without it `AF_INET`.
 * @param type - `SOCK_STREAM` by default.
 * @param proto - 0 by default.
 * @throws OSError: EOPNOTSUPP for a family that has no pairs, EMFILE.
 *
 * @example
 * ```ts
 * import { socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * a.send("hello");
 * console.log(b.recv(100).toString()); // hello
 * a.close();
 * b.close();
 * ```
 */
export function socketpair(): [Socket<"AF_UNIX">, Socket<"AF_UNIX">];
export function socketpair<Name extends FamilyName>(
  family: FamilyConstant<Name>,
  type?: number,
  proto?: number,
): [Socket<Name>, Socket<Name>];
export function socketpair(family: number, type?: number, proto?: number): [Socket, Socket];
export function socketpair(family?: number, type?: number, proto?: number): [Socket, Socket] {
  if (isWindows && arguments.length === 0) return defaultPair();
  const f = arguments.length > 0 ? integer(family, "family", 0) : AF_UNIX;
  const t = arguments.length > 1 ? integer(type, "type", 0) : SOCK_STREAM;
  const p = arguments.length > 2 ? integer(proto, "proto") : 0;
  if (isWindows) return emulatedPair(f, t, p);
  const r = shim.bs_socketpair(f, t, p, io);
  if (r < 0) throw systemError("socketpair", r);
  const [first, second] = [ioWords[0]!, ioWords[1]!];
  return [adopt(first, f, t, p), adopt(second, f, t, p)];
}

/** What {@link createConnection} takes by name. */
export interface ConnectionOptions {
  /** Seconds for each attempt, and for the socket afterwards; `null` is none. By default the default timeout. */
  timeout?: number | null;
  /** The address to connect from. */
  sourceAddress?: readonly [host: string, port: number] | null;
  /** Throw what went wrong with every address, as an AggregateError, not only with the last. */
  allErrors?: boolean;
}

/**
 * Connects to a TCP service: tries each address that the host has, IPv4 and IPv6, until one takes the connection.
 *
 * @param address - `[host, port]`.
 * @param timeout - Seconds for each attempt, and for the socket afterwards; `null` is none. By default the default
 *   timeout. May be given by name.
 * @param sourceAddress - The address to connect from. May be given by name.
 * @param options - `allErrors`: throw an AggregateError of every attempt's error, not the last one's.
 * @throws OSError of the last address; gaierror where the host has none.
 *
 * @example
 * ```ts
 * import { createConnection, createServer } from "berkeley-sockets";
 * using server = createServer(["127.0.0.1", 0]);
 * using conn = createConnection(["localhost", server.getsockname()[1]], 5);
 * console.log(conn.gettimeout()); // 5
 * ```
 */
export function createConnection(
  address: readonly [host: string | null, port: number | string],
  options?: ConnectionOptions,
): Socket<"AF_INET" | "AF_INET6">;
export function createConnection(
  address: readonly [host: string | null, port: number | string],
  timeout: number | null,
  options?: Omit<ConnectionOptions, "timeout">,
): Socket<"AF_INET" | "AF_INET6">;
export function createConnection(
  address: readonly [host: string | null, port: number | string],
  timeout: number | null,
  sourceAddress: readonly [host: string, port: number] | null,
  options?: Pick<ConnectionOptions, "allErrors">,
): Socket<"AF_INET" | "AF_INET6">;
export function createConnection(address: unknown, ...rest: unknown[]): Socket<"AF_INET" | "AF_INET6"> {
  const { host, port, timeout, source, allErrors } = connectionOf(address, rest);
  const errors: unknown[] = [];
  for (const [family, type, proto, , peer] of getaddrinfo(host, port, AF_UNSPEC, SOCK_STREAM)) {
    let sock: Socket | undefined;
    try {
      sock = new Socket(family, type, proto);
      if (timeout !== undefined) sock.settimeout(timeout);
      if (source !== null) sock.bind(source);
      sock.connect(peer as InetAddress);
      return sock as Socket<"AF_INET" | "AF_INET6">;
    } catch (error) {
      sock?.close();
      if (!(error instanceof OSError)) throw error;
      errors.push(error);
    }
  }
  throw notConnected(errors, host, allErrors);
}

/** What to throw when no address took the connection. */
export function notConnected(errors: readonly unknown[], host: string | null, allErrors: boolean): unknown {
  if (errors.length === 0) return invalid("getaddrinfo", "no address", host);
  if (allErrors) return new AggregateError(errors, `connect: no address of ${host} took the connection`);
  return errors.at(-1);
}

/** The arguments of {@link createConnection}. */
export interface Connection {
  host: string | null;
  port: number | string;
  timeout: number | null | undefined;
  source: InetAddress | null;
  allErrors: boolean;
  /** The options that are not of this module. */
  more: Record<string, unknown>;
}

/** Reads the arguments of {@link createConnection}; `names` are those of more options. */
export function connectionOf(address: unknown, rest: unknown[], names: readonly string[] = []): Connection {
  if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[host, port]", address);
  const [host, port] = address as [string | null, number | string];
  const last = rest.at(-1);
  const byName = typeof last === "object" && last !== null && !Array.isArray(last);
  const given = options(byName ? rest.pop() : undefined, "options", [
    "timeout",
    "sourceAddress",
    "allErrors",
    ...names,
  ]);
  const named: Record<string, unknown> = { ...given };
  if (rest.length > 2) options(rest[2], "options", []); // it is none: says so
  if (rest.length > 0) named.timeout = rest[0];
  if (rest.length > 1) named.sourceAddress = rest[1];
  const timeout = named.timeout === undefined ? undefined : seconds(named.timeout, "timeout");
  const source = named.sourceAddress === undefined ? null : sourceOf(named.sourceAddress);
  const allErrors = named.allErrors === undefined ? false : flag(named.allErrors, "options.allErrors");

  return { host, port, timeout, source, allErrors, more: named };
}

/** An address to connect from, of either family; what its host is shows when it is bound. */
function sourceOf(address: unknown): InetAddress | null {
  if (address === null) return null;
  if (!Array.isArray(address) || address.length < 2 || address.length > 4) {
    throw wrongType("sourceAddress", "[host, port]", address);
  }
  const [host, port, ...scope] = address as [string, number, ...unknown[]];
  text(host, "sourceAddress[0]");
  integer(port, "sourceAddress[1]", 0, 65535);
  scope.forEach((field, i) => integer(field, `sourceAddress[${i + 2}]`, 0, UINT_MAX));
  return [host, port, ...scope] as readonly unknown[] as InetAddress;
}

/** What {@link createServer} takes by name. */
export interface ServerOptions<Name extends FamilyName = FamilyName> {
  /** `AF_INET` (the default) or `AF_INET6`. */
  family?: FamilyConstant<Name> | number;
  /** How many connections may wait to be accepted; `null` is what the system thinks reasonable. */
  backlog?: number | null;
  /** Whether several servers may share the port (SO_REUSEPORT). */
  reusePort?: boolean;
  /** Whether an IPv6 server takes IPv4 connections too. */
  dualstackIPv6?: boolean;
}

/**
 * A TCP server's socket: bound and listening. On POSIX systems the port of a server that just ended can be used again at
 * once (SO_REUSEADDR).
 *
 * @param address - `[host, port]`; the host `""` is every address, the port 0 one that the system chooses.
 * @param options - `family`, `backlog`, `reusePort`, `dualstackIPv6`.
 * @throws RangeError where `reusePort` or `dualstackIPv6` is not to be had.
 * @throws OSError: EADDRINUSE, EACCES.
 *
 * @example
 * ```ts
 * import { AF_INET6, createServer, hasDualstackIPv6 } from "berkeley-sockets";
 * using server = hasDualstackIPv6()
 *   ? createServer(["", 0], { family: AF_INET6, dualstackIPv6: true })
 *   : createServer(["", 0]);
 * console.log(server.getsockname()[1] > 0); // true
 * ```
 */
export function createServer(
  address: readonly [host: string, port: number],
  options?: { family?: undefined } & ServerOptions<"AF_INET">,
): Socket<"AF_INET">;
export function createServer<Name extends "AF_INET" | "AF_INET6">(
  address: AddressArgument<Name>,
  options: { family: FamilyConstant<Name> } & ServerOptions<Name>,
): Socket<Name>;
export function createServer(
  address: readonly [host: string, port: number],
  options?: ServerOptions,
): Socket<"AF_INET" | "AF_INET6">;
export function createServer(address: unknown, given?: ServerOptions): Socket {
  const named = options(given, "options", ["family", "backlog", "reusePort", "dualstackIPv6"]);
  const family = "family" in named ? integer(named.family, "options.family", 0) : AF_INET;
  const backlog =
    named.backlog === undefined || named.backlog === null ? null : integer(named.backlog, "options.backlog");
  const reusePort = named.reusePort === undefined ? false : flag(named.reusePort, "options.reusePort");
  const dualstack = named.dualstackIPv6 === undefined ? false : flag(named.dualstackIPv6, "options.dualstackIPv6");
  if (reusePort && SO_REUSEPORT === undefined) {
    throw wrongValue("options.reusePort", "false: this platform lacks it", true);
  }
  if (dualstack) {
    if (family !== AF_INET6) throw wrongValue("options.dualstackIPv6", "false unless the family is AF_INET6", true);
    if (!hasDualstackIPv6()) throw wrongValue("options.dualstackIPv6", "false: this platform lacks it", true);
  }
  familyOf(family).encode(address, "bind", 0, -1); // wrong, it shall be found before a socket is opened
  const sock = new Socket(family, SOCK_STREAM);
  try {
    // On Windows SO_REUSEADDR would let two servers take the same port at the same time.
    if (!isWindows) sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
    if (reusePort) sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    if (family === AF_INET6) sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, dualstack ? 0 : 1);
    sock.bind(address as InetAddress);
    if (backlog === null) sock.listen();
    else sock.listen(backlog);
    return sock as Socket;
  } catch (error) {
    sock.close();
    throw error;
  }
}

/**
 * Whether one TCP socket can take IPv4 and IPv6 connections here.
 *
 * @example
 * ```ts
 * import { hasDualstackIPv6 } from "berkeley-sockets";
 * console.log(typeof hasDualstackIPv6()); // boolean
 * ```
 */
export function hasDualstackIPv6(): boolean {
  if (!hasIPv6) return false;
  try {
    using sock = new Socket(AF_INET6, SOCK_STREAM);
    sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return true;
  } catch (error) {
    if (error instanceof OSError) return false;
    throw error;
  }
}

/**
 * A socket over a duplicate of a descriptor, which stays the caller's.
 *
 * @param fd - The descriptor.
 * @param family - Its address family.
 * @param type - Its type.
 * @param proto - Its protocol, 0 by default.
 * @throws OSError: EBADF, EMFILE; ENOTSOCK.
 *
 * @example
 * ```ts
 * import { AF_UNIX, fromfd, SOCK_STREAM, socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * using copy = fromfd(a.fileno(), AF_UNIX, SOCK_STREAM);
 * copy.send("x");
 * console.log(b.recv(1).toString()); // x
 * a.close();
 * b.close();
 * ```
 */
export function fromfd<Name extends FamilyName>(
  fd: number,
  family: FamilyConstant<Name>,
  type: number,
  proto?: number,
): Socket<Name>;
export function fromfd(fd: number, family: number, type: number, proto?: number): Socket;
export function fromfd(fd: number, family: number, type: number, proto?: number): Socket {
  const f = integer(family, "family", -1);
  const t = integer(type, "type", -1);
  const p = arguments.length < 4 ? 0 : integer(proto, "proto", -1);
  const fileno = dup(fd);
  try {
    return new Socket(f, t, p, { fileno });
  } catch (error) {
    shim.bs_close(fileno);
    throw error;
  }
}

/**
 * A socket that another process shared with this one; see {@link Socket.share}. Windows only.
 *
 * @param data - What `share` returned there. It opens one socket, once.
 * @returns The socket, its family, type and protocol those of the other. It has the default timeout.
 * @throws OSError: EINVAL where the data is no such description; TypeError on other platforms.
 * @see https://learn.microsoft.com/windows/win32/api/winsock2/nf-winsock2-wsaduplicatesocketw
 *
 * @example
 * ```ts
 * import { fromshare, Socket } from "berkeley-sockets";
 * using sock = new Socket();
 * // As a rule `data` comes from another process, which knows this one's number.
 * const data = process.platform === "win32" ? sock.share(process.pid) : null;
 * using copy = data === null ? sock.dup() : fromshare(data);
 * console.log(copy.family === sock.family); // true
 * ```
 */
export function fromshare(data: BytesLike): Socket {
  const info = bytes(data, "data");
  if (!isWindows) throw lacking("fromshare", "on Windows only");
  const fd = shim.bs_fromshare(info, info, io);
  if (fd < 0) throw systemError("fromshare", fd);
  return adopt(fd, ioWords[0]!, ioWords[1]!, ioWords[2]!);
}

/**
 * Closes a socket's descriptor. One that a {@link Socket} owns is closed with its own `close`.
 *
 * @throws OSError: EBADF.
 *
 * @example
 * ```ts
 * import { close, Socket } from "berkeley-sockets";
 * close(new Socket().detach());
 * ```
 */
export function close(fd: number): void {
  const r = shim.bs_close(descriptor(fd, "fd"));
  if (r < 0) throw systemError("close", r);
}

/**
 * A duplicate of a socket's descriptor, which child processes do not inherit.
 *
 * @throws OSError: EBADF, EMFILE.
 *
 * @example
 * ```ts
 * import { close, dup, Socket } from "berkeley-sockets";
 * using sock = new Socket();
 * close(dup(sock.fileno()));
 * ```
 */
export function dup(fd: number): number {
  const r = shim.bs_dup(descriptor(fd, "fd"));
  if (r < 0) throw systemError("dup", r);
  return r;
}

/**
 * A device's own call on a bare descriptor; see ioctl(2) and {@link Socket.ioctl}. For devices that belong to a family of
 * sockets and are none themselves, such as `/dev/vsock` and `/dev/net/tun`.
 *
 * @param fd - The descriptor; on Windows a `SOCKET`.
 * @param request - The call's number.
 * @param argument - A C int, or a view that the call reads and writes.
 * @returns The call's own result, 0 as a rule; on Windows how many bytes it wrote.
 * @throws OSError: EBADF, ENOTTY, EINVAL, ENODEV.
 *
 * @example
 * ```ts
 * import { FIONREAD, ioctl, socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * a.send("four");
 * const waiting = new Int32Array(1);
 * ioctl(b.fileno(), FIONREAD, waiting);
 * console.log(waiting[0]); // 4
 * a.close();
 * b.close();
 * ```
 */
export function ioctl(
  fd: number,
  request: number,
  argument?: number | NodeJS.ArrayBufferView | KeepaliveValues,
): number {
  const number = descriptor(fd, "fd");
  return deviceControl(() => number, request, argument);
}

/**
 * Sends descriptors to the process at the other end of an AF_UNIX socket; see unix(7), SCM_RIGHTS. Windows has no such
 * thing: a TypeError there; a socket is handed over by {@link Socket.share}.
 *
 * @param sock - The socket.
 * @param buffers - The data to send with them; a stream needs at least a byte.
 * @param fds - The descriptors. They stay open here.
 * @param flags - `MSG_*`.
 * @param address - Where to, on a socket that is not connected.
 * @returns How many bytes of data were sent.
 *
 * @example
 * ```ts
 * import { close, recvFds, sendFds, socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * sendFds(a, ["here it is"], [0]);
 * const [data, fds] = recvFds(b, 100, 1);
 * console.log(data.toString(), fds.length); // here it is 1
 * close(fds[0]!);
 * a.close();
 * b.close();
 * ```
 */
export function sendFds<Name extends FamilyName>(
  sock: Socket<Name>,
  buffers: Iterable<BytesLike>,
  fds: Iterable<number>,
  flags?: number,
  address?: AddressArgument<Name> | null,
): number {
  aSocket(sock);
  const control = controlOfFds(fds);
  const f = arguments.length < 4 ? 0 : bits(flags, "flags");
  return sock.sendmsg(buffers, [control], f, address);
}

/** The control message that `sendFds` sends. */
export function controlOfFds(fds: unknown): AncillaryData {
  if (isWindows) throw lacking("sendFds", notOnWindows);
  const numbers = list(fds, "fds", "descriptors").map((fd, i) => descriptor(fd, `fds[${i}]`));
  return [SOL_SOCKET, SCM_RIGHTS, Int32Array.from(numbers)];
}

/**
 * Receives descriptors from an AF_UNIX socket; see unix(7), SCM_RIGHTS. They are the caller's to close, and child
 * processes do not inherit them. Windows has no such thing: a TypeError there.
 *
 * @param sock - The socket.
 * @param bufsize - The most bytes of data.
 * @param maxfds - How many descriptors there is room for. The system may fit one more into the padding; those that do not
 *   fit are closed by it, and `MSG_CTRUNC` is set.
 * @param flags - `MSG_*`.
 * @returns The data, the descriptors, the message's flags, and the sender's address or `null`.
 *
 * @example
 * ```ts
 * import { close, recvFds, sendFds, socketpair } from "berkeley-sockets";
 * const [a, b] = socketpair();
 * sendFds(a, ["two"], [0, 1]);
 * const [, fds] = recvFds(b, 100, 2);
 * console.log(fds.length); // 2
 * for (const fd of [...fds, a.detach(), b.detach()]) close(fd);
 * ```
 */
export function recvFds<Name extends FamilyName>(
  sock: Socket<Name>,
  bufsize: number,
  maxfds: number,
  flags?: number,
): [data: Buffer, fds: number[], flags: number, address: SenderOf<Name>] {
  aSocket(sock);
  const room = roomForFds(maxfds);
  const f = arguments.length < 4 ? 0 : bits(flags, "flags");
  return fdsOf(sock.recvmsg(bufsize, room, f));
}

/** How much room for control messages `recvFds` wants. */
export function roomForFds(maxfds: unknown): number {
  if (isWindows) throw lacking("recvFds", notOnWindows);
  return shim.bs_cmsg_len(integer(maxfds, "maxfds", 0, 0xffff) * Int32Array.BYTES_PER_ELEMENT);
}

/** What `recvFds` gives of a message that was received. */
export function fdsOf<Sender>([data, ancdata, flags, address]: [
  data: Buffer,
  ancdata: ReceivedAncillaryData[],
  flags: number,
  address: Sender,
]): [data: Buffer, fds: number[], flags: number, address: Sender] {
  closeDescriptors(ancdata, SCM_PIDFD); // SO_PASSPIDFD's, which nobody asked for
  return [data, descriptorsIn(ancdata, SCM_RIGHTS), flags, address];
}

const notOnWindows = "on every other platform (Socket.share and fromshare hand sockets over)";
