/** Classic BPF: programs as tcpdump prints them, and what sockets receive that have them. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AF_INET,
  AF_PACKET,
  SO_ATTACH_FILTER,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { attachFilter, detachFilter, type FilterInstruction, lockFilter, parseFilter } from "../../src/messages.ts";
import * as promises from "../../src/promises.ts";
import { codeOf, hasFilters, isRoot, needs, Sockets } from "../help.ts";

const linux = needs("SO_ATTACH_FILTER", hasFilters);
const root = needs("root, and SO_ATTACH_FILTER", hasFilters && isRoot);

/** What tcpdump 4.99.3 printed, by its expression. */
const printed = new Map(
  (await Bun.file(join(import.meta.dir, "tcpdump.txt")).text())
    .split(/^# tcpdump -i lo -ddd /m)
    .slice(1)
    .map((part) => [part.slice(1, part.indexOf("'\n")), part.slice(part.indexOf("\n") + 1)]),
);

/** Passes the datagrams whose first byte of data is that. (A filter of UDP begins with the header, of 8 bytes.) */
const firstByte = (byte: number): FilterInstruction[] => [
  [0x30, 0, 0, 8],
  [0x15, 0, 1, byte],
  [6, 0, 0, 0xffff_ffff],
  [6, 0, 0, 0],
];

/** What waits in a socket. */
function waiting(sock: Socket): string[] {
  sock.settimeout(0);
  const all: string[] = [];
  for (;;) {
    const code = codeOf(() => all.push(sock.recv(100).toString()));
    if (code === "EAGAIN") return all;
    if (code.startsWith("E")) throw new Error(code);
  }
}

test("programs are read as tcpdump prints them", () => {
  expect(parseFilter(printed.get("icmp")!)).toEqual([
    [40, 0, 0, 12],
    [21, 0, 3, 2048],
    [48, 0, 0, 23],
    [21, 0, 1, 1],
    [6, 0, 0, 262_144],
    [6, 0, 0, 0],
  ]);
  for (const text of printed.values()) expect(parseFilter(text).length).toBe(Number(text.split("\n")[0]));
  expect(printed.size).toBe(3);
  const commas = "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0";
  expect(parseFilter(commas)).toEqual(parseFilter(commas.replaceAll(",", "\r\n")));
});

test("what is no program is refused, and the message says what it is", () => {
  for (const text of [
    "",
    "0",
    "0\n",
    "2\n6 0 0 0",
    "1\n6 0 0",
    "1\n6 0 0 -1",
    "1\n6 0 0 0 0",
    "x\n6 0 0 0",
    "1\n6 0 0 0x1",
  ]) {
    expect(() => parseFilter(text)).toThrow(RangeError);
    expect(() => parseFilter(text)).toThrow(/^text/);
  }
  expect(() => parseFilter("1\n65536 0 0 0")).toThrow(/^text\[0\]\[0\]: expected an integer from 0 to 65535/);
  expect(() => parseFilter(5 as never)).toThrow(/^text: expected a string/);
});

linux("a socket receives what its program passes, and everything again without it", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.connect(b.getsockname());
  const send = () => ["a1", "b1", "a2"].forEach((text) => a.send(text));
  attachFilter(b, firstByte(0x61));
  send();
  expect(waiting(b)).toEqual(["a1", "a2"]);
  attachFilter(b, firstByte(0x62)); // takes the other's place
  send();
  expect(waiting(b)).toEqual(["b1"]);
  detachFilter(b);
  send();
  expect(waiting(b)).toEqual(["a1", "b1", "a2"]);
  expect(codeOf(() => detachFilter(b))).toBe("ENOENT");
});

linux("a socket of the promises has its program too", async () => {
  using a = new promises.Socket(AF_INET, SOCK_DGRAM);
  using b = new promises.Socket(AF_INET, SOCK_DGRAM);
  b.bind(["127.0.0.1", 0]);
  await a.connect(b.getsockname());
  attachFilter(b, firstByte(0x61));
  for (const text of ["b1", "a1"]) await a.send(text);
  expect(String(await b.recv(100))).toBe("a1");
  lockFilter(b);
  expect(codeOf(() => detachFilter(b))).toBe("EPERM");
  attachFilter(a, firstByte(0x61));
  detachFilter(a);
});

linux("a program that is locked stays", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  attachFilter(b, firstByte(0x61));
  lockFilter(b);
  expect(codeOf(() => detachFilter(b))).toBe("EPERM");
  expect(codeOf(() => attachFilter(b, firstByte(0x62)))).toBe("EPERM");
  a.sendto("b", b.getsockname());
  a.sendto("a", b.getsockname());
  expect(waiting(b)).toEqual(["a"]);
});

linux("a program chooses among the sockets of a port", () => {
  using own = new Sockets();
  const sender = own.udp();
  const both = [0, 1].map(() => {
    const sock = own.add(new Socket(AF_INET, SOCK_DGRAM));
    sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    return sock;
  });
  both[0]!.bind(["127.0.0.1", 0]);
  both[1]!.bind(both[0]!.getsockname());
  // The index is the first byte of data, which is where this program begins.
  attachFilter(
    both[0]!,
    [
      [0x30, 0, 0, 0],
      [0x54, 0, 0, 1],
      [0x16, 0, 0, 0],
    ],
    SO_ATTACH_REUSEPORT_CBPF,
  );
  for (const text of ["0", "1", "0", "3"]) sender.sendto(text, both[0]!.getsockname());
  expect(both.map(waiting)).toEqual([
    ["0", "0"],
    ["1", "3"],
  ]);
});

linux("the program is whole however long it is, and however much garbage is collected meanwhile", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.connect(b.getsockname());
  // Linux before 6.7 lets a socket have 20 KB for programs, no matter how many instructions a program may have.
  const memory = Number(readFileSync("/proc/sys/net/core/optmem_max", "utf8"));
  const longest = memory > 100_000 ? [4090] : [];
  for (const [round, length] of [1, 2, 3, 10, 100, 1000, ...longest].entries()) {
    const load: FilterInstruction = [0, 0, 0, round];
    attachFilter(b, [...Array.from({ length }, () => load), ...firstByte(0x61 + round)]);
    Bun.gc(true);
    for (let i = 0; i < 7; i++) a.send(String.fromCharCode(0x61 + i));
    expect(waiting(b)).toEqual([String.fromCharCode(0x61 + round)]);
  }
  for (let i = 0; i < 2000; i++) attachFilter(b, firstByte(0x61 + (i & 7)));
  expect(
    codeOf(() =>
      attachFilter(
        b,
        Array.from({ length: 4096 }, () => [5, 0, 0, 1] as const),
      ),
    ),
  ).toBe("EINVAL");
});

root("tcpdump's program lets a packet socket see what its expression says", () => {
  using own = new Sockets();
  const packets = own.add(new Socket(AF_PACKET, SOCK_RAW, 0)); // 0: receives nothing until it is bound
  attachFilter(packets, parseFilter(printed.get("udp dst port 5353")!));
  packets.bind(["lo", 3]); // ETH_P_ALL
  const sender = own.udp();
  const text = "seen by a packet socket";
  sender.sendto(text, ["127.0.0.1", 5352]);
  sender.sendto(text, ["127.0.0.1", 5353]);
  const seen: number[] = [];
  packets.settimeout(0);
  while (
    codeOf(() => {
      const frame = packets.recv(2000);
      if (frame.includes(text)) seen.push(frame.readUInt16BE(36)); // the port, behind the headers of Ethernet and IP
    }) !== "EAGAIN"
  );
  expect(new Set(seen)).toEqual(new Set([5353]));
});

linux("what the system does not accept is its error; what is wrong is told before", () => {
  using own = new Sockets();
  const sock = own.udp();
  expect(codeOf(() => attachFilter(sock, [[0, 0, 0, 0]]))).toBe("EINVAL"); // ends without a return
  expect(codeOf(() => attachFilter(sock, [[6, 0, 0, 0]], 0x7fff_0000))).toBe("ENOPROTOOPT");
  const wrong = (call: () => void, kind: ErrorConstructor, message: RegExp) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  };
  const ok: FilterInstruction = [6, 0, 0, 0];
  wrong(() => attachFilter({} as never, [ok]), TypeError, /^sock: expected a Socket/);
  wrong(() => attachFilter(new Proxy(sock, {}), [ok]), TypeError, /^sock: expected a Socket/);
  wrong(() => attachFilter(sock, 5 as never), TypeError, /^instructions: expected an iterable/);
  wrong(() => attachFilter(sock, []), RangeError, /^instructions: expected 1 to 4096 instructions/);
  wrong(
    () =>
      attachFilter(
        sock,
        Array.from({ length: 4097 }, () => ok),
      ),
    RangeError,
    /^instructions: /,
  );
  wrong(
    () => attachFilter(sock, [ok, [6, 0, 0] as never]),
    TypeError,
    /^instructions\[1\]: expected \[code, jt, jf, k\]/,
  );
  wrong(() => attachFilter(sock, [[0x1_0000, 0, 0, 0]]), RangeError, /^instructions\[0\]\[0\]: /);
  wrong(() => attachFilter(sock, [[6, 256, 0, 0]]), RangeError, /^instructions\[0\]\[1\]: /);
  wrong(() => attachFilter(sock, [[6, 0, -1, 0]]), RangeError, /^instructions\[0\]\[2\]: /);
  wrong(() => attachFilter(sock, [[6, 0, 0, 2 ** 32]]), RangeError, /^instructions\[0\]\[3\]: /);
  wrong(() => attachFilter(sock, [[6, 0, 0, "0" as never]]), TypeError, /^instructions\[0\]\[3\]: /);
  wrong(() => attachFilter(sock, [ok], undefined as never), TypeError, /^option: .*platform lacks/);
  wrong(() => detachFilter({} as never), TypeError, /^sock: /);
  wrong(() => lockFilter(null as never), TypeError, /^sock: /);
  sock.close();
  expect(codeOf(() => attachFilter(sock, [ok]))).toBe("EBADF");
  expect(SO_ATTACH_FILTER).toBe(26);
});

linux("a method of the caller's never sees the program's address", () => {
  class Spy extends Socket<"AF_INET"> {
    override setsockopt(): void {
      throw new Error("was called");
    }
  }
  using sock = new Spy(AF_INET, SOCK_DGRAM);
  attachFilter(sock, [[6, 0, 0, 0]]);
  detachFilter(sock);
});
