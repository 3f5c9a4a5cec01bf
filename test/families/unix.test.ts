/**
 * AF_UNIX addresses: paths, abstract names, none.
 *
 * Peers: CPython.
 */
import { expect } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { AF_UNIX, OSError, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../src/index.ts";
import { codeOf, needs, pythonPeer, thrown, type Face, type Socket } from "../faces.ts";
import { Folder, hasUnixDatagrams, isLinux, python } from "../help.ts";

const linux = needs("AF_UNIX as Linux has it", isLinux);
const unixTest = needs("AF_UNIX datagram socket", hasUnixDatagrams);

/** sizeof(sun_path). */
const PATH_MAX = isLinux ? 108 : 104;

const unix = (net: Face, type: number = SOCK_STREAM): Socket<"AF_UNIX"> => new net.Socket(AF_UNIX, type);

/** An abstract name that nobody else has. */
const abstractName = (text: string): Buffer => Buffer.from(`\0bs-${process.pid}-${performance.now()}-${text}`);

unixTest("a path is a file, and comes back as it was", async (net) => {
  using folder = new Folder();
  using sock = unix(net);
  expect(sock.getsockname()).toBe("");
  sock.bind(folder.file("plain"));
  expect(sock.getsockname()).toBe(folder.file("plain"));
  expect(readdirSync(folder.path)).toEqual(["plain"]);
  sock.close();
  expect(existsSync(folder.file("plain"))).toBe(true);
  using again = unix(net);
  expect(await codeOf(() => again.bind(folder.file("plain")))).toBe("EADDRINUSE");
});

unixTest("a path is taken as a string or as bytes", async (net) => {
  using folder = new Folder();
  for (const [i, address] of [
    folder.file("0"),
    Buffer.from(folder.file("1")),
    new TextEncoder().encode(folder.file("2")).buffer,
    new DataView(new TextEncoder().encode(folder.file("3")).buffer),
  ].entries()) {
    using sock = unix(net);
    sock.bind(address);
    expect(sock.getsockname()).toBe(folder.file(String(i)));
  }
});

unixTest("a name beyond ASCII is UTF-8", async (net) => {
  using folder = new Folder();
  using sock = unix(net);
  sock.bind(folder.file("größe 🧦"));
  expect(sock.getsockname()).toBe(folder.file("größe 🧦"));
  expect(readdirSync(folder.path)).toEqual(["größe 🧦"]);
});

linux("bytes that are not UTF-8 are surrogates in the string, and the same bytes again", async (net) => {
  using folder = new Folder();
  const name = Buffer.from([0x61, 0xff, 0xc3, 0xbc, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x80]);
  using first = unix(net);
  first.bind(Buffer.concat([Buffer.from(folder.file("")), name]));
  const path = first.getsockname() as string;
  expect(path.slice(folder.path.length + 1)).toBe("a\udcffü\udcc3(\udced\udca0\udc80\udcf0\udc9f\udc80");
  expect(readdirSync(folder.path, { encoding: "buffer" })[0]).toEqual(name);
  first.listen();
  using client = unix(net);
  await client.connect(path);
  expect(client.getpeername()).toBe(path);
  using second = unix(net);
  second.bind(`${path}\udcfe`);
  expect(readdirSync(folder.path, { encoding: "buffer" }).map((one) => one.length)).toContain(name.length + 1);
});

unixTest("half of a surrogate pair that stands for no byte is a RangeError", async (net) => {
  using sock = unix(net);
  for (const path of ["/tmp/\ud800", "/tmp/\udc7f", "/tmp/\udfff"]) expect(() => sock.bind(path)).toThrow(RangeError);
});

unixTest("a path may fill sun_path, to the last byte", async (net) => {
  using folder = new Folder();
  for (const length of [PATH_MAX - 1, PATH_MAX]) {
    using server = unix(net, SOCK_DGRAM);
    server.settimeout(5);
    const path = folder.file("").padEnd(length, "x");
    expect(path.length).toBe(length);
    server.bind(path);
    expect(server.getsockname()).toBe(path);
    using client = unix(net, SOCK_DGRAM);
    await client.sendto("fits", path);
    expect((await server.recv(10)).toString()).toBe("fits");
    await server.sendto("from it", path);
    expect((await server.recvfrom(10))[1]).toBe(path);
  }
});

unixTest("a longer path is ENAMETOOLONG, for every call that takes one", async (net) => {
  using sock = unix(net, SOCK_DGRAM);
  const path = `/tmp/${"x".repeat(PATH_MAX - 4)}`;
  expect(path.length).toBe(PATH_MAX + 1);
  for (const [name, call] of [
    ["bind", () => sock.bind(path)],
    ["connect", () => sock.connect(path)],
    ["connect", () => sock.connectEx(path)],
    ["sendto", () => sock.sendto("x", path)],
    ["sendmsg", () => sock.sendmsg(["x"], [], 0, path)],
    ["bind", () => sock.bind(Buffer.alloc(PATH_MAX + 1, 1))],
    ["bind", () => sock.bind(Buffer.alloc(PATH_MAX + 1))],
    ["bind", () => sock.bind("ü".repeat(PATH_MAX / 2 + 1))],
  ] as const) {
    const error = await thrown(call);
    expect(error).toBeInstanceOf(OSError);
    expect(error).toMatchObject({ code: "ENAMETOOLONG", syscall: name });
  }
  expect(sock.getsockname()).toBe("");
});

unixTest("a path with NUL in it is a RangeError", async (net) => {
  using sock = unix(net);
  expect(() => sock.bind("/tmp/a\0b")).toThrow(RangeError);
  expect(() => sock.bind(Buffer.from("/tmp/a\0"))).toThrow(RangeError);
});

linux("an abstract name is bytes with a NUL first, and may have more of them", async (net) => {
  using own = new net.Sockets();
  for (const name of [abstractName("plain"), Buffer.concat([abstractName("with"), Buffer.from("\0NUL\0")])]) {
    const server = own.add(unix(net));
    server.bind(name);
    expect(server.getsockname()).toEqual(name);
    server.listen();
    const client = own.add(unix(net));
    await client.connect(name.toString("latin1"));
    expect(client.getpeername()).toEqual(name);
    expect(own.add((await server.accept())[0]).getsockname()).toEqual(name);
    server.close();
    const after = own.add(unix(net));
    expect(await codeOf(() => after.connect(name))).toBe("ECONNREFUSED");
  }
});

linux("an abstract name that differs in a NUL at its end is another name", async (net) => {
  using own = new net.Sockets();
  const name = abstractName("differs");
  own.add(unix(net)).bind(name);
  const other = own.add(unix(net));
  other.bind(Buffer.concat([name, Buffer.from([0])]));
  expect(other.getsockname()).toEqual(Buffer.concat([name, Buffer.from([0])]));
});

linux("an abstract name may fill sun_path, and hold any bytes", async (net) => {
  using sock = unix(net, SOCK_DGRAM);
  const name = Buffer.alloc(108, 0xfe);
  name[0] = 0;
  name.set(abstractName("").subarray(1), 1);
  sock.bind(name);
  expect(sock.getsockname()).toEqual(name);
  sock.settimeout(5);
  await sock.sendto("x", name);
  expect((await sock.recvfrom(1))[1]).toEqual(name);
});

linux("abstract addresses are not shared between callers, who could change them", async (net) => {
  using sock = unix(net);
  sock.bind(abstractName("mine"));
  const first = sock.getsockname() as Buffer;
  const expected = Buffer.from(first);
  first.fill(0xff);
  expect(sock.getsockname()).toEqual(expected);
});

linux('bind("") lets the system choose an abstract name', async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.add(unix(net, SOCK_DGRAM)), own.add(unix(net, SOCK_DGRAM))];
  a.bind("");
  b.bind(new Uint8Array(0));
  const names = [a.getsockname() as Buffer, b.getsockname() as Buffer];
  for (const name of names) expect(name.toString("latin1")).toMatch(/^\0[0-9a-f]{5}$/);
  expect(names[0]).not.toEqual(names[1]);
  b.settimeout(5);
  await a.sendto("hi", names[1]!);
  expect(await b.recvfrom(10)).toEqual([Buffer.from("hi"), names[0]!]);
});

unixTest("who has no name: an empty string, and null beside a datagram", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const server = own.add(unix(net, SOCK_DGRAM));
  server.bind(folder.file("s"));
  server.settimeout(5);
  const client = own.add(unix(net, SOCK_DGRAM));
  expect(client.getsockname()).toBe("");
  await client.sendto("x", folder.file("s"));
  expect((await server.recvfrom(10))[1] as unknown).toBeNull();
  await client.sendto("x", folder.file("s"));
  expect((await server.recvmsg(10))[3] as unknown).toBeNull();
  const [a, b] = own.pair();
  expect([a.getsockname(), a.getpeername(), b.getsockname(), b.getpeername()]).toEqual(["", "", "", ""]);
});

unixTest("a named client of a stream is known by its name", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const server = own.add(unix(net));
  server.bind(folder.file("s"));
  server.listen();
  const client = own.add(unix(net));
  client.bind(folder.file("c"));
  await client.connect(folder.file("s"));
  const [conn, address] = await server.accept();
  own.add(conn);
  expect([address, conn.getpeername(), conn.getsockname()]).toEqual([
    folder.file("c"),
    folder.file("c"),
    folder.file("s"),
  ]);
});

linux("packets: connections that keep the bounds of what is sent", async (net) => {
  using own = new net.Sockets();
  const server = own.add(unix(net, SOCK_SEQPACKET));
  server.bind("");
  server.listen();
  server.settimeout(5);
  const client = own.add(unix(net, SOCK_SEQPACKET));
  client.settimeout(5);
  await client.connect(server.getsockname());
  const conn = own.add((await server.accept())[0]);
  conn.settimeout(5);
  await client.sendall("one");
  await client.sendall("two");
  expect((await conn.recv(100)).toString()).toBe("one");
  expect((await conn.recv(100)).toString()).toBe("two");
  client.close();
  expect((await conn.recv(100)).length).toBe(0);
});

linux.each([
  ["SOCK_DGRAM", SOCK_DGRAM],
  ["SOCK_SEQPACKET", SOCK_SEQPACKET],
] as const)("%s: all kinds of addresses reach each other, and are told", async (net, _name, type) => {
  using own = new net.Sockets();
  using folder = new Folder();
  let count = 0;
  const kinds: Record<string, () => string | Buffer | null> = {
    path: () => folder.file(`s${count++}`),
    abstract: () => abstractName(`s${count++}`),
    "the system's choice": () => "",
    none: () => null,
  };
  const open = (kind: string): Socket<"AF_UNIX"> => {
    const sock = own.add(unix(net, type));
    sock.settimeout(5);
    const name = kinds[kind]!();
    if (name !== null) sock.bind(name);
    if (name !== null && name !== "") expect(sock.getsockname()).toEqual(name);
    return sock;
  };
  for (const to of Object.keys(kinds).filter((kind) => kind !== "none")) {
    for (const from of Object.keys(kinds)) {
      const [server, client] = [open(to), open(from)];
      const [serverName, clientName] = [server.getsockname(), client.getsockname()];
      if (type === SOCK_SEQPACKET) {
        server.listen();
        await client.connect(serverName);
        const [conn, address] = await server.accept();
        own.add(conn).settimeout(5);
        expect([address, conn.getpeername(), conn.getsockname()]).toEqual([clientName, clientName, serverName]);
        await client.sendmsg(["a ", "packet"]);
        await client.send("another");
        expect([(await conn.recv(100)).toString(), (await conn.recv(100)).toString()]).toEqual(["a packet", "another"]);
      } else {
        await client.sendto("to the address", serverName);
        await client.connect(serverName);
        await client.send("to the peer");
        const sender = from === "none" ? null : clientName;
        expect(await server.recvfrom(100)).toEqual([Buffer.from("to the address"), sender] as never);
        expect(await server.recvmsg(100)).toEqual([Buffer.from("to the peer"), [], 0, sender] as never);
        if (sender !== null) {
          await server.sendto("back", sender);
          expect(await client.recvfrom(100)).toEqual([Buffer.from("back"), serverName]);
        }
      }
      expect(client.getpeername()).toEqual(serverName);
    }
  }
});

unixTest("permission is the file's", async (net) => {
  using folder = new Folder();
  using sock = unix(net);
  const error = await thrown(() => sock.bind("/nowhere/at/all"));
  expect(error).toMatchObject({ code: "ENOENT", syscall: "bind", address: "/nowhere/at/all" });
  using file = unix(net);
  expect(await codeOf(() => file.connect(folder.path))).toMatch(/^(ECONNREFUSED|ENOTSOCK|EPROTOTYPE)$/);
  using stream = unix(net);
  stream.bind(folder.file("s"));
  stream.listen();
  using datagram = unix(net, SOCK_DGRAM);
  expect(await codeOf(() => datagram.connect(folder.file("s")))).toBe("EPROTOTYPE");
});

needs("python3", python !== null)("names mean the same to python3", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const server = own.add(unix(net, SOCK_DGRAM));
  const path = folder.file("s \udcff");
  server.bind(isLinux ? path : folder.file("s"));
  server.settimeout(5);
  using client = pythonPeer(
    `s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(os.path.join(sys.argv[1], os.listdir(sys.argv[1])[0] + ".python"))
s.sendto(b"x", os.path.join(sys.argv[1], os.listdir(sys.argv[1])[0].removesuffix(".python")))`,
    [folder.path],
  );
  await client.output();
  expect((await server.recvfrom(1))[1]).toBe(`${server.getsockname() as string}.python`);
});

needs("Linux with Python", isLinux && python !== null)(
  "CPython's packets come from and go to the same names",
  async (net) => {
    using own = new net.Sockets();
    const server = own.add(unix(net, SOCK_SEQPACKET));
    const name = abstractName("packets");
    server.bind(name);
    server.listen();
    server.settimeout(30);
    using client = pythonPeer(
      `s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("")
s.connect(bytes.fromhex(sys.argv[1]))
s.send(s.getsockname())
print(s.getpeername().hex(), s.recv(100).decode())`,
      [name.toString("hex")],
    );
    const [conn, address] = await server.accept();
    own.add(conn).settimeout(30);
    expect(await conn.recv(100)).toEqual(address as Buffer);
    await conn.send("answered");
    expect(await client.output()).toBe(`${name.toString("hex")} answered`);
  },
);
