/** What the tests of promises share. */
import { expect } from "bun:test";
import { createServer, createConnection, OSError, type Socket } from "../../src/promises.ts";

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

/** Fills what the system takes for a socket until a send would wait. */
export async function fill(sock: Socket): Promise<number> {
  const before = sock.gettimeout();
  sock.settimeout(0);
  let sent = 0;
  try {
    for (;;) sent += await sock.send(new Uint8Array(65536));
  } catch (error) {
    expect((error as OSError).code).toBe("EAGAIN");
  }
  sock.settimeout(before);
  return sent;
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
