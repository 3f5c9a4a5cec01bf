/**
 * Every argument of every function and method, and what happens when it is something else: where it cannot be meant, a
 * TypeError or a RangeError that names it, before anything is sent, received, opened or connected.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import * as net from "../../src/index.ts";
import { AF_INET, OSError, SOCK_DGRAM, SOCK_STREAM, Socket } from "../../src/index.ts";
import { codeOf, descriptors, Folder, isWindows, leftOpen, needs, Sockets } from "../help.ts";
import {
  byName,
  type Callable,
  fresh,
  functionNamed,
  functions,
  isLacking,
  keyName,
  level,
  may,
  methodNamed,
  methods,
  more,
  type Row,
  useFile,
  verdict,
} from "./rows.ts";
import { closeAll, substitutes } from "./values.ts";

/** Calls with every substitute in every place; gives what went wrong. */
function tryAll(call: Callable, row: Row, closed = false): string[] {
  const wrong: string[] = [];
  for (const [i, [names, kind, skip]] of row.takes.entries()) {
    for (const [what, make] of substitutes) {
      const value = make();
      if ((skip && may({ may: skip }, value)) || (closed && may(kind, value))) continue;
      const before = descriptors();
      {
        using sockets = new Sockets();
        const { self, args, untouched } = row.make(sockets);
        if (closed) (self as Socket).close();
        const outcome: { returned?: unknown; threw?: unknown } = {};
        try {
          outcome.returned = Reflect.apply(call, self, args.with(i, value));
        } catch (threw) {
          outcome.threw = threw;
        }
        const problem = verdict(names, kind, value, outcome, row.lacking);
        if (problem) wrong.push(`${names}: ${what}: ${problem}`);
        const refused = outcome.threw instanceof TypeError || outcome.threw instanceof RangeError;
        if (refused && !closed) untouched?.();
        closeAll(outcome.returned);
        if (row.frees && !("threw" in outcome)) net.close(outcome.returned as number);
      }
      net.setdefaulttimeout(null);
      const left = leftOpen(before);
      if (left.length > 0) wrong.push(`${names}: ${what}: left ${left.length} descriptors open`);
    }
  }
  return wrong;
}

/** The exports that are called; errors are made by the library, and constants are no functions. */
const exported = Object.keys(net).filter((name) => {
  const value: unknown = Reflect.get(net, name);
  return typeof value === "function" && !(value.prototype instanceof Error);
});
const own = Reflect.ownKeys(Socket.prototype)
  .filter((key) => typeof Object.getOwnPropertyDescriptor(Socket.prototype, key)!.value === "function")
  .map(keyName)
  .filter((name) => name !== "constructor");

let folder: Folder;
let file: string;
beforeAll(() => {
  folder = new Folder();
  file = folder.file("data");
  useFile(file);
  writeFileSync(file, "x");
});
afterAll(() => folder[Symbol.dispose]());

test("every exported function is in the table", () => {
  expect(Object.keys(functions).sort()).toEqual(exported.sort());
});

test("every method is in the table", () => {
  expect(Object.keys(methods).sort()).toEqual(own.sort());
});

/** Every row, with the function that it is for. */
const rows: [name: string, call: Callable, row: Row][] = [
  ...Object.entries(functions).map(([name, row]) => [name, functionNamed(name), row] as [string, Callable, Row]),
  ...Object.entries(methods).map(
    ([name, row]) => [`Socket.${name}`, methodNamed(name), row] as [string, Callable, Row],
  ),
  ...Object.entries(more).map(([what, row]) => {
    const name = what.split(" ")[0]!;
    const call = own.includes(name) ? methodNamed(name) : functionNamed(name);
    return [what, call, row] as [string, Callable, Row];
  }),
];

test("the rows' own arguments are right", () => {
  for (const [name, call, row] of rows) {
    if (row.needs?.[1] === false) continue;
    using sockets = new Sockets();
    const { self, args } = row.make(sockets);
    let threw: unknown;
    try {
      const returned = Reflect.apply(call, self, args);
      closeAll(returned);
      if (row.frees) net.close(returned as number);
    } catch (error) {
      threw = error;
    }
    const right = row.lacking ? isLacking(threw) : threw === undefined || threw instanceof OSError;
    if (!right) throw new Error(name, { cause: threw });
  }
});

describe("wrong arguments", () => {
  for (const [name, call, row] of rows) {
    const run = needs(...(row.needs ?? ["", true]));
    if (row.takes.length > 0) run(name, () => expect(tryAll(call, row)).toEqual([]));
  }
});

describe("wrong arguments on a closed socket are told before that it is closed", () => {
  for (const [name, call, row] of rows) {
    if (row.takes.length === 0 || !/^Socket\.| /.test(name)) continue;
    if (name.includes(" ") && !own.includes(name.split(" ")[0]!)) continue;
    const run = needs(...(row.needs ?? ["", true]));
    run(name, () => expect(tryAll(call, row, true)).toEqual([]));
  }
});

describe("wrong options", () => {
  const first: Record<string, (sockets: Sockets) => unknown[]> = {
    createConnection: (sockets) => [sockets.server().getsockname()],
    createServer: () => [["127.0.0.1", 0]],
    getaddrinfo: () => ["127.0.0.1", 80],
    Socket: () => [],
  };
  for (const [name, kinds] of Object.entries(byName)) {
    const call = functionNamed(name);
    for (const [option, kind] of Object.entries(kinds)) {
      // The place that the values are put in is that of the option.
      const row: Row = {
        takes: [[option, kind]],
        make: (sockets) => ({ self: first[name]!(sockets), args: [undefined] }),
      };
      const withOption = function (this: unknown[], value: unknown) {
        return call(...this, { [option]: value });
      };
      test(`${name}: ${option}`, () => expect(tryAll(withOption as Callable, row)).toEqual([]));
    }

    test(`${name}: an option that there is not`, () => {
      using sockets = new Sockets();
      expect(() => call(...first[name]!(sockets), { tiemout: 1 })).toThrow(/^options: there is no option "tiemout"/);
    });
  }
});

test("undefined is an argument left out, unless a constant is meant that the platform may lack", () => {
  using sockets = new Sockets();
  const lacking = undefined as never;
  const tcp = fresh(sockets);
  const untyped = tcp as unknown as Record<"getsockopt" | "setsockopt", (...args: unknown[]) => unknown>;
  expect(untyped.getsockopt(level.level, level.option, undefined)).toBe(0);
  expect(() => untyped.getsockopt(undefined, level.option, undefined)).toThrow(/^level: .*platform lacks/);
  expect(() => untyped.getsockopt(level.level, undefined, undefined)).toThrow(/^option: .*platform lacks/);
  untyped.setsockopt(level.level, level.option, 1, undefined);
  expect(tcp.getsockopt(level.level, level.option)).not.toBe(0);
  expect(() => tcp.setsockopt(level.level, level.option, lacking)).toThrow(/^value: /);
  tcp.setsockopt(level.level, level.option, 0);
  expect(codeOf(() => tcp.ioctl(net.FIONREAD, undefined))).toBe(codeOf(() => tcp.ioctl(net.FIONREAD)));
  expect(() => tcp.ioctl(lacking, undefined)).toThrow(/^request: /);
  tcp.bind(["127.0.0.1", 0]);
  tcp.listen(undefined);
  const client = fresh(sockets);
  client.connect(tcp.getsockname());

  const [a, b] = sockets.pair(SOCK_DGRAM);
  const into = new Uint8Array(8);
  /** Sends a datagram, and gives what became of it. */
  const received = <T>(use: () => T): T => {
    b.send("hello");
    return use();
  };
  expect(received(() => a.recvInto(into, undefined))).toBe(5);
  expect(received(() => a.recvInto(into, undefined, net.MSG_DONTWAIT ?? 0))).toBe(5);
  expect(received(() => a.recvfromInto(into, undefined))[0]).toBe(5);
  expect(received(() => a.recvmsg(100, undefined))[0].toString()).toBe("hello");
  expect(received(() => a.recvmsgInto([into], undefined))[0]).toBe(5);
  for (const call of [
    () => a.recvInto(into, undefined, lacking),
    () => a.recvfromInto(into, undefined, lacking),
    () => a.recvmsg(100, undefined, lacking),
    () => a.recvmsgInto([into], undefined, lacking),
    () => a.sendmsg(["x"], undefined, lacking),
    () => a.sendmsg(["x"], undefined, lacking, undefined),
    ...(isWindows ? [] : [() => net.sendFds(a, ["x"], [], lacking, undefined)]),
  ]) {
    expect(call).toThrow(/^flags: .*platform lacks/);
  }
  a.setblocking(false);
  expect(codeOf(() => a.recv(1))).toBe("EAGAIN");

  expect(a.sendmsg(["o", "ne"], undefined)).toBe(3);
  expect(a.sendmsg(["two"], undefined, 0, undefined)).toBe(3);
  expect([b.recv(100).toString(), b.recv(100).toString()]).toEqual(["one", "two"]);
  if (!isWindows) {
    expect(net.sendFds(a, ["three"], [0], 0, undefined)).toBe(5);
    const [data, fds] = net.recvFds(b, 100, 1);
    expect([data.toString(), fds.length]).toEqual(["three", 1]);
    fds.forEach(net.close);
  }

  const [c, d] = sockets.pair();
  expect(c.sendfile(file, undefined)).toBe(1);
  expect(c.sendfile(file, undefined, 1)).toBe(1);
  expect(c.sendfile(file, 0, undefined)).toBe(1);
  expect(c.sendfile(file, undefined, undefined)).toBe(1);
  expect(d.recv(100).toString()).toBe("xxxx");

  expect(net.getservbyname("http", undefined)).toBe(net.getservbyname("http"));
  expect(net.getservbyport(80, undefined)).toBe(net.getservbyport(80));
});

test("a wrong argument is found before those beside it go to the system", () => {
  using sockets = new Sockets();
  const udp = sockets.udp();
  const unknown = ["x".repeat(64), 9] as const; // would be refused by itself, but later
  const wrong = 5 as never;
  expect(() => udp.sendto(wrong, unknown)).toThrow(/^data: /);
  expect(() => udp.sendto("x", wrong + 0.5, unknown)).toThrow(/^flags: /);
  expect(() => udp.sendmsg([wrong], [], 0, unknown)).toThrow(/^buffers\[0\]: /);
  expect(() => udp.sendmsg(["x"], [[1, 1, wrong]], 0, unknown)).toThrow(/^ancdata\[0\]\[2\]: /);
  expect(() => net.createConnection(unknown, 1, wrong)).toThrow(/^sourceAddress: /);
  expect(() => net.createConnection(unknown, -1)).toThrow(/^timeout: /);
  expect(() => net.createServer(wrong, { family: 0x7fff })).toThrow(/^address: /);
  expect(() => net.createServer(wrong, { backlog: 1.5 })).toThrow(/^options\.backlog: /);
  expect(() => net.fromfd(0x7fff_fff0, AF_INET, SOCK_STREAM, 1.5)).toThrow(/^proto: /);
});
