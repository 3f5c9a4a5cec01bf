/** What the tests of promises share. */
import { expect } from "bun:test";
import { AF_INET, createServer, createConnection, OSError, type Socket, socketpair } from "../../src/promises.ts";
import { isWindows, slowness } from "../help.ts";

/** The `code` of the OSError that a promise is rejected with; anything else is thrown. */
export async function rejected(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OSError) return error.code;
    throw error;
  }
  return "no error";
}

/** The name of what a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: unknown) => (error as Error).name,
  );
}

/** Two ends of a TCP connection. */
export async function tcp(): Promise<[Socket<"AF_INET">, Socket<"AF_INET">]> {
  using server = createServer(["127.0.0.1", 0]);
  const [client, [conn]] = await Promise.all([createConnection(server.getsockname()), server.accept()]);
  return [client as Socket<"AF_INET">, conn];
}

/**
 * Two ends of a connection to {@link fill}: a Unix pair, which moves nothing on by itself, or where the system has none, of
 * TCP.
 */
export async function ends(): Promise<[Socket<"AF_INET">, Socket<"AF_INET">]> {
  return isWindows ? tcp() : (socketpair() as never);
}

/** The same for a call. Linux before 6.5 takes a file for a Unix socket that is full, too. */
export async function endsFor(call: string): Promise<[Socket<"AF_INET">, Socket<"AF_INET">]> {
  return call === "sendfile" ? tcp() : ends();
}

/** Fills what the system takes for a socket until a send would wait. */
export async function fill(sock: Socket): Promise<number> {
  const before = sock.gettimeout();
  sock.settimeout(0);
  let sent = 0;
  for (let quiet = 0; quiet < 0.3; quiet += 0.05) {
    try {
      for (; ; quiet = 0) sent += await sock.send(new Uint8Array(65536));
    } catch (error) {
      expect((error as OSError).code).toBe("EAGAIN");
    }
    if (sock.family !== AF_INET) break;
    await Bun.sleep(50); // TCP moves bytes on by itself, and has room again
  }
  sock.settimeout(before);
  return sent;
}

/**
 * How late timers may be while sockets are busy, in milliseconds. A turn of the event loop makes up to 64 calls: under Wine
 * one of them takes 0.2 ms, because it asks a server.
 */
export const LATE = isWindows ? 50 : 5 * slowness;

/**
 * Begins a turn of the event loop with all its attempts: what need not wait is done at once then. (Else each 64th call, counted
 * from whatever ran before, is made in the next turn.)
 */
export async function freshTurn(): Promise<void> {
  const [a, b] = await ends();
  const waits = b.recv(1);
  await a.send("x");
  await waits;
  const last = b.recv(1);
  a.close();
  await last;
  b.close();
}

/** Counts the turns of the event loop, until it is asked how many they were. */
export function countTurns(): () => number {
  let turns = 0;
  let next = setImmediate(function count() {
    turns++;
    next = setImmediate(count);
  });
  return () => {
    clearImmediate(next);
    return turns;
  };
}

/** Receives until as much has come. */
export async function take(sock: Socket, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let left = length; left > 0;) {
    const part = await sock.recv(Math.min(left, 65536));
    if (part.length === 0) break;
    parts.push(part);
    left -= part.length;
  }
  return Buffer.concat(parts);
}

/** Lets the event loop go round. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
