/**
 * SCTP, by IPPROTO_SCTP: connections (one-to-one) and associations (one-to-many), over IPv4 and IPv6.
 *
 * Peers: CPython, sctp_test of lksctp-tools.
 */
import { expect } from "bun:test";
import { join } from "node:path";
import {
  AF_INET,
  AF_INET6,
  type Inet6AddressLike,
  IPPROTO_SCTP,
  MSG_EOR,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
} from "../../src/index.ts";
import {
  MSG_NOTIFICATION,
  SCTP_ASSOC_CHANGE,
  SCTP_COMM_UP,
  SCTP_EOF,
  SCTP_EVENTS,
  SCTP_INITMSG,
  SCTP_NODELAY,
  SCTP_RCVINFO,
  SCTP_RECVRCVINFO,
  SCTP_SHUTDOWN_COMP,
  SCTP_SHUTDOWN_EVENT,
  SCTP_SNDINFO,
  SCTP_SNDRCV,
  SCTP_SOCKOPT_BINDX_ADD,
  SCTP_STATUS,
  SCTP_UNORDERED,
} from "../../src/all-constants.ts";
import { codeOf, isLinux, needs, Peer, python, pythonPeer, slowness, Sockets, works } from "../help.ts";
import { Program } from "../program.ts";
import { command } from "../tools/help.ts";

const hasSctp = isLinux && works(() => new Socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
const sctp = needs("SCTP", hasSctp);
const families = [
  [AF_INET, "127.0.0.1"],
  [AF_INET6, "::1"],
] as const;

function open(own: Sockets, family: number, type: number): Socket<"AF_INET" | "AF_INET6"> {
  const sock = own.add(new Socket(family, type, IPPROTO_SCTP) as Socket<"AF_INET" | "AF_INET6">);
  sock.settimeout(5 * slowness);
  return sock;
}

/** A socket that listens at a port of its own. */
function server(own: Sockets, family: number, host: string, type: number): Socket<"AF_INET" | "AF_INET6"> {
  const sock = open(own, family, type);
  sock.bind([host, 0]);
  sock.listen();
  return sock;
}

/** `struct sctp_sndinfo`. */
function sndinfo(stream: number, ppid: number, flags = 0, association = 0): Buffer {
  const info = Buffer.alloc(16);
  info.writeUInt16LE(stream, 0);
  info.writeUInt16LE(flags, 2);
  info.writeUInt32BE(ppid, 4); // the kernel leaves its byte order alone; by custom it is the network's
  info.writeUInt32LE(0xc0ffee, 8); // the context, which only errors tell
  info.writeInt32LE(association, 12);
  return info;
}

sctp.each(families)("a connection, one-to-one: family %d", (family, host) => {
  using own = new Sockets();
  const rest = family === AF_INET6 ? [0, 0] : [];
  const listener = server(own, family, host, SOCK_STREAM);
  const [, port] = listener.getsockname();
  expect(listener.getsockname()).toEqual([host, port, ...rest] as never);
  expect(listener.proto).toBe(IPPROTO_SCTP);
  const client = open(own, family, SOCK_STREAM);
  client.setsockopt(IPPROTO_SCTP, SCTP_NODELAY, 1);
  expect(client.getsockopt(IPPROTO_SCTP, SCTP_NODELAY)).toBe(1);
  // struct sctp_initmsg: how many streams there shall be, out and in, then tries and their time.
  client.setsockopt(IPPROTO_SCTP, SCTP_INITMSG, Buffer.from(Uint16Array.of(5, 7, 3, 1000).buffer));
  client.connect([host, port]);
  const [conn, address] = listener.accept();
  own.add(conn).settimeout(5 * slowness);
  expect(address).toEqual(client.getsockname());
  expect([conn.getpeername(), client.getpeername()]).toEqual([client.getsockname(), listener.getsockname()]);
  // struct sctp_status: association, state, window, two counters, then the streams in and out.
  const status = client.getsockopt(IPPROTO_SCTP, SCTP_STATUS, 176);
  expect([status.readUInt16LE(16), status.readUInt16LE(18)]).toEqual([7, 5]);

  client.send("one");
  client.sendall("two");
  expect(conn.recvmsg(100)).toEqual([Buffer.from("one"), [], MSG_EOR, address]);
  expect(conn.recv(100).toString()).toBe("two");
  conn.sendmsg(["in ", "parts"], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(6, 1)]]);
  expect(client.recv(100).toString()).toBe("in parts");
  expect(codeOf(() => client.sendmsg(["x"], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(5, 1)]]))).toBe("EINVAL");
  client.close();
  expect(conn.recv(100).length).toBe(0);
});

sctp.each(families)(
  "associations, one-to-many: streams, payload protocols and who sent it: family %d",
  (family, host) => {
    using own = new Sockets();
    const a = server(own, family, host, SOCK_SEQPACKET);
    const b = server(own, family, host, SOCK_SEQPACKET);
    b.setsockopt(IPPROTO_SCTP, SCTP_RECVRCVINFO, 1);
    a.setsockopt(IPPROTO_SCTP, SCTP_RECVRCVINFO, 1);
    expect(codeOf(() => b.accept())).toBe("EOPNOTSUPP");

    a.sendmsg(["by sndinfo"], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(3, 0xabcd)]], 0, b.getsockname());
    // The older structure: struct sctp_sndrcvinfo.
    const older = Buffer.alloc(32);
    older.writeUInt16LE(4, 0);
    older.writeUInt16LE(SCTP_UNORDERED, 4);
    older.writeUInt32BE(0x1234, 8);
    a.sendmsg(["by sndrcv"], [[IPPROTO_SCTP, SCTP_SNDRCV, older]], 0, b.getsockname());
    a.sendto("by nothing", b.getsockname());

    const received = [1, 2, 3].map(() => {
      const [data, [[level, type, info] = []], flags, from] = b.recvmsg(100, 200);
      expect([level, type, flags, from]).toEqual([IPPROTO_SCTP, SCTP_RCVINFO, MSG_EOR, a.getsockname()]);
      // struct sctp_rcvinfo: stream, its sequence number, flags, ppid …, association.
      return [data.toString(), info!.readUInt16LE(0), info!.readUInt16LE(4) & SCTP_UNORDERED, info!.readUInt32BE(8)];
    });
    expect(received.toSorted()).toEqual([
      ["by nothing", 0, 0, 0],
      ["by sndinfo", 3, 0, 0xabcd],
      ["by sndrcv", 4, SCTP_UNORDERED, 0x1234],
    ]);

    // The answer goes by the number of the association, or by the address.
    b.sendto("to the address", a.getsockname());
    const [data, [[, , info] = []], , from] = a.recvmsg(100, 200);
    expect([data.toString(), from]).toEqual(["to the address", b.getsockname()]);
    a.sendmsg(["to the association"], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(0, 0, 0, info!.readInt32LE(24))]]);
    expect(b.recvfrom(100)).toEqual([Buffer.from("to the association"), a.getsockname()]);
  },
);

sctp("a message that is longer than the room comes in parts, of which the last says so", () => {
  using own = new Sockets();
  const a = server(own, AF_INET, "127.0.0.1", SOCK_SEQPACKET);
  const b = server(own, AF_INET, "127.0.0.1", SOCK_SEQPACKET);
  a.sendto("abcdef", b.getsockname());
  expect(b.recvmsg(4)).toEqual([Buffer.from("abcd"), [], 0, a.getsockname()]);
  expect(b.recvmsg(4)).toEqual([Buffer.from("ef"), [], MSG_EOR, a.getsockname()]);
});

sctp("events come as messages: an association that begins, and ends", () => {
  using own = new Sockets();
  const a = server(own, AF_INET, "127.0.0.1", SOCK_SEQPACKET);
  const b = server(own, AF_INET, "127.0.0.1", SOCK_SEQPACKET);
  // struct sctp_event_subscribe: a byte for each kind, of which these are data, association, and shutdown.
  b.setsockopt(IPPROTO_SCTP, SCTP_EVENTS, Buffer.from([1, 1, 0, 0, 0, 1]));
  a.sendmsg(["hello"], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(2, 9)]], 0, b.getsockname());
  const event = (): [type: number, state: number] => {
    const [data, ancillary, flags, from] = b.recvmsg(200, 200);
    expect([ancillary, flags, from]).toEqual([[], MSG_NOTIFICATION | MSG_EOR, a.getsockname()]);
    expect(data.readUInt32LE(4)).toBe(data.length);
    return [data.readUInt16LE(0), data.length > 8 ? data.readUInt16LE(8) : 0];
  };
  expect(event()).toEqual([SCTP_ASSOC_CHANGE, SCTP_COMM_UP]);
  const [data, [[level, type, info] = []], flags] = b.recvmsg(200, 200);
  expect([data.toString(), level, type, flags]).toEqual(["hello", IPPROTO_SCTP, SCTP_SNDRCV, MSG_EOR]);
  expect([info!.readUInt16LE(0), info!.readUInt32BE(8)]).toEqual([2, 9]);
  a.sendmsg([], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(0, 0, SCTP_EOF)]], 0, b.getsockname());
  expect(event()[0]).toBe(SCTP_SHUTDOWN_EVENT);
  expect(event()).toEqual([SCTP_ASSOC_CHANGE, SCTP_SHUTDOWN_COMP]);
});

sctp("a server with two addresses is reached by both (SCTP_SOCKOPT_BINDX_ADD)", () => {
  using own = new Sockets();
  const listener = open(own, AF_INET, SOCK_STREAM);
  listener.bind(["127.0.0.2", 0]);
  const [, port] = listener.getsockname();
  const second = Buffer.alloc(16); // struct sockaddr_in
  second.writeUInt16LE(AF_INET, 0);
  second.writeUInt16BE(port, 2);
  second.set([127, 0, 0, 3], 4);
  listener.setsockopt(IPPROTO_SCTP, SCTP_SOCKOPT_BINDX_ADD, second);
  listener.listen();
  for (const host of ["127.0.0.2", "127.0.0.3"]) {
    const client = open(own, AF_INET, SOCK_STREAM);
    client.connect([host, port]);
    const [conn, address] = listener.accept();
    own.add(conn);
    expect(address[1]).toBe(client.getsockname()[1]);
    expect(client.getpeername()).toEqual([host, port]);
  }
});

sctp("nobody there, and types that SCTP has not", () => {
  using own = new Sockets();
  const listener = server(own, AF_INET, "127.0.0.1", SOCK_STREAM);
  const address = listener.getsockname();
  listener.close();
  expect(codeOf(() => open(own, AF_INET, SOCK_STREAM).connect(address))).toBe("ECONNREFUSED");
  expect(codeOf(() => open(own, AF_INET, SOCK_DGRAM))).toMatch(/^(ESOCKTNOSUPPORT|EPROTONOSUPPORT)$/);
  const sock = server(own, AF_INET, "127.0.0.1", SOCK_SEQPACKET);
  expect(codeOf(() => sock.send("x"))).toBe("EPIPE"); // it is not said to whom
  const wrong = [IPPROTO_SCTP, SCTP_SNDINFO, Buffer.alloc(15)] as const;
  expect(codeOf(() => sock.sendmsg(["x"], [wrong], 0, sock.getsockname()))).toBe("EINVAL");
});

needs("SCTP with python3", hasSctp && python !== null).each(families)(
  "CPython's connections and associations: family %d",
  async (family, host) => {
    using own = new Sockets();
    const stream = server(own, family, host, SOCK_STREAM);
    const many = server(own, family, host, SOCK_SEQPACKET);
    stream.settimeout(20 * slowness);
    many.settimeout(20 * slowness);
    using peer = pythonPeer(
      `
family, host = int(sys.argv[1]), sys.argv[2]
s = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
s.connect((host, int(sys.argv[3])))
s.sendall(b"one to one")
print(list(s.getsockname()), list(s.getpeername()), s.recv(100).decode())
m = socket.socket(family, socket.SOCK_SEQPACKET, socket.IPPROTO_SCTP)
m.bind((host, 0))
m.sendto(b"one to many", (host, int(sys.argv[4])))
data, address = m.recvfrom(100)
print(list(m.getsockname()), list(address), data.decode())`,
      [family, host, stream.getsockname()[1], many.getsockname()[1]],
    );
    const [conn, address] = stream.accept();
    own.add(conn).settimeout(20 * slowness);
    expect(conn.recv(100).toString()).toBe("one to one");
    conn.send("answered");
    const [data, from] = many.recvfrom(100) as [Buffer, Inet6AddressLike];
    expect(data.toString()).toBe("one to many");
    many.sendto("answered", from);
    const list = (one: readonly unknown[]): string => JSON.stringify(one).replaceAll('"', "'").replaceAll(",", ", ");
    expect((await peer.output()).split("\n")).toEqual([
      `${list(address)} ${list(stream.getsockname())} answered`,
      `${list(from)} ${list(many.getsockname())} answered`,
    ]);
  },
);

/** Where the machine of `bun run test:vm` has lksctp-tools. */
const tools = process.env["LKSCTP"];

needs("SCTP with lksctp-tools", hasSctp && tools !== undefined)(
  "sctp_test gets messages with their streams",
  async () => {
    using own = new Sockets();
    const probe = server(own, AF_INET, "127.0.0.1", SOCK_SEQPACKET);
    const [, port] = probe.getsockname();
    probe.close();
    const library = join(tools!, "usr", "lib", "x86_64-linux-gnu");
    using peer = new Peer(
      Bun.spawn([join(tools!, "usr", "bin", "sctp_test"), "-H", "127.0.0.1", "-P", String(port), "-l", "-d", "2"], {
        env: { ...process.env, LD_LIBRARY_PATH: library },
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    const sock = open(own, AF_INET, SOCK_SEQPACKET);
    const deadline = performance.now() + 10_000 * slowness;
    const said = peer.process.stdout.getReader();
    let output = "";
    const until = async (text: string): Promise<void> => {
      while (!output.includes(text) && performance.now() < deadline) {
        const { value, done } = await said.read();
        if (done) break;
        output += Buffer.from(value).toString();
      }
      expect(output).toContain(text);
    };
    await until("Receiving packets");
    for (const stream of [1, 5]) {
      sock.sendmsg(["hello"], [[IPPROTO_SCTP, SCTP_SNDINFO, sndinfo(stream, 0)]], 0, ["127.0.0.1", port]);
      await until("COMMUNICATION_UP");
      await Bun.sleep(100);
    }
    await until("Data 5 bytes. First 5 bytes: hello");
    await until("SNDRCV(stream=5 ");
  },
);

const exampleTimeout = 30_000 * slowness;
const example = (...args: (string | number)[]) => new Program(command("sctp-echo.ts", ...args.map(String)));

sctp.each(families)(
  "examples/sctp-echo.ts: each text goes by a stream of its own, and back: family %d",
  async (_, host) => {
    using server = example("serve", host, 0);
    const [port = ""] = await server.line(new RegExp(`^listening on ${host} port (\\d+)$`));
    const { status, stdout, stderr } = await example("send", host, port, "one", "two", "three").end();
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.split("\n").sort()).toEqual(["stream 0: one", "stream 1: two", "stream 2: three"]);
    const [client] = await server.line(/ port (\d+) is here$/);
    await server.line(new RegExp(`^${host} port ${client}, stream 2: three$`));
    await server.line(new RegExp(`^${host} port ${client} is gone$`));
    const nobody = await example("send", host, "1", "x").end();
    expect(nobody).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^connect ECONNREFUSED /) });
  },
  exampleTimeout,
);

needs("SCTP with python3", hasSctp && python !== null)(
  "examples/sctp-echo.ts: CPython's one-to-one client, and its server",
  async () => {
    using server = example("serve", "127.0.0.1", 0);
    const [port = ""] = await server.line(/ port (\d+)$/);
    using peer = new Program([
      python!,
      "-u",
      "-c",
      `
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
s.connect(("127.0.0.1", int(sys.argv[1])))
s.sendmsg([b"from python"], [(socket.IPPROTO_SCTP, 2, struct.pack("=HHIIi", 5, 0, 0, 0, 0))]) # SCTP_SNDINFO
print(s.recv(100).decode())
s.close()
m = socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, socket.IPPROTO_SCTP)
m.bind(("127.0.0.1", 0))
m.listen()
print(m.getsockname()[1])
for i in range(2):
    data, address = m.recvfrom(100)
    m.sendto(data.upper(), address)
m.recv(100)`,
      port,
    ]);
    await peer.line(/^from python$/);
    await server.line(/, stream 5: from python$/);
    await server.line(/ is gone$/);
    const [theirs = ""] = await peer.line(/^(\d+)$/);
    const { stdout } = await example("send", "127.0.0.1", theirs, "one", "two").end();
    expect(stdout.split("\n").sort()).toEqual(["stream 0: ONE", "stream 0: TWO"]); // it says no stream
  },
  exampleTimeout,
);

needs("SCTP with lksctp-tools", hasSctp && tools !== undefined)(
  "examples/sctp-echo.ts: sctp_test sends to it",
  async () => {
    using server = example("serve", "127.0.0.1", 0);
    const [port = ""] = await server.line(/ port (\d+)$/);
    const local = String(20_000 + (process.pid % 10_000));
    using peer = new Program(
      [
        join(tools!, "usr", "bin", "sctp_test"),
        "-H",
        "127.0.0.1",
        "-P",
        local,
        "-h",
        "127.0.0.1",
        "-p",
        port,
        "-s",
        "-x",
        "1",
        "-X",
        "1",
      ],
      { LD_LIBRARY_PATH: join(tools!, "usr", "lib", "x86_64-linux-gnu") },
    );
    await server.line(new RegExp(`^127\\.0\\.0\\.1 port ${local} is here$`));
    await server.line(new RegExp(`^127\\.0\\.0\\.1 port ${local}, stream \\d+: `));
    await peer.kill();
    await server.line(new RegExp(`^127\\.0\\.0\\.1 port ${local} is gone$`));
  },
  exampleTimeout,
);
