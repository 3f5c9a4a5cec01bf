/** AF_INET6 addresses: flow information, scopes, and IPv4 inside IPv6. */
import { expect } from "bun:test";
import { networkInterfaces } from "node:os";
import {
  AF_INET,
  AF_INET6,
  gaierror,
  if_indextoname,
  type Inet6AddressLike,
  IPPROTO_IPV6,
  IPV6_FLOWINFO_SEND,
  IPV6_FLOWLABEL_MGR,
  IPV6_V6ONLY,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
} from "../../src/index.ts";
import { codeOf, hasFlowLabels, isWindows, needs, Sockets } from "../help.ts";

const hasLoopback = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));
const linkLocal = Object.entries(networkInterfaces())
  .filter(([name]) => !name.startsWith("lo"))
  .flatMap(([, list]) => list ?? [])
  .find(({ address }) => address.startsWith("fe80:"));

const six = needs("IPv6 loopback", hasLoopback);
const inet6 = (type: number = SOCK_DGRAM): Socket<"AF_INET6"> => new Socket(AF_INET6, type);

six("an address has four fields, of which two may be left out", () => {
  using sock = inet6();
  if (isWindows) expect(codeOf(() => sock.getsockname())).toBe("EINVAL");
  else expect(sock.getsockname()).toEqual(["::", 0, 0, 0]);
  sock.bind(["::1", 0]);
  const [host, port, flowinfo, scopeId] = sock.getsockname();
  expect([host, flowinfo, scopeId]).toEqual(["::1", 0, 0]);
  for (const address of [
    ["::1", port],
    ["::1", port, 0],
    ["::1", port, 0, 0],
  ] as Inet6AddressLike[]) {
    using client = inet6();
    client.connect(address);
    expect(client.getpeername()).toEqual(["::1", port, 0, 0]);
  }
});

six("the empty host is every address; a name is resolved", () => {
  using any = inet6();
  any.bind(["", 0]);
  expect(any.getsockname()[0]).toBe("::");
  using sock = inet6();
  expect(() => sock.bind(["nothing.invalid", 0])).toThrow(gaierror);
  expect(() => sock.bind(["127.0.0.1", 0])).toThrow(gaierror);
});

six("hosts come in their shortest form", () => {
  using sock = inet6();
  sock.connect(["0000:0:0:0:0:0:0:1", 9]);
  expect(sock.getpeername()).toEqual(["::1", 9, 0, 0]);
});

needs("IPv6 with flow labels", hasLoopback && hasFlowLabels)("flow information is kept, and sent", () => {
  using own = new Sockets();
  const server = own.add(inet6());
  server.bind(["::1", 0]);
  const client = own.add(inet6());
  client.setsockopt(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1);
  for (const flowinfo of [0, 1, 0xabcde, 0xfffff]) {
    if (flowinfo > 0) lease(client, flowinfo);
    client.connect(["::1", server.getsockname()[1], flowinfo]);
    expect(client.getpeername()).toEqual(["::1", server.getsockname()[1], flowinfo, 0]);
  }
});

/** Leases a flow label: Linux may want that before one is used. `struct in6_flowlabel_req`: destination, label, action … */
function lease(sock: Socket, label: number): void {
  const request = Buffer.alloc(32);
  request[15] = 1; // ::1
  request.writeUInt32BE(label, 16);
  request[21] = 255; // IPV6_FL_S_ANY: it outlives its socket for a while, and others may run this test
  request.writeUInt16LE(1, 22); // IPV6_FL_F_CREATE
  sock.setsockopt(IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, request);
}

six("what is not 20 bits is no flow information", () => {
  using sock = inet6();
  expect(() => sock.connect(["::1", 9, 0x100000])).toThrow(RangeError);
  expect(() => sock.connect(["::1", 9, -1])).toThrow(RangeError);
});

six("IPv4 peers of a dual-stack socket have mapped addresses", () => {
  using own = new Sockets();
  const server = own.add(inet6(SOCK_STREAM));
  server.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0);
  server.bind(["::", 0]);
  server.listen();
  server.settimeout(5);
  const port = server.getsockname()[1];
  const four = own.add(new Socket(AF_INET, SOCK_STREAM));
  four.connect(["127.0.0.1", port]);
  const [conn, address] = server.accept();
  own.add(conn);
  expect(address).toEqual(["::ffff:127.0.0.1", four.getsockname()[1], 0, 0]);
  expect(conn.getsockname()).toEqual(["::ffff:127.0.0.1", port, 0, 0]);
  const mapped = own.add(inet6(SOCK_STREAM));
  mapped.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0); // Windows has it on
  mapped.connect(["::ffff:127.0.0.1", port]);
  expect(mapped.getpeername()[0]).toBe("::ffff:127.0.0.1");
  own.add(server.accept()[0]);
  const both = own.add(inet6(SOCK_STREAM));
  both.connect(["::1", port]);
  expect(own.add(server.accept()[0]).getpeername()[0]).toBe("::1");
});

six("IPV6_V6ONLY refuses IPv4", () => {
  using own = new Sockets();
  const server = own.add(inet6(SOCK_STREAM));
  server.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  server.bind(["::", 0]);
  server.listen();
  const four = own.add(new Socket(AF_INET, SOCK_STREAM));
  expect(codeOf(() => four.connect(["127.0.0.1", server.getsockname()[1]]))).toBe("ECONNREFUSED");
});

needs("an interface with a link-local address", linkLocal !== undefined)("a link-local address needs its scope", () => {
  const { address: link, scopeid: scope } = linkLocal as { address: string; scopeid: number };
  const zone = isWindows ? scope : if_indextoname(scope);
  using own = new Sockets();
  const server = own.add(inet6());
  server.settimeout(5);
  if (!isWindows) expect(codeOf(() => server.bind([link, 0]))).not.toStartWith("nothing");
  server.bind([link, 0, 0, scope]);
  const port = server.getsockname()[1];
  expect(server.getsockname()).toEqual([link, port, 0, scope]);
  const client = own.add(inet6());
  client.sendto("by number", [link, port, 0, scope]);
  const [data, from] = server.recvfrom(100);
  expect(data.toString()).toBe("by number");
  expect([from[0], from[3]]).toEqual([link, scope]);
  client.sendto("by name", [`${link}%${zone}`, port]);
  expect(server.recv(100).toString()).toBe("by name");
  // What is known of the host must not hide the next scope.
  const again = own.add(inet6());
  again.connect([`${link}%${zone}`, port]);
  expect(again.getpeername()).toEqual([link, port, 0, scope]);
});
