/**
 * AF_RDS: reliable datagrams, within a machine and over TCP between two.
 *
 * Every socket here has a time limit: kernels were seen that hang in it.
 *
 * Peers: CPython.
 */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_RDS,
  type Inet6AddressLike,
  MSG_PEEK,
  RDS_CANCEL_SENT_TO,
  RDS_CMSG_CONG_UPDATE,
  RDS_CMSG_RXPATH_LATENCY,
  RDS_CONG_MONITOR,
  RDS_RECVERR,
  RDS_TRANS_NONE,
  RDS_TRANS_TCP,
  SO_RCVBUF,
  SO_RDS_MSG_RXPATH_LATENCY,
  SO_RDS_TRANSPORT,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  Socket,
  SOL_RDS,
  SOL_SOCKET,
} from "../../src/index.ts";
import { codeOf, isLinux, needs, python, pythonPeer, slowness, Sockets, works } from "../help.ts";
import { join, lacking, Network } from "../networks.ts";
import { run, runIn } from "../tools/help.ts";

const hasRds = isLinux && works(() => new Socket(AF_RDS, SOCK_SEQPACKET));
const rds = needs("AF_RDS", hasRds);

function open(own: Sockets, address?: Inet6AddressLike): Socket<"AF_RDS"> {
  const sock = own.add(new Socket(AF_RDS, SOCK_SEQPACKET));
  sock.settimeout(5 * slowness);
  if (address !== undefined) sock.bind(address);
  return sock;
}

rds("a socket has no address until it is bound; the port may be the system's choice", () => {
  using own = new Sockets();
  const sock = open(own);
  expect(sock.getsockname() as unknown).toEqual([0, Buffer.alloc(14)]); // a name of no family
  expect(codeOf(() => sock.sendto("x", ["127.0.0.1", 4000]))).toBe("ENOTCONN");
  sock.bind(["127.0.0.1", 0]);
  const address = sock.getsockname();
  expect(address).toEqual(["127.0.0.1", expect.any(Number)] as never);
  expect(address[1]).toBeGreaterThan(0);
  expect(codeOf(() => open(own, address))).toBe("EADDRINUSE");
  expect(codeOf(() => open(own, ["192.0.2.1", 0]))).toBe("EADDRNOTAVAIL");
  expect(codeOf(() => open(own, ["", 0]))).toBe("EINVAL"); // it needs a single address
  expect(codeOf(() => new Socket(AF_RDS, SOCK_DGRAM))).toBe("ESOCKTNOSUPPORT");
});

for (const host of ["127.0.0.1", "::1"]) {
  const rest = host === "::1" ? [0, 0] : [];
  rds(`datagrams go from ${host} to ${host}, by sendto and by connect`, () => {
    using own = new Sockets();
    const [a, b] = [open(own, [host, 0]), open(own, [host, 0])];
    const port = b.getsockname()[1];
    expect(b.getsockname() as unknown).toEqual([host, port, ...rest]);
    expect(a.sendto("first", b.getsockname())).toBe(5);
    expect(a.sendto("second", 0, [host, port])).toBe(6);
    expect(b.recvfrom(100, MSG_PEEK)).toEqual([Buffer.from("first"), a.getsockname()]);
    expect(b.recvfrom(100)).toEqual([Buffer.from("first"), a.getsockname()]);
    expect(b.recvmsg(100, 100)).toEqual([Buffer.from("second"), [], 0, a.getsockname()]);
    b.sendmsg(["in ", "parts"], [], 0, a.getsockname());
    expect(a.recv(100).toString()).toBe("in parts");

    expect(codeOf(() => a.getpeername())).toBe("ENOTCONN");
    a.connect([host, port]);
    expect(a.getpeername()).toEqual(b.getsockname());
    expect(a.send("third")).toBe(5);
    a.sendall("fourth");
    expect([b.recv(100).toString(), b.recv(100).toString()]).toEqual(["third", "fourth"]);
    b.settimeout(0);
    expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
    const other = host === "::1" ? "127.0.0.1" : "::1";
    expect(codeOf(() => a.sendto("x", [other, port]))).toBe("EOPNOTSUPP"); // one socket is of one of both
  });
}

rds("the options of SOL_RDS", () => {
  using own = new Sockets();
  const [a, b] = [open(own, ["127.0.0.1", 0]), open(own)];
  expect(a.getsockopt(SOL_RDS, RDS_RECVERR)).toBe(0);
  a.setsockopt(SOL_RDS, RDS_RECVERR, 1);
  expect(a.getsockopt(SOL_RDS, RDS_RECVERR)).toBe(1);
  expect(b.getsockopt(SOL_RDS, SO_RDS_TRANSPORT)).toBe(RDS_TRANS_NONE | 0); // -1: none yet
  b.setsockopt(SOL_RDS, SO_RDS_TRANSPORT, RDS_TRANS_TCP);
  expect(b.getsockopt(SOL_RDS, SO_RDS_TRANSPORT)).toBe(RDS_TRANS_TCP);
  b.setsockopt(SOL_RDS, RDS_CONG_MONITOR, 1);
  expect(codeOf(() => b.setsockopt(SOL_RDS, RDS_CONG_MONITOR, Buffer.alloc(1)))).toBe("EINVAL");
  // RDS_CANCEL_SENT_TO takes a struct sockaddr_in.
  const name = Buffer.alloc(16);
  name.writeUInt16LE(AF_INET, 0);
  name.writeUInt16BE(4001, 2);
  name.set([127, 0, 0, 1], 4);
  a.setsockopt(SOL_RDS, RDS_CANCEL_SENT_TO, name);
  expect(codeOf(() => a.setsockopt(SOL_RDS, RDS_CANCEL_SENT_TO, name.subarray(0, 8)))).toBe("EINVAL");
});

rds("RDS_CMSG_RXPATH_LATENCY tells where a message was when", () => {
  using own = new Sockets();
  const [a, b] = [open(own, ["127.0.0.1", 0]), open(own, ["127.0.0.1", 0])];
  b.setsockopt(SOL_RDS, SO_RDS_MSG_RXPATH_LATENCY, Buffer.from([2, 0, 2, 0])); // struct rds_rx_trace_so: how many, which
  a.sendto("x", b.getsockname());
  const [, ancillary] = b.recvmsg(100, 200);
  expect(ancillary).toEqual([[SOL_RDS, RDS_CMSG_RXPATH_LATENCY, expect.any(Buffer)]] as never);
  const trace = ancillary[0]![2]; // struct rds_cmsg_rx_trace: as many, the same, then nanoseconds
  expect([...trace.subarray(0, 3)]).toEqual([2, 0, 2]);
  expect(trace.length).toBeGreaterThanOrEqual(24);
  expect(trace.readBigUInt64LE(16)).toBeLessThan(60_000_000_000n); // 0 where the clock did not go on meanwhile
});

rds("a control message that RDS does not know is refused", () => {
  using own = new Sockets();
  const [a, b] = [open(own, ["127.0.0.1", 0]), open(own, ["127.0.0.1", 0])];
  const send = () => a.sendmsg(["x"], [[SOL_RDS, 99, Buffer.alloc(4)]], 0, b.getsockname());
  expect(codeOf(send)).toBe("EINVAL");
});

rds("what is no address is refused before anything is sent", () => {
  using own = new Sockets();
  const [a, b] = [open(own, ["127.0.0.1", 0]), open(own, ["127.0.0.1", 0])];
  const [, port] = b.getsockname();
  for (const [address, error] of [
    [undefined, /^address: /],
    ["127.0.0.1", /^address: /],
    [["127.0.0.1"], /^address: /],
    [[127, port], /^address\[0\]: /],
    [["127.0.0.1", "1"], /^address\[1\]: /],
    [["127.0.0.1", 65536], /^address\[1\]: /],
    [["127.0.0.1", -1], /^address\[1\]: /],
    [["::1", port, -1], /^address\[2\]: /],
    [["::1", port, 0, 0, 0], /^address: /],
  ] as const) {
    const wrong = address as unknown as Inet6AddressLike;
    expect(() => a.bind(wrong)).toThrow(error);
    expect(() => a.connect(wrong)).toThrow(error);
    expect(() => a.sendto("x", wrong)).toThrow(error);
  }
  b.settimeout(0);
  expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
});

needs(lacking || "AF_RDS", hasRds && lacking === "")(
  "over TCP, between two machines: a full receiver is told of, and that it has room again",
  () => {
    using own = new Sockets();
    using here = new Network();
    using there = new Network();
    join(here, "v0", there, "v1");
    here.ip("address add 10.9.0.1/24 dev v0");
    there.ip("address add 10.9.0.2/24 dev v1");
    const a = here.inside(() => open(own, ["10.9.0.1", 4001]));
    const b = there.inside(() => open(own, ["10.9.0.2", 4070]));
    expect(a.getsockopt(SOL_RDS, SO_RDS_TRANSPORT)).toBe(RDS_TRANS_TCP);
    a.sendto("over TCP", ["10.9.0.2", 4070]);
    expect(b.recvfrom(100)).toEqual([Buffer.from("over TCP"), ["10.9.0.1", 4001]]);
    b.sendto("and back", ["10.9.0.1", 4001]);
    expect(a.recvfrom(100)).toEqual([Buffer.from("and back"), ["10.9.0.2", 4070]]);

    a.setsockopt(SOL_RDS, RDS_CONG_MONITOR, 1);
    b.setsockopt(SOL_SOCKET, SO_RCVBUF, 8192);
    a.settimeout(0);
    let [sent, refusal] = [0, ""];
    for (let tries = 0; tries < 3000 && refusal !== "ENOBUFS"; tries++) {
      const code = codeOf(() => a.sendto(Buffer.alloc(4000), ["10.9.0.2", 4070]));
      if (code.startsWith("nothing thrown")) sent++;
      else {
        refusal = code; // EAGAIN while the buffers here are full, ENOBUFS once the receiver has said that its are
        Bun.sleepSync(10);
      }
    }
    expect(refusal).toBe("ENOBUFS");
    for (let i = 0; i < sent; i++) expect(b.recv(5000).length).toBe(4000);
    a.settimeout(5 * slowness);
    const [data, ancillary] = a.recvmsg(100, 100);
    expect(data.length).toBe(0);
    // A bit for each of the ports that have room again, by the port's last six bits.
    const ports = Buffer.alloc(8);
    ports.writeBigUInt64LE(1n << BigInt(4070 % 64));
    expect(ancillary).toEqual([[SOL_RDS, RDS_CMSG_CONG_UPDATE, ports]]);
    a.sendto("again", ["10.9.0.2", 4070]);
    expect(b.recv(100).toString()).toBe("again");
  },
);

needs("AF_RDS with python3", hasRds && python !== null)("CPython gives the same addresses", async () => {
  using own = new Sockets();
  const sock = open(own, ["127.0.0.1", 0]);
  sock.settimeout(10 * slowness);
  using peer = pythonPeer(
    `
s = socket.socket(socket.AF_RDS, socket.SOCK_SEQPACKET, 0)
s.settimeout(30)
print(s.getsockname())
s.bind(("127.0.0.1", 0))
s.sendto(b"from python", ("127.0.0.1", int(sys.argv[1])))
data, address = s.recvfrom(100)
print(s.getsockname() == eval(data), address)`,
    [sock.getsockname()[1]],
  );
  const [data, from] = sock.recvfrom(100);
  expect(data.toString()).toBe("from python");
  sock.sendto(`("${from[0]}", ${from[1]})`, from);
  const unbound = `(0, b'${"\\x00".repeat(14)}')`;
  expect(await peer.output()).toBe(`${unbound}\nTrue ('127.0.0.1', ${sock.getsockname()[1]})`);
});

const exampleTimeout = 30_000 * slowness;

rds(
  "examples/rds-ping.ts: the kernel of this machine answers",
  async () => {
    for (const host of ["127.0.0.1", "::1"]) {
      const { status, stdout, stderr } = await run("rds-ping.ts", "-c", "2", host);
      expect([status, stderr]).toEqual([0, ""]);
      const line = (number: number): string => `${number}: answer of ${host} after \\d+\\.\\d{3} ms`;
      expect(stdout).toMatch(new RegExp(`^${line(1)}\n${line(2)}$`));
    }
    const wrong = await run("rds-ping.ts", "-c", "1", "-I", "192.0.2.1", "127.0.0.1");
    expect(wrong).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^bind EADDRNOTAVAIL /) });
  },
  exampleTimeout,
);

needs(lacking || "AF_RDS", hasRds && lacking === "")(
  "examples/rds-ping.ts: the kernel of another machine answers, over TCP",
  async () => {
    using here = new Network();
    using there = new Network();
    join(here, "v0", there, "v1");
    here.ip("address add 10.9.0.1/24 dev v0");
    there.ip("address add 10.9.0.2/24 dev v1");
    const { status, stdout } = await runIn(here, "rds-ping.ts", "-c", "5", "10.9.0.2");
    expect(status).toBe(0); // the first ones may be late: a connection is made for them
    expect(stdout).toMatch(/^\d: answer of 10\.9\.0\.2 after \d+\.\d{3} ms$/m);
    const nobody = await runIn(here, "rds-ping.ts", "-c", "1", "10.9.0.3");
    expect(nobody).toEqual({ status: 1, stdout: "1: no answer", stderr: "" });
  },
  exampleTimeout,
);
