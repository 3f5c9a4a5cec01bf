/**
 * The two faces of the interface: sockets that wait by blocking, and sockets that wait by promises. A test of behaviour
 * is written once, in the manner of promises, and runs on both: to await what the root has done already changes nothing.
 */
import { expect } from "bun:test";
import * as promises from "../src/promises.ts";
import * as root from "../src/index.ts";
import { AF_INET, type FamilyName, OSError, SOCK_STREAM, TimeoutError } from "../src/index.ts";
import * as help from "./help.ts";
import { descriptors, leftOpenLater, slowness, Sockets } from "./help.ts";

export type Socket<Name extends FamilyName = FamilyName> = promises.Socket<Name>;

/** What a test sees: one of the modules, as if it were that of promises, and sockets to begin with. */
export interface Face extends Readonly<typeof promises> {
  readonly Sockets: new () => OwnSockets;
  /** Whether calls return promises. */
  readonly isAsync: boolean;
}

/** The sockets that {@link Sockets} makes, of one face; closed together at the end of their scope. */
export abstract class OwnSockets implements Disposable {
  readonly #made = new Sockets();
  readonly #all: Disposable[] = [];

  /** The same socket, of this face. */
  protected abstract take<Name extends FamilyName>(sock: root.Socket<Name>): Socket<Name>;

  add<S extends Disposable>(sock: S): S {
    this.#all.push(sock);
    return sock;
  }

  server(backlog?: number): Socket<"AF_INET"> {
    return this.add(this.take(this.#made.server(backlog)));
  }

  tcp(): [Socket<"AF_INET">, Socket<"AF_INET">] {
    const [a, b] = this.#made.tcp();
    return [this.add(this.take(a)), this.add(this.take(b))];
  }

  pair(type: number = SOCK_STREAM): [Socket<"AF_UNIX">, Socket<"AF_UNIX">] {
    const [a, b] = this.#made.pair(type);
    return [this.add(this.take(a)), this.add(this.take(b))];
  }

  udp(): Socket<"AF_INET"> {
    return this.add(this.take(this.#made.udp()));
  }

  [Symbol.dispose](): void {
    for (const sock of this.#all) sock[Symbol.dispose]();
    this.#made[Symbol.dispose]();
  }
}

const blocking: Face = {
  ...(root as unknown as typeof promises),
  isAsync: false,
  Sockets: class extends OwnSockets {
    protected override take<Name extends FamilyName>(sock: root.Socket<Name>): Socket<Name> {
      return sock as unknown as Socket<Name>;
    }
  },
};

const byPromises: Face = {
  ...promises,
  isAsync: true,
  Sockets: class extends OwnSockets {
    protected override take<Name extends FamilyName>(sock: root.Socket<Name>): Socket<Name> {
      const { family, type, proto, timeout } = sock;
      const taken = new promises.Socket(family, type, proto, { fileno: sock.detach() });
      taken.settimeout(timeout);
      return taken as Socket<Name>;
    }
  },
};

export const faces = [
  ["", blocking],
  [", by promises", byPromises],
] as const;

type Body<Args extends unknown[]> = (net: Face, ...args: Args) => void | Promise<unknown>;

/** `test` and `test.each`, of a body that gets the face before all else. */
interface Test {
  (name: string, body: Body<[]>, timeout?: number): void;
  each<Row>(
    rows: readonly Row[],
  ): (name: string, body: Body<Row extends readonly unknown[] ? [...Row] : [Row]>, timeout?: number) => void;
}

function testOf(faces: readonly (readonly [suffix: string, face: Face])[], what: string, have: boolean): Test {
  const one = help.needs(what, have);
  const both: Test = (name, body, timeout) => {
    for (const [suffix, face] of faces) one(name + suffix, () => body(face), timeout);
  };
  both.each = (rows) => (name, body, timeout) => {
    for (const [suffix, face] of faces) {
      const call = (...row: unknown[]) => Reflect.apply(body, undefined, [face, ...row]) as Promise<unknown>;
      one.each(rows)(name + suffix, call as never, timeout);
    }
  };
  return both;
}

/** A test for each face, skipped where the machine lacks something. */
export const needs = (what: string, have: boolean): Test => testOf(faces, what, have);

/** A test of what a call does that blocks. */
export const blockingNeeds = (what: string, have: boolean): Test => testOf(faces.slice(0, 1), what, have);

/** A test for each face. */
export const test: Test = needs("", true);
export const blockingTest: Test = blockingNeeds("", true);

// The poller's own descriptors are no leak of a test.
{
  const [a, b] = promises.socketpair();
  const received = b.recv(1);
  await a.send("x");
  await received;
  a.close();
  b.close();
}

/** Hands sockets of a face to a process that blocks; see the same of help.ts. */
export function peer<Args extends unknown[]>(
  body: (net: help.Net, ...args: Args) => unknown,
  args: Args,
  given: Socket[] = [],
): help.Peer {
  return help.peer(body, args, given.map(handedOver));
}

/** Hands sockets of a face to a script of Python; see the same of help.ts. */
export function pythonPeer(code: string, args: (string | number)[] = [], given: Socket[] = []): help.Peer {
  return help.pythonPeer(code, args, given.map(handedOver));
}

function handedOver(sock: Socket): root.Socket {
  return new root.Socket(sock.family, sock.type, sock.proto, { fileno: sock.detach() });
}

/** The error's name of the system, or what was thrown or returned instead. */
export async function codeOf(call: () => unknown): Promise<string> {
  try {
    return `nothing thrown, ${Bun.inspect(await call())} returned`;
  } catch (error) {
    return error instanceof OSError ? error.code : String(error);
  }
}

/** What a call throws, or rejects with. */
export async function thrown(call: () => unknown): Promise<OSError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof OSError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** A call as a promise, whether it throws or rejects: for `expect(…).rejects`. */
export const attempt = async (call: () => unknown): Promise<unknown> => await call();

/** How long a call takes, in milliseconds. */
export async function elapsed(call: () => unknown): Promise<number> {
  const started = performance.now();
  await call();
  return performance.now() - started;
}

/** Checks that a call runs out of time when it should; see the same of help.ts. */
export async function expectTimeout(seconds: number, call: () => unknown): Promise<void> {
  let late = Infinity;
  const grace = 20 * slowness;
  for (let tries = 0; tries < 5 && late >= grace; tries++) {
    const ms = await elapsed(async () => {
      const error = await thrown(call);
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error.message).toEndWith("timed out");
    });
    expect(ms).toBeGreaterThanOrEqual(seconds * 1000);
    late = Math.min(late, ms - seconds * 1000);
  }
  expect(late).toBeLessThan(grace);
}

/** Checks that a piece of a test leaves no descriptor open. (Bun itself may close some of its own meanwhile.) */
export async function leavesNothingOpen(body: () => unknown): Promise<void> {
  const before = descriptors();
  await body();
  expect(await leftOpenLater(before)).toEqual([]);
}

/** Receives until the other end is shut down. */
export async function receiveAll(sock: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const part = await sock.recv(65536);
    if (part.length === 0) return Buffer.concat(parts);
    parts.push(part);
  }
}

/** Fills the buffers of a connection: until not a byte more is taken. Leaves the socket non-blocking. */
export async function fill(sock: Socket): Promise<number> {
  sock.setblocking(false);
  let total = await fillOnce(sock);
  // TCP moves bytes on by itself, and has room again: when they are acknowledged, and when it asks a window of 0.
  for (let quiet = 0; sock.family === AF_INET && quiet < 0.3; quiet += 0.05) {
    await Bun.sleep(50);
    const more = await fillOnce(sock);
    if (more > 0) quiet = 0;
    total += more;
  }
  return total;
}

async function fillOnce(sock: Socket): Promise<number> {
  let total = 0;
  for (const size of [65536, 1]) {
    const chunk = Buffer.alloc(size);
    for (;;) {
      const code = await codeOf(async () => (total += await sock.send(chunk)));
      if (code === "EAGAIN") break;
      if (code.startsWith("E")) throw new Error(code);
    }
  }
  return total;
}
