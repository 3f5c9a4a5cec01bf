/**
 * Multipath TCP, by IPPROTO_MPTCP: connections that fall back to TCP where the other end knows no better. See RFC 8684.
 *
 * Peers: CPython, ss of iproute2.
 */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  SHUT_WR,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  TCP_NODELAY,
} from "../../src/index.ts";
import {
  MPTCP_INFO,
  MPTCP_INFO_FLAG_FALLBACK,
  MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED,
  SOL_MPTCP,
} from "../../src/all-constants.ts";
import {
  codeOf,
  isLinux,
  needs,
  python,
  pythonPeer,
  receiveAll,
  slowness,
  Sockets,
  works,
  worksInEmulator,
} from "../help.ts";
import { lacking, Network } from "../networks.ts";
import { Program } from "../program.ts";
import { command } from "../tools/help.ts";

const hasMptcp =
  isLinux &&
  [AF_INET, AF_INET6].every((family) => works(() => new Socket(family, SOCK_STREAM, IPPROTO_MPTCP))) &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    // It has no other end to tell of yet; an emulator does not know the option.
    return codeOf(() => sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 64)) !== "EOPNOTSUPP";
  });
const mptcp = needs("MPTCP", hasMptcp);
const families = [
  [AF_INET, "127.0.0.1"],
  [AF_INET6, "::1"],
] as const;

type Either = Socket<"AF_INET" | "AF_INET6">;

function open(own: Sockets, family: number, proto: number): Either {
  const sock = own.add(new Socket(family, SOCK_STREAM, proto) as Either);
  sock.settimeout(5 * slowness);
  return sock;
}

function connected(own: Sockets, family: number, host: string, proto: number, serverProto: number): [Either, Either] {
  const server = open(own, family, serverProto);
  server.bind([host, 0]);
  server.listen();
  const client = open(own, family, proto);
  client.connect(server.getsockname());
  const [conn, address] = server.accept();
  own.add(conn).settimeout(5 * slowness);
  expect(address).toEqual(client.getsockname());
  expect(client.getpeername()).toEqual(server.getsockname());
  expect(conn.getpeername()).toEqual(client.getsockname());
  return [client, conn as Either];
}

/** The flags of `struct mptcp_info`, which begins with six bytes of counts. */
const flagsOf = (sock: Socket): number => sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 64).readUInt32LE(8);

mptcp.each(families)("two ends that know it use it: family %d", (family, host) => {
  using own = new Sockets();
  const [client, conn] = connected(own, family, host, IPPROTO_MPTCP, IPPROTO_MPTCP);
  expect(client.proto).toBe(IPPROTO_MPTCP);
  client.sendall("by MPTCP");
  expect(conn.recv(100).toString()).toBe("by MPTCP");
  conn.sendall("and back");
  expect(client.recv(100).toString()).toBe("and back");
  for (const sock of [client, conn]) {
    expect(flagsOf(sock) & MPTCP_INFO_FLAG_FALLBACK).toBe(0);
    expect(flagsOf(sock) & MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED).toBe(MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED);
  }
  client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1); // what TCP has, it has too
  expect(client.getsockopt(IPPROTO_TCP, TCP_NODELAY)).toBe(1);
  const data = Buffer.alloc(100_000, "whole, and in order ");
  client.settimeout(0);
  const sent = client.send(data);
  client.close();
  expect(receiveAll(conn)).toEqual(data.subarray(0, sent));
});

mptcp.each(families)("with an end that has TCP alone, it is TCP: family %d", (family, host) => {
  using own = new Sockets();
  const [client, conn] = connected(own, family, host, IPPROTO_MPTCP, IPPROTO_TCP);
  client.sendall("by TCP");
  expect(conn.recv(100).toString()).toBe("by TCP");
  // So it is told where there is no MPTCP any more: the option is TCP's, which has none (of IPv4 and of IPv6).
  const refusal = family === AF_INET ? "EOPNOTSUPP" : "ENOPROTOOPT";
  expect(codeOf(() => flagsOf(client))).toBe(refusal);
  expect(codeOf(() => flagsOf(conn))).toBe(refusal);
  expect(client.proto).toBe(IPPROTO_MPTCP);
  const [plain, served] = connected(own, family, host, IPPROTO_TCP, IPPROTO_MPTCP);
  plain.sendall("by TCP, too");
  expect(served.recv(100).toString()).toBe("by TCP, too");
});

mptcp("it has streams alone", () => {
  expect(codeOf(() => new Socket(AF_INET, SOCK_DGRAM, IPPROTO_MPTCP))).toMatch(/^(ESOCKTNOSUPPORT|EPROTONOSUPPORT)$/);
});

needs(lacking || (hasMptcp ? "ss" : "MPTCP"), hasMptcp && lacking === "" && Bun.which("ss") !== null).each(families)(
  "ss lists the connection: family %d",
  (family, host) => {
    using own = new Sockets();
    using net = new Network();
    const [client, conn] = net.inside(() => connected(own, family, host, IPPROTO_MPTCP, IPPROTO_MPTCP));
    client.sendall("x");
    conn.recv(1);
    const name = ([address, port]: readonly [string, number, ...number[]]): string =>
      `${address.includes(":") ? `[${address}]` : address}:${port}`;
    const lines = net.run("ss", "-MnH").trim().split("\n");
    expect(lines.map((line) => line.trim().split(/\s+/).slice(3, 5)).toSorted()).toEqual(
      [
        [name(client.getsockname()), name(conn.getsockname())],
        [name(conn.getsockname()), name(client.getsockname())],
      ].toSorted(),
    );
  },
);

needs("MPTCP with python3", hasMptcp && python !== null).each(families)(
  "CPython connects: family %d",
  async (family, host) => {
    using own = new Sockets();
    const server = open(own, family, IPPROTO_MPTCP);
    server.settimeout(20 * slowness);
    server.bind([host, 0]);
    server.listen();
    using peer = pythonPeer(
      `
s = socket.socket(int(sys.argv[1]), socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
s.settimeout(60)
s.connect((sys.argv[2], int(sys.argv[3])))
s.sendall(b"from python")
print(list(s.getsockname()), list(s.getpeername()), s.recv(100).decode())`,
      [family, host, server.getsockname()[1]],
    );
    const [conn, address] = server.accept();
    own.add(conn).settimeout(20 * slowness);
    expect(conn.recv(100).toString()).toBe("from python");
    expect(flagsOf(conn) & MPTCP_INFO_FLAG_FALLBACK).toBe(0);
    conn.sendall("answered");
    const list = (one: readonly unknown[]): string => JSON.stringify(one).replaceAll('"', "'").replaceAll(",", ", ");
    expect(await peer.output()).toBe(`${list(address)} ${list(server.getsockname())} answered`);
  },
);

const exampleTimeout = 30_000 * slowness;
const example = (...args: string[]) => new Program(command("mptcp-echo.ts", ...args));

mptcp.each(families)(
  "examples/mptcp-echo.ts: both ends tell what the connection is: family %d",
  async (family, host) => {
    using server = example("serve", host, "0");
    const [port = ""] = await server.line(/^listening on port (\d+)$/);
    expect(await example("send", host, port, "by many ways").end()).toEqual({
      ...{ status: 0, stderr: "" },
      stdout: 'connected by MPTCP, 1 subflow\nreceived "by many ways"',
    });
    await server.line(new RegExp(`^${host} port \\d+: 12 bytes by MPTCP, 1 subflow$`));
    // A client that has TCP alone.
    using own = new Sockets();
    const plain = open(own, family, IPPROTO_TCP);
    plain.connect([host, Number(port)]);
    plain.sendall("by TCP");
    plain.shutdown(SHUT_WR);
    expect(receiveAll(plain).toString()).toBe("by TCP");
    await server.line(new RegExp(`^${host} port ${plain.getsockname()[1]}: 6 bytes by TCP$`));
  },
  exampleTimeout,
);

needs("MPTCP with python3", hasMptcp && python !== null)(
  "examples/mptcp-echo.ts: CPython's server by MPTCP, and by TCP",
  async () => {
    for (const [proto, kind] of [
      [IPPROTO_MPTCP, "MPTCP, 1 subflow"],
      [IPPROTO_TCP, "TCP"],
    ] as const) {
      using peer = new Program([
        python!,
        "-u",
        "-c",
        `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, int(sys.argv[1]))
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1])
conn, address = s.accept()
while data := conn.recv(100): conn.sendall(data.upper())`,
        String(proto),
      ]);
      const [port = ""] = await peer.line(/^(\d+)$/);
      const { stdout } = await example("send", "127.0.0.1", port, "in capitals").end();
      expect(stdout).toBe(`connected by ${kind}\nreceived "IN CAPITALS"`);
    }
  },
  exampleTimeout,
);
