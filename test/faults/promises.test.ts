/**
 * The rows of the root's functions and methods, called by promises: what is refused there is refused here, by a promise that
 * is rejected or, where nothing may wait, by an exception. Nothing waits for ever, and nothing is left open.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import * as net from "../../src/promises.ts";
import * as root from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";
import { descriptors, Folder, leftOpenLater, needs, Sockets } from "../help.ts";
import {
  byName,
  type Callable,
  either,
  functions,
  isClass,
  keyName,
  may,
  methods,
  more,
  named,
  type Row,
  useFile,
  verdict,
} from "./rows.ts";
import { closeAll, Hostile, substitutes } from "./values.ts";

let folder: Folder;
beforeAll(() => {
  folder = new Folder();
  useFile(folder.file("data"));
  writeFileSync(folder.file("data"), "x");
});
afterAll(() => folder[Symbol.dispose]());

/** What is here only, and takes no part in the rows: its arguments are options alone. */
const own = ["chunks", "connections", "datagrams", "lines"];
const bare = ["[Symbol(Symbol.asyncIterator)]", "[Symbol(Symbol.asyncDispose)]", "ref", "unref"];

const methodNames = Reflect.ownKeys(net.Socket.prototype)
  .filter((key) => typeof Object.getOwnPropertyDescriptor(net.Socket.prototype, key)!.value === "function")
  .map(keyName)
  .filter((name) => name !== "constructor");

test("every method is in the root's table, or here", () => {
  const expected = [...Object.keys(methods).filter((name) => name !== "makefile"), ...own, ...bare];
  expect(methodNames.sort()).toEqual(expected.sort());
});

const exported = Object.keys(net).filter((name) => {
  const value: unknown = Reflect.get(net, name);
  return typeof value === "function" && !(value.prototype instanceof Error);
});

test("every function is in the root's table", () => {
  expect(exported.sort()).toEqual(Object.keys(functions).sort());
});

/** The same socket by promises, with a descriptor of its own; what would wait runs out of time at once. */
function byPromises(sock: root.Socket): net.Socket {
  const { family, type, proto } = sock;
  const made = new net.Socket(family, type, proto, { fileno: root.dup(sock.fileno()) });
  made.settimeout(0.001); // at 0 no file is sent
  return made;
}

function functionNamed(name: string): Callable {
  const found = Reflect.get(net, name) as Callable & (new (...args: unknown[]) => unknown);
  return isClass(found) ? (...args) => new found(...args) : found;
}

function methodNamed(name: string): Callable {
  const key = Reflect.ownKeys(net.Socket.prototype).find((own) => keyName(own) === name)!;
  return Reflect.get(net.Socket.prototype, key) as Callable;
}

/** What a result has open. */
function closeOpen(result: unknown): void {
  if (result instanceof net.Socket) result.close();
  else if (Array.isArray(result)) result.forEach(closeOpen);
  else closeAll(result);
}

async function tryAll(call: Callable, row: Row, closed = false): Promise<string[]> {
  const wrong: string[] = [];
  for (const [i, [names, kind, skip]] of row.takes.entries()) {
    // An object in the last place is the options of the wait.
    const isLast = i === row.takes.length - 1 && i > 0;
    const takes = isLast ? { ...either(kind, named), reads: true } : kind;
    for (const [what, make] of substitutes) {
      const value = make();
      if (skip && may({ may: skip }, value)) continue;
      const before = descriptors();
      using sockets = new Sockets();
      const { self, args, untouched } = row.make(sockets);
      const mine = self instanceof root.Socket ? byPromises(self) : undefined;
      const others = args.map((arg) => (arg instanceof root.Socket ? byPromises(arg) : arg));
      if (closed) mine?.close();
      const outcome: { returned?: unknown; threw?: unknown } = {};
      try {
        outcome.returned = await Reflect.apply(call, mine, others.with(i, value));
      } catch (threw) {
        outcome.threw = threw;
      }
      if (!(closed && may(takes, value))) {
        const problem = verdict(isLast ? `${names}|options` : names, takes, value, outcome, row.lacking);
        if (problem) wrong.push(`${names}: ${what}: ${problem}`);
      }
      const refused = outcome.threw instanceof TypeError || outcome.threw instanceof RangeError;
      if (refused && !closed) untouched?.();
      closeOpen(outcome.returned);
      if (row.frees && typeof outcome.returned === "number" && outcome.returned >= 0) root.close(outcome.returned);
      mine?.close();
      others.forEach(closeOpen);
      sockets[Symbol.dispose]();
      net.setdefaulttimeout(null);
      const left = await leftOpenLater(before);
      if (left.length > 0) wrong.push(`${names}: ${what}: left ${left.length} descriptors open`);
    }
  }
  return wrong;
}

/** Once, so that the poller's own descriptors are there. */
beforeAll(async () => {
  const [a, b] = net.socketpair();
  const waits = b.recv(1);
  await a.send("x");
  await waits;
  a.close();
  b.close();
});

// A listening socket that is shared would be shut down by its copy; sockets without a descriptor of their own have none to
// copy; a descriptor that is closed twice is somebody else's by then.
const apart = new Set(["close", "detach", "makefile", "sethostname", "shutdown"]);

describe("wrong arguments", () => {
  for (const [name, row] of [...Object.entries(functions), ...Object.entries(more)]) {
    if (row.takes.length === 0 || apart.has(name)) continue;
    const first = name.split(" ")[0]!;
    const isMethod = methodNames.includes(first) && !(first in functions);
    const call = isMethod ? methodNamed(first) : functionNamed(first);
    needs(...(row.needs ?? ["", true]))(name, async () => expect(await tryAll(call, row)).toEqual([]));
  }
  for (const [name, row] of Object.entries(methods)) {
    if (row.takes.length === 0 || apart.has(name)) continue;
    const call = methodNamed(name);
    const run = needs(...(row.needs ?? ["", true]));
    run(`Socket.${name}`, async () => expect(await tryAll(call, row)).toEqual([]));
    run(`Socket.${name}, closed`, async () => expect(await tryAll(call, row, true)).toEqual([]));
  }
});

describe("wrong options", () => {
  const signals = substitutes.filter(([, make]) => make() !== undefined);
  const calls: Record<string, (sock: net.Socket, options: never) => unknown> = {
    accept: (sock, options) => sock.accept(options),
    connect: (sock, options) => sock.connect(["127.0.0.1", 9], options),
    recv: (sock, options) => sock.recv(1, options),
    recvfrom: (sock, options) => sock.recvfrom(1, 0, options),
    recvInto: (sock, options) => sock.recvInto(new Uint8Array(1), options),
    recvfromInto: (sock, options) => sock.recvfromInto(new Uint8Array(1), options),
    recvBatch: (sock, options) => sock.recvBatch(new MessageBatch(sock), options),
    sendBatch: (sock, options) => sock.sendBatch(new MessageBatch(sock), 0, options),
    recvmsg: (sock, options) => sock.recvmsg(1, 0, 0, options),
    recvmsgInto: (sock, options) => sock.recvmsgInto([], options),
    send: (sock, options) => sock.send("x", options),
    sendall: (sock, options) => sock.sendall("x", options),
    sendto: (sock, options) => sock.sendto("x", ["127.0.0.1", 9], options),
    sendmsg: (sock, options) => sock.sendmsg(["x"], options),
    sendfile: (sock, options) => sock.sendfile("/dev/null", options),
    chunks: (sock, options) => sock.chunks(options),
    connections: (sock, options) => sock.connections(options),
    datagrams: (sock, options) => sock.datagrams(options),
    lines: (sock, options) => sock.lines(options),
    createConnection: (_, options) => net.createConnection(["127.0.0.1", 9], options),
    getaddrinfo: (_, options) => net.getaddrinfo("127.0.0.1", 9, options),
    getnameinfo: (_, options) => net.getnameinfo(["127.0.0.1", 9], 0, options),
    gethostbyname: (_, options) => net.gethostbyname("127.0.0.1", options),
    gethostbyname_ex: (_, options) => net.gethostbyname_ex("127.0.0.1", options),
    gethostbyaddr: (_, options) => net.gethostbyaddr("127.0.0.1", options),
    getfqdn: (_, options) => net.getfqdn("127.0.0.1", options),
  };
  test.each(Object.entries(calls))("%s: a signal that is none, an option that there is not", async (_, call) => {
    const wrong: string[] = [];
    for (const [what, options] of [
      ...signals.map(([what, make]) => [what, { signal: make() }] as const),
      ["unknown", { sginal: undefined }] as const,
    ]) {
      using sock = new net.Socket();
      sock.settimeout(0);
      const outcome = await (async () => call(sock, options as never))().then(
        () => "accepted",
        (error: unknown) => error,
      );
      if (!(outcome instanceof TypeError) || !/signal|sginal/.test(outcome.message)) {
        if (!(outcome instanceof Hostile)) wrong.push(`${what}: ${String(outcome)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("of the root are refused as there", async () => {
    for (const [name, kinds] of Object.entries(byName)) {
      if (name === "Socket") continue;
      for (const option of Object.keys(kinds)) {
        const call = async () => functionNamed(name)(["127.0.0.1", 0], { [option]: Symbol() });
        const error = await call().catch((error: unknown) => error);
        if (name !== "getaddrinfo") expect(String(error)).toContain(option);
      }
    }
  });
});
