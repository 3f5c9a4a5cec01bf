/**
 * Sockets of Bun and Node: their options, and descriptors moved in and out of them.
 *
 * What is borrowed or taken out is a duplicate of the handle's descriptor, so that two owners never close the same number
 * and a number that is used again is never touched.
 */
import type * as dgram from "node:dgram";
import type * as node from "node:net";
import { descriptor, flag, lacking, options, seconds, wrongType, wrongValue } from "../args.ts";
import { EBADF, SO_ACCEPTCONN, SOCK_STREAM, SOL_SOCKET } from "../constants.ts";
import { close, dup, fromfd } from "../create.ts";
import { systemError } from "../errors.ts";
import { aSocket, Socket } from "../socket.ts";

/** A socket or a server of Bun or Node that tells its descriptor; see {@link borrow}. */
export type SocketHandle =
  | Pick<Bun.Socket, "readyState" | "terminate">
  | Pick<Bun.SocketListener<unknown>, "data" | "stop">
  | Pick<Bun.udp.Socket<Bun.BinaryType>, "closed" | "port">
  | node.Socket
  | node.Server
  | dgram.Socket;

/** What {@link adopt} and {@link adoptServer} take: the options of `Bun.connect` and `Bun.listen`, without the address. */
export type AdoptOptions<Data = undefined> = Omit<Bun.FdSocketOptions<Data>, "fd">;

/** The calls of Bun, which take a descriptor; the types do not say so. */
const connect = Bun.connect as unknown as <Data>(options: Bun.FdSocketOptions<Data>) => Promise<Bun.Socket<Data>>;
const listen = Bun.listen as unknown as <Data>(options: Bun.FdSocketOptions<Data>) => Bun.SocketListener<Data>;

/**
 * A socket over the descriptor of a handle of Bun or Node, to set and read options that the handle has no methods for.
 *
 * It has a duplicate of the handle's descriptor: the same socket of the system, so that options are the handle's, and a
 * number of its own. Whatever ends it (`close`, `using`, the end of a file, being forgotten) never closes the handle, and
 * when the handle closes first, the socket goes on and touches nobody else's descriptor. **Close it soon:** a connection
 * ends and a port becomes free only when both are closed.
 *
 * The handle's descriptor is non-blocking and stays so: the timeout is 0 at first, may be any number of seconds, and not
 * `null`. Receiving takes data away from the handle, and sending goes between what the handle sends; under TLS the data is
 * what is encrypted. `shutdown`, `connect`, `listen` are the handle's too, and it is not told. To wait by promises, give the
 * descriptor on: `new Socket({ fileno: borrow(handle).detach() })` with the Socket of `berkeley-sockets/promises`.
 *
 * @param handle - A socket of `Bun.connect` or `Bun.udpSocket`, what `Bun.listen` returns and the connections that it
 *   accepts, with TLS or without; of Node's modules as Bun has them `net.Socket`, `net.Server`, `dgram.Socket` (once it is
 *   bound), `tls.TLSSocket`, `http2` servers. `Bun.serve`, `node:http`, `WebSocket`s and `fetch` do not tell their
 *   descriptors.
 * @throws TypeError for what tells no descriptor; OSError: EBADF for a handle that is closed, or not connected or bound yet,
 *   ENOTSOCK, EMFILE.
 *
 * @example
 * ```ts
 * import { IP_TTL, IPPROTO_IP } from "berkeley-sockets";
 * import { borrow } from "berkeley-sockets/bun";
 * const handle = await Bun.udpSocket({ hostname: "127.0.0.1" });
 * {
 *   using sock = borrow(handle);
 *   sock.setsockopt(IPPROTO_IP, IP_TTL, 7);
 *   console.log(sock.getsockopt(IPPROTO_IP, IP_TTL)); // 7
 * }
 * handle.close();
 * ```
 */
export function borrow(handle: SocketHandle): Socket {
  return new Borrowed(descriptorOf(handle));
}

/** A socket over a duplicate of a descriptor, which must stay non-blocking: that is shared. */
class Borrowed extends Socket {
  constructor(fd: number) {
    super({ fileno: fromfd(fd, -1, -1, -1).detach() });
    super.settimeout(0);
  }

  override settimeout(timeout: number | null): void {
    if (seconds(timeout, "timeout") === null) throw wrongValue("timeout", stays("a number of seconds"), timeout);
    super.settimeout(timeout);
  }

  override setblocking(blocking: boolean): void {
    if (flag(blocking, "blocking")) throw wrongValue("blocking", stays("false"), blocking);
    super.setblocking(blocking);
  }

  override dup(): Socket {
    if (this.fileno() < 0) throw systemError("dup", -EBADF);
    const copy = new Borrowed(this.fileno());
    copy.settimeout(this.gettimeout());
    return copy;
  }
}

const stays = (what: string): string => `${what}, because the handle's descriptor has to stay non-blocking`;

/**
 * Gives a connection to Bun: what `Bun.connect` would have returned, with its handlers.
 *
 * What was not received yet comes to the handlers, nothing twice. Lost are the socket's timeout and, of messages, the
 * ancillary data: Bun receives and drops it, descriptors included. Bun sets TCP_NODELAY. What was read ahead stays behind,
 * in a file of `makefile`.
 *
 * Node's: `net.connect({ fd: sock.detach() })`, and `dgram.createSocket(…).bind({ fd: sock.detach() })`. Not `new
 * net.Socket({ fd })`: in Bun 1.4 that neither reads nor writes. A datagram socket of Bun:
 * `Bun.udpSocket({ fd: sock.detach() })`, a call that Bun's types do not have.
 *
 * @param sock - A connected stream; it is closed afterwards. Or its descriptor, which is Bun's afterwards: that of a socket
 *   of promises is `sock.detach()`. After an error it is as it was, and the caller's.
 * @param options - `socket`, `data`, `allowHalfOpen`, `tls`, as `Bun.connect` takes them.
 * @returns Bun's socket. `open` was called already; `data` is called later.
 * @throws OSError: ENOTCONN, EBADF, ENOTSOCK; RangeError for datagrams and for a socket that listens; TypeError from Bun
 *   for wrong options; TypeError on Windows.
 * @see https://bun.com/docs/runtime/networking/tcp
 *
 * @example
 * ```ts
 * import { socketpair } from "berkeley-sockets";
 * import { adopt } from "berkeley-sockets/bun";
 * const [a, b] = socketpair();
 * b.sendall("sent before");
 * await new Promise<void>((resolve) => {
 *   void adopt(a, {
 *     socket: {
 *       data(handle, data) {
 *         console.log(data.toString()); // sent before
 *         handle.end();
 *         resolve();
 *       },
 *     },
 *   });
 * });
 * b.close();
 * ```
 */
export async function adopt<Data = undefined>(
  sock: Socket | number,
  options: AdoptOptions<Data>,
): Promise<Bun.Socket<Data>> {
  const given = handlersOf(options, "adopt");
  const own = socketOf(sock);
  try {
    if (own.type !== SOCK_STREAM) throw wrongValue("sock", "a stream", sock);
    if (listens(own)) throw wrongValue("sock", "a connection (adoptServer takes what listens)", sock);
    own.getpeername(); // ENOTCONN: Bun would not notice
    const fd = dup(own.fileno());
    try {
      const handle = await connect<Data>({ ...given, fd });
      own.close();
      return handle;
    } catch (error) {
      close(fd); // Bun does not
      throw error;
    }
  } catch (error) {
    if (own !== sock) own.detach();
    throw error;
  }
}

/**
 * Gives a listening socket to Bun: what `Bun.listen` would have returned, with its handlers. Connections that wait to be
 * accepted come to the handlers.
 *
 * Lost is what Bun would have known of the address: `hostname`, `port` and `unix` are `undefined`;
 * {@link borrow | borrow(server)}`.getsockname()` tells it. Node's: `net.createServer(…).listen({ fd: sock.detach() })`.
 * `Bun.serve` takes no descriptor.
 *
 * @param sock - A listening stream; it is closed afterwards. Or its descriptor, which is Bun's afterwards: one of
 *   {@link listenFds}, or `sock.detach()` of a socket of promises. After an error it is as it was, and the caller's.
 * @param options - `socket`, `data`, `allowHalfOpen`, `tls`, as `Bun.listen` takes them.
 * @throws OSError: EBADF, ENOTSOCK; RangeError for a socket that does not listen; TypeError from Bun for wrong options;
 *   TypeError on Windows.
 * @see https://bun.com/docs/runtime/networking/tcp
 *
 * @example
 * ```ts
 * import { createServer, IPPROTO_TCP, TCP_DEFER_ACCEPT } from "berkeley-sockets";
 * import { adoptServer } from "berkeley-sockets/bun";
 * const sock = createServer(["127.0.0.1", 0]);
 * const port = sock.getsockname()[1];
 * if (TCP_DEFER_ACCEPT !== undefined) sock.setsockopt(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
 * const server = adoptServer(sock, { socket: { data: (handle, data) => void handle.end(data) } });
 * await new Promise<void>((resolve) => {
 *   void Bun.connect({
 *     hostname: "127.0.0.1",
 *     port,
 *     socket: {
 *       open: (handle) => void handle.write("echo"),
 *       data: (_, data) => console.log(data.toString()), // echo
 *       close: () => resolve(),
 *     },
 *   });
 * });
 * server.stop();
 * ```
 */
export function adoptServer<Data = undefined>(
  sock: Socket | number,
  options: AdoptOptions<Data>,
): Bun.SocketListener<Data> {
  const given = handlersOf(options, "adoptServer");
  const own = socketOf(sock);
  try {
    if (own.type !== SOCK_STREAM || !listens(own)) throw wrongValue("sock", "a stream that listens", sock);
    const fd = dup(own.fileno());
    try {
      const server = listen<Data>({ ...given, fd });
      own.close();
      return server;
    } catch (error) {
      close(fd); // Bun does not
      throw error;
    }
  } catch (error) {
    if (own !== sock) own.detach();
    throw error;
  }
}

/**
 * Takes the socket out of a handle of Bun or Node: the handle closes (its `close` handler is called), the connection, the
 * port and what waits to be received or accepted go on.
 *
 * What the handle gave to its handlers is theirs, all that comes later is the socket's: no byte of a stream is lost or comes
 * twice, also when it is called from within `data`. What Bun's `write` did not take was never the handle's; a handle of Node
 * that holds data which was not read or not sent is refused. Options stay as the handle set them (Bun sets TCP_NODELAY).
 * What a `Bun.connect` socket was to send when it was `end`ed already is lost. **Datagrams:** Bun receives several at once
 * and drops the others when the first one's handler closes the handle, so do not call it from within the handler:
 * `setImmediate(() => release(handle))`.
 *
 * @param handle - As of {@link borrow}, but without TLS, whose keys are the handle's.
 * @returns The socket, with the timeout that new ones begin with. For one of promises: `new Socket({ fileno:
 *   release(handle).detach() })`.
 * @throws TypeError for what tells no descriptor, and for TLS; RangeError for a handle that holds data; OSError: EBADF for
 *   a handle that is closed, or not connected or bound yet, EMFILE.
 *
 * @example
 * ```ts
 * import { createServer } from "berkeley-sockets";
 * import { release } from "berkeley-sockets/bun";
 * using server = createServer(["127.0.0.1", 0]);
 * const [hostname, port] = server.getsockname();
 * const handle = await Bun.connect({ hostname, port, socket: { data() {} } });
 * const [conn] = server.accept();
 * handle.write("by Bun, ");
 * using sock = release(handle);
 * sock.sendall("by hand");
 * console.log(conn.recv(100).toString()); // by Bun, by hand
 * conn.close();
 * ```
 */
export function release(handle: SocketHandle): Socket {
  const fd = descriptorOf(handle);
  const { encrypted, readableLength = 0, writableLength = 0 } = handle as StreamParts;
  if (encrypted || Object.prototype.toString.call(handle) === "[object TLSSocket]") {
    throw wrongType("handle", "a socket without TLS", handle);
  }
  if (readableLength + writableLength > 0) {
    const holds = `${readableLength} bytes to be read and ${writableLength} to be sent`;
    throw wrongValue("handle", `a socket that holds no data (it holds ${holds})`, handle);
  }
  const sock = fromfd(fd, -1, -1, -1);
  try {
    // Each of these closes the descriptor at once, and says nothing to the peer.
    if ("destroy" in handle) handle.destroy();
    else if ("stop" in handle) handle.stop();
    else (handle as Bun.Socket | dgram.Socket | node.Server).close();
    sock.settimeout(sock.gettimeout()); // the handle's descriptor was non-blocking
    return sock;
  } catch (error) {
    sock.close();
    throw error;
  }
}

/** What sockets of `node:net` and `node:tls` have, and others do not. */
interface StreamParts {
  encrypted?: boolean;
  readableLength?: number;
  writableLength?: number;
}

/** The descriptor of a handle. */
function descriptorOf(handle: unknown): number {
  const fd = typeof handle === "object" && handle !== null ? findDescriptor(handle) : undefined;
  if (!Number.isInteger(fd)) throw wrongType("handle", "a socket or server that tells its descriptor", handle);
  if ((fd as number) < 0) throw systemError("dup", -EBADF);
  return fd as number;
}

/** Bun's handles have an `fd`. Node's have it in a handle of their own, which is null when they are closed. */
function findDescriptor(handle: object): unknown {
  if ("fd" in handle) return handle.fd;
  // Where a `node:dgram` socket keeps it: its `_handle` is deprecated, and warns.
  const state = Object.getOwnPropertySymbols(handle).find(({ description }) => description === "state symbol");
  const parts: { handle?: unknown } =
    state !== undefined ? Reflect.get(handle, state) : { handle: (handle as { _handle?: unknown })._handle };
  if (parts.handle === null) return -1;
  return (parts.handle as { fd?: unknown } | undefined)?.fd;
}

/** What `Bun.connect` and `Bun.listen` take beside an address, read once. What is in it is checked by Bun. */
function handlersOf<Data>(given: AdoptOptions<Data>, call: string): AdoptOptions<Data> {
  if (process.platform === "win32") throw lacking(call, "on every other platform");
  const handlers = { ...options(given, "options", ["socket", "data", "allowHalfOpen", "tls"]) };
  if (handlers.socket === undefined) throw wrongType("options.socket", "an object of handlers", handlers.socket);
  return handlers as AdoptOptions<Data>;
}

/** The socket that is meant, or one for a bare descriptor. */
function socketOf(sock: Socket | number): Socket {
  if (typeof sock === "number") return new Socket({ fileno: descriptor(sock, "sock") });
  aSocket(sock);
  return sock;
}

/** Whether a socket listens. */
function listens(sock: Socket): boolean {
  return sock.getsockopt(SOL_SOCKET, SO_ACCEPTCONN) !== 0;
}
