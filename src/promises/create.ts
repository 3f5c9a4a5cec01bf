/**
 * Functions that make sockets whose calls wait by promises.
 */
import { bits, type BytesLike, wrongType } from "../args.ts";
import { AF_UNSPEC, SOCK_STREAM } from "../constants.ts";
import * as core from "../create.ts";
import { OSError } from "../errors.ts";
import type { AddressArgument, FamilyConstant, FamilyName, SenderOf } from "../families/index.ts";
import type { InetAddress } from "../families/inet.ts";
import type { AddressInfoEntry } from "../names.ts";
import { takeSignal } from "./arguments.ts";
import { getaddrinfo, type WaitOptions } from "./names.ts";
import { coreOf, type ServerSocket, Socket, wrap } from "./socket.ts";
import { keeping, signalOf } from "./waits.ts";

/** How long an attempt to connect is alone before the next begins: RFC 8305, section 5. In milliseconds. */
const STAGGER = 250;

/** What {@link createConnection} takes by name. */
export interface ConnectionOptions extends core.ConnectionOptions, WaitOptions {}

/**
 * Connects to a TCP service. The addresses of the host, IPv6 and IPv4 by turns, are tried one after the other, each 250 ms
 * after the one before or when that has failed; the first that takes the connection is the one, and the others are closed
 * (RFC 8305, Happy Eyeballs).
 *
 * @param address - `[host, port]`.
 * @param options - `timeout`: seconds for each attempt, and for the socket afterwards. `sourceAddress`: the address to
 *   connect from (a name is resolved here, and blocks: give a number). `allErrors`: throw an AggregateError of every attempt's
 *   error, not the last one's. `signal`.
 * @throws OSError of the last address that failed; gaierror where the host has none.
 * @see https://www.rfc-editor.org/rfc/rfc8305
 *
 * @example
 * ```ts
 * import { createConnection, createServer } from "berkeley-sockets/promises";
 * using server = createServer(["127.0.0.1", 0]);
 * using conn = await createConnection(["localhost", server.getsockname()[1]], { timeout: 5 });
 * console.log(conn.gettimeout()); // 5
 * ```
 */
export function createConnection(
  address: readonly [host: string | null, port: number | string],
  options?: ConnectionOptions,
): Promise<Socket<"AF_INET" | "AF_INET6">>;
export function createConnection(
  address: readonly [host: string | null, port: number | string],
  timeout: number | null,
  options?: Omit<ConnectionOptions, "timeout">,
): Promise<Socket<"AF_INET" | "AF_INET6">>;
export function createConnection(
  address: readonly [host: string | null, port: number | string],
  timeout: number | null,
  sourceAddress: readonly [host: string, port: number] | null,
  options?: Pick<ConnectionOptions, "allErrors" | "signal">,
): Promise<Socket<"AF_INET" | "AF_INET6">>;
export async function createConnection(address: unknown, ...rest: unknown[]): Promise<Socket<"AF_INET" | "AF_INET6">> {
  const { host, port, timeout, source, allErrors, more } = core.connectionOf(address, rest, ["signal"]);
  const signal = signalOf(more.signal, "options.signal");
  const found = await getaddrinfo(host, port, { family: AF_UNSPEC, type: SOCK_STREAM, signal });
  const errors: unknown[] = [];
  const won = await race(interleaved(found), signal, errors, async (entry, signal) => {
    const [family, type, proto, , peer] = entry;
    const sock = new Socket(family, type, proto);
    try {
      if (timeout !== undefined) sock.settimeout(timeout);
      if (source !== null) sock.bind(source);
      await sock.connect(peer as InetAddress, { signal });
      return sock;
    } catch (error) {
      sock.close();
      throw error;
    }
  });
  if (won === undefined) throw core.notConnected(errors, host, allErrors);
  return won as Socket<"AF_INET" | "AF_INET6">;
}

/** The families by turns, beginning with the first that the resolver gave; each in its order. */
export function interleaved(found: readonly AddressInfoEntry[]): AddressInfoEntry[] {
  const families = new Map<number, AddressInfoEntry[]>();
  for (const entry of found) {
    const one = families.get(entry[0]);
    if (one === undefined) families.set(entry[0], [entry]);
    else one.push(entry);
  }
  const order: AddressInfoEntry[] = [];
  for (let i = 0; order.length < found.length; i++) {
    for (const one of families.values()) if (one[i] !== undefined) order.push(one[i]!);
  }
  return order;
}

/** Begins one attempt after the other until one succeeds; `undefined` where none does. Those that lose are ended. */
function race<Entry>(
  entries: readonly Entry[],
  signal: AbortSignal | undefined,
  errors: unknown[],
  attempt: (entry: Entry, signal: AbortSignal) => Promise<Socket>,
): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted(); // since the last wait
    const losers = new AbortController();
    let begun = 0;
    let running = 0;
    let isOver = false;
    let timer: Timer | undefined;
    const end = (): boolean => {
      if (isOver) return false;
      isOver = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      keeping.release();
      losers.abort();
      return true;
    };
    const abort = (): void => {
      if (end()) reject(signal!.reason);
    };
    const begin = (): void => {
      clearTimeout(timer);
      if (begun === entries.length) {
        if (running === 0 && end()) resolve(undefined);
        return;
      }
      const own = begun++;
      running++;
      attempt(entries[own]!, losers.signal).then(
        (sock) => {
          running--;
          if (end()) resolve(sock);
          else sock.close();
        },
        (error: unknown) => {
          running--;
          if (isOver) return;
          if (!(error instanceof OSError)) {
            if (end()) reject(error);
            return;
          }
          errors.push(error);
          begin();
        },
      );
      if (begun < entries.length) timer = setTimeout(begin, STAGGER);
    };
    keeping.keep();
    signal?.addEventListener("abort", abort);
    begin();
  });
}

/**
 * A TCP server's socket: bound and listening; see the root's `createServer`. `for await` gives its connections.
 *
 * @param address - `[host, port]`; the host `""` is every address, the port 0 one that the system chooses. A host's name is
 *   resolved here, and blocks: give a number.
 * @param options - `family`, `backlog`, `reusePort`, `dualstackIPv6`.
 * @throws RangeError where `reusePort` or `dualstackIPv6` is not to be had.
 * @throws OSError: EADDRINUSE, EACCES.
 *
 * @example
 * ```ts
 * import { createConnection, createServer } from "berkeley-sockets/promises";
 * await using server = createServer(["127.0.0.1", 0]);
 * const client = await createConnection(server.getsockname());
 * for await (const [conn, [host]] of server) {
 *   console.log(host); // 127.0.0.1
 *   conn.close();
 *   break;
 * }
 * client.close();
 * ```
 */
export function createServer(
  address: readonly [host: string, port: number],
  options?: { family?: undefined } & core.ServerOptions<"AF_INET">,
): ServerSocket<"AF_INET">;
export function createServer<Name extends "AF_INET" | "AF_INET6">(
  address: AddressArgument<Name>,
  options: { family: FamilyConstant<Name> } & core.ServerOptions<Name>,
): ServerSocket<Name>;
export function createServer(
  address: readonly [host: string, port: number],
  options?: core.ServerOptions,
): ServerSocket<"AF_INET" | "AF_INET6">;
export function createServer(...args: unknown[]): ServerSocket {
  return wrap(core.createServer(...(args as [[string, number]]))) as Socket<FamilyName, never>;
}

/**
 * Two connected sockets; see the root's `socketpair` and socketpair(2).
 *
 * @param family - `AF_UNIX` by default; on a Windows without it `AF_INET`.
 * @param type - `SOCK_STREAM` by default.
 * @param proto - 0 by default.
 * @throws OSError: EOPNOTSUPP for a family that has no pairs, EMFILE.
 *
 * @example
 * ```ts
 * import { socketpair } from "berkeley-sockets/promises";
 * const [a, b] = socketpair();
 * await a.send("hello");
 * console.log((await b.recv(100)).toString()); // hello
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
export function socketpair(...args: unknown[]): [Socket, Socket] {
  const [a, b] = core.socketpair(...(args as [number]));
  return [wrap(a), wrap(b)];
}

/**
 * A socket over a duplicate of a descriptor, which stays the caller's; both become non-blocking.
 *
 * @param fd - The descriptor.
 * @param family - Its address family.
 * @param type - Its type.
 * @param proto - Its protocol, 0 by default.
 * @throws OSError: EBADF, EMFILE; ENOTSOCK.
 *
 * @example
 * ```ts
 * import { AF_INET, fromfd, SOCK_DGRAM, Socket } from "berkeley-sockets/promises";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * using copy = fromfd(sock.fileno(), AF_INET, SOCK_DGRAM);
 * console.log(copy.type === sock.type); // true
 * ```
 */
export function fromfd<Name extends FamilyName>(
  fd: number,
  family: FamilyConstant<Name>,
  type: number,
  proto?: number,
): Socket<Name>;
export function fromfd(fd: number, family: number, type: number, proto?: number): Socket;
export function fromfd(...args: unknown[]): Socket {
  return wrap(core.fromfd(...(args as [number, number, number])));
}

/**
 * A socket that another process shared with this one; see the root's `fromshare`. Windows only.
 *
 * @param data - What `share` returned there.
 * @throws OSError: EINVAL where the data is no such description; TypeError on other platforms.
 *
 * @example
 * ```ts
 * import { fromshare, Socket } from "berkeley-sockets/promises";
 * using sock = new Socket();
 * using copy = process.platform === "win32" ? fromshare(sock.share(process.pid)) : sock.dup();
 * console.log(copy.family === sock.family); // true
 * ```
 */
export function fromshare(data: BytesLike): Socket {
  return wrap(core.fromshare(data));
}

/**
 * Sends descriptors to the process at the other end of an AF_UNIX socket; see the root's `sendFds` and unix(7).
 *
 * @param sock - The socket.
 * @param buffers - The data to send with them; a stream needs at least a byte.
 * @param fds - The descriptors. They stay open here, and have to until the promise is settled.
 * @param flags - `MSG_*`.
 * @param address - Where to, on a socket that is not connected.
 * @returns How many bytes of data were sent.
 *
 * @example
 * ```ts
 * import { close, recvFds, sendFds, socketpair } from "berkeley-sockets/promises";
 * const [a, b] = socketpair();
 * await sendFds(a, ["here it is"], [0]);
 * const [data, fds] = await recvFds(b, 100, 1);
 * console.log(data.toString(), fds.length); // here it is 1
 * close(fds[0]!);
 * a.close();
 * b.close();
 * ```
 */
export async function sendFds<Name extends FamilyName>(
  sock: Socket<Name>,
  buffers: Iterable<BytesLike>,
  fds: Iterable<number>,
  flags?: number,
  address?: AddressArgument<Name> | null,
  options?: WaitOptions,
): Promise<number>;
export async function sendFds(...args: unknown[]): Promise<number> {
  const signal = takeSignal(args, 3);
  const sock = aSocket(args[0]);
  const control = core.controlOfFds(args[2]);
  const flags = args.length < 4 ? 0 : bits(args[3], "flags");
  return sock.sendmsg(args[1] as Iterable<BytesLike>, [control], flags, args[4] as AddressArgument<FamilyName>, {
    signal,
  });
}

/**
 * Receives descriptors from an AF_UNIX socket; see the root's `recvFds` and unix(7). They are the caller's to close.
 *
 * @param sock - The socket.
 * @param bufsize - The most bytes of data.
 * @param maxfds - How many descriptors there is room for.
 * @param flags - `MSG_*`.
 * @returns The data, the descriptors, the message's flags, and the sender's address or `null`.
 *
 * @example
 * ```ts
 * import { close, recvFds, sendFds, socketpair } from "berkeley-sockets/promises";
 * const [a, b] = socketpair();
 * await sendFds(a, ["two"], [0, 1]);
 * const [, fds] = await recvFds(b, 100, 2);
 * console.log(fds.length); // 2
 * for (const fd of [...fds, a.detach(), b.detach()]) close(fd);
 * ```
 */
export async function recvFds<Name extends FamilyName>(
  sock: Socket<Name>,
  bufsize: number,
  maxfds: number,
  flags?: number,
  options?: WaitOptions,
): Promise<[data: Buffer, fds: number[], flags: number, address: SenderOf<Name>]>;
export async function recvFds(...args: unknown[]): Promise<unknown> {
  const signal = takeSignal(args, 3);
  const sock = aSocket(args[0]);
  const room = core.roomForFds(args[2]);
  const flags = args.length < 4 ? 0 : bits(args[3], "flags");
  return core.fdsOf(await sock.recvmsg(args[1] as number, room, flags, { signal }));
}

/** Checks that an argument is a socket of this module. */
function aSocket(sock: unknown): Socket {
  try {
    coreOf(sock as Socket);
    return sock as Socket;
  } catch {
    throw wrongType("sock", "a Socket of berkeley-sockets/promises", sock);
  }
}
