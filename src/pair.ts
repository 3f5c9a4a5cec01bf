/**
 * `socketpair` where the system has no such call: on Windows. Two sockets that find each other over the loopback or, of
 * AF_UNIX, in a folder of this user's.
 *
 * Any program of the machine can connect to a port of the loopback. So it is looked at who is at the other end of both
 * before anybody gets them, and a stranger is turned away (the pair of CVE-2024-3219 did not look).
 */
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EOPNOTSUPP,
  SIO_AF_UNIX_GETPEERPID,
  SO_EXCLUSIVEADDRUSE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./constants.ts";
import { BlockingIOError, invalid, OSError, systemError } from "./errors.ts";
import type { AddressArgument, FamilyName } from "./families/index.ts";
import { getdefaulttimeout, Socket } from "./socket.ts";

/** Seconds. Both ends are in this process: what takes that long will not happen at all. */
const LIMIT = 10;

const loopback: Record<number, AddressArgument<FamilyName>> = { [AF_INET]: ["127.0.0.1", 0], [AF_INET6]: ["::1", 0] };

/** The pair that one gets without saying which: of AF_UNIX, and of AF_INET where that cannot be had. */
export function defaultPair(): [Socket, Socket] {
  try {
    return emulatedPair(AF_UNIX, SOCK_STREAM, 0);
  } catch {
    // An older Windows, or a folder for temporary files that takes no sockets.
    return emulatedPair(AF_INET, SOCK_STREAM, 0);
  }
}

/**
 * Two connected sockets.
 *
 * @throws OSError (EOPNOTSUPP) for another family than AF_INET, AF_INET6 and AF_UNIX, and for another type than SOCK_STREAM
 *   and, of the first two, SOCK_DGRAM.
 */
export function emulatedPair(family: number, type: number, proto: number): [Socket, Socket] {
  const open = () => new Socket(family, type, proto);
  const host = loopback[family];
  if (host !== undefined && type === SOCK_STREAM) return streams(open, host, areConnected);
  if (host !== undefined && type === SOCK_DGRAM) return datagrams(open, host);
  if (family === AF_UNIX && type === SOCK_STREAM) return unixStreams(open);
  throw systemError("socketpair", -EOPNOTSUPP);
}

function streams(
  open: () => Socket,
  address: AddressArgument<FamilyName>,
  areOurs: (client: Socket, conn: Socket) => boolean,
): [Socket, Socket] {
  using stack = new DisposableStack();
  using listener = open();
  listener.settimeout(LIMIT);
  bindAlone(listener, address);
  listener.listen(1);
  const client = stack.use(open());
  client.settimeout(LIMIT);
  client.connect(listener.getsockname());
  // Those who were faster wait before our own end; none of them can keep it from its turn.
  for (;;) {
    const conn = nextOf(listener);
    if (conn === null) continue;
    let isOurs = false;
    try {
      isOurs = areOurs(client, conn);
    } finally {
      if (!isOurs) conn.close();
    }
    if (!isOurs) continue;
    client.settimeout(getdefaulttimeout());
    stack.move();
    return [client, conn];
  }
}

/** The next who connected; null where he is gone already. */
function nextOf(listener: Socket): Socket | null {
  try {
    return listener.accept()[0];
  } catch (error) {
    if (error instanceof OSError && ["ECONNABORTED", "ECONNRESET", "ENOTCONN"].includes(error.code)) return null;
    throw error;
  }
}

function datagrams(open: () => Socket, address: AddressArgument<FamilyName>): [Socket, Socket] {
  using stack = new DisposableStack();
  const a = stack.use(open());
  const b = stack.use(open());
  bindAlone(a, address);
  bindAlone(b, address);
  a.connect(b.getsockname());
  b.connect(a.getsockname());
  if (!areConnected(a, b)) throw invalid("socketpair", "the two are not connected to each other");
  // Whatever is there came from strangers, before they were connected.
  for (const sock of [a, b]) {
    empty(sock);
    sock.settimeout(getdefaulttimeout());
  }
  stack.move();
  return [a, b];
}

function unixStreams(open: () => Socket): [Socket, Socket] {
  // Not imported at the top: few programs need them.
  const { mkdtempSync, rmdirSync, unlinkSync } = process.getBuiltinModule("node:fs");
  const { join } = process.getBuiltinModule("node:path");
  const folder = mkdtempSync(join(process.getBuiltinModule("node:os").tmpdir(), "socketpair-"));
  const path = join(folder, "s");
  try {
    return streams(open, path, (client, conn) => peerOf(client) === process.pid && isOfThisProcess(conn));
  } finally {
    quietly(() => unlinkSync(path));
    quietly(() => rmdirSync(folder));
  }
}

/** Binds a socket so that no other can have the same port: on Windows SO_REUSEADDR would give it to a thief. */
function bindAlone(sock: Socket, address: AddressArgument<FamilyName>): void {
  if (sock.family !== AF_UNIX && SO_EXCLUSIVEADDRUSE !== undefined) sock.setsockopt(SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1);
  sock.bind(address);
}

/** Whether each of two sockets is at the other end of the other. */
function areConnected(a: Socket, b: Socket): boolean {
  const same = (x: unknown, y: unknown) => Bun.deepEquals(x, y);
  try {
    return same(a.getpeername(), b.getsockname()) && same(b.getpeername(), a.getsockname());
  } catch (error) {
    if (error instanceof OSError) return false; // a stranger, and gone already
    throw error;
  }
}

/** The process at the other end of an AF_UNIX connection. */
function peerOf(sock: Socket): number {
  const pid = new Uint32Array(1);
  sock.ioctl(SIO_AF_UNIX_GETPEERPID, pid);
  return pid[0]!;
}

/** Whether who connected by AF_UNIX is this process. */
function isOfThisProcess(conn: Socket): boolean {
  try {
    return peerOf(conn) === process.pid;
  } catch (error) {
    if (error instanceof OSError) return false; // a stranger, and gone already
    throw error;
  }
}

/** Throws away what a socket has received. */
function empty(sock: Socket): void {
  sock.setblocking(false);
  const byte = new Uint8Array(1);
  try {
    for (;;) sock.recvInto(byte);
  } catch (error) {
    if (!(error instanceof BlockingIOError)) throw error;
  }
}

/** What cannot be removed stays in the folder for temporary files: no reason to keep a pair from its user. */
function quietly(remove: () => void): void {
  try {
    remove();
  } catch {}
}
