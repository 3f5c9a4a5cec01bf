/** AF_NETLINK addresses: sockets' numbers, groups, and the kernel itself. */
import { expect } from "bun:test";
import { networkInterfaces } from "node:os";
import {
  AF_NETLINK,
  if_nameindex,
  NETLINK_GENERIC,
  NETLINK_ROUTE,
  NETLINK_USERSOCK,
  type NetlinkAddress,
  SOCK_RAW,
  Socket,
} from "../../src/index.ts";
import { codeOf, isLinux, needs, python, pythonPeer, Sockets, thrown, worksInEmulator } from "../help.ts";

const linux = needs("netlink", isLinux);
/** Netlink whose messages are nobody's business: an emulator knows few of its protocols. */
const users = needs(
  "netlink for programs",
  isLinux && worksInEmulator(() => new Socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK).close()),
);

function netlink(own: Sockets, proto: number = NETLINK_ROUTE): Socket<"AF_NETLINK"> {
  const sock = own.add(new Socket(AF_NETLINK, SOCK_RAW, proto));
  sock.settimeout(5);
  return sock;
}

linux("a socket that binds to 0 gets a number of its own", () => {
  using own = new Sockets();
  const first = netlink(own);
  expect(first.getsockname()).toEqual([0, 0]);
  first.bind([0, 0]);
  // The first one of a process and protocol has its process's id; somebody in this process may have been first.
  expect(first.getsockname()[0]).toBeGreaterThan(0);
  const second = netlink(own);
  second.bind([0, 0]);
  const [pid] = second.getsockname();
  expect(pid).toBeGreaterThan(0);
  expect(pid).not.toBe(first.getsockname()[0]);
});

users("the number that a socket asks for is the one that it has, though it be above 2^31", () => {
  using own = new Sockets();
  const sock = netlink(own, NETLINK_USERSOCK);
  const wanted = 0xfff0_0000 + (process.pid % 0x1_0000);
  sock.bind([wanted, 0]);
  expect(sock.getsockname()).toEqual([wanted, 0]);
  expect(codeOf(() => netlink(own, NETLINK_USERSOCK).bind([wanted, 0]))).toBe("EADDRINUSE");
  const error = thrown(() => netlink(own, NETLINK_USERSOCK).bind([wanted, 0]));
  expect(error.message).toStartWith("bind EADDRINUSE ");
  expect(error.address).toEqual([wanted, 0]);
});

linux("groups are a mask, and are told", () => {
  using own = new Sockets();
  const sock = netlink(own);
  sock.bind([0, 0x8000_0041]); // RTMGRP_LINK, RTMGRP_IPV4_ROUTE, and the highest of all
  expect(sock.getsockname()[1]).toBe(0x8000_0041);
});

users("a peer may be named, and is told", () => {
  using own = new Sockets();
  const sock = netlink(own);
  expect(sock.getpeername()).toEqual([0, 0]); // the kernel
  sock.connect([0, 0]);
  expect(sock.getpeername()).toEqual([0, 0]);
  const user = netlink(own, NETLINK_USERSOCK);
  user.connect([4242, 0]);
  expect(user.getpeername()).toEqual([4242, 0]);
});

users("two sockets of programs talk, and each tells who it is", () => {
  using own = new Sockets();
  const [a, b] = [netlink(own, NETLINK_USERSOCK), netlink(own, NETLINK_USERSOCK)];
  a.bind([0, 0]);
  b.bind([0, 0]);
  a.sendto("hello", b.getsockname());
  const [data, from] = b.recvfrom(100);
  expect([data.toString(), from]).toEqual(["hello", a.getsockname()]);
  b.sendmsg(["and ", "back"], [], 0, from);
  const [answer, , , sender] = a.recvmsg(100);
  expect([answer.toString(), sender]).toEqual(["and back", b.getsockname()]);
  const nobody: NetlinkAddress = [0x7fff_fff1, 0];
  expect(codeOf(() => a.sendto("x", nobody))).toBe("ECONNREFUSED");
});

linux("the kernel answers a question for all links (RTM_GETLINK)", () => {
  using own = new Sockets();
  const sock = netlink(own);
  sock.bind([0, 0]);
  // struct nlmsghdr: length, type, flags, sequence, pid; then struct ifinfomsg. See rtnetlink(7).
  const [RTM_GETLINK, RTM_NEWLINK, NLMSG_DONE, NLM_F_REQUEST, NLM_F_DUMP] = [18, 16, 3, 1, 0x300];
  const request = Buffer.alloc(32);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(RTM_GETLINK, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt32LE(7, 8);
  expect(sock.sendto(request, [0, 0])).toBe(request.length);

  const links: [index: number, name: string][] = [];
  for (let done = false; !done;) {
    const [data, from] = sock.recvfrom(65536);
    expect(from).toEqual([0, 0]);
    for (let at = 0; at < data.length; at += (data.readUInt32LE(at) + 3) & ~3) {
      expect(data.readUInt32LE(at + 8)).toBe(7);
      expect(data.readUInt32LE(at + 12)).toBe(sock.getsockname()[0]);
      const type = data.readUInt16LE(at + 4);
      if (type === NLMSG_DONE) done = true;
      if (type !== RTM_NEWLINK) continue;
      const end = at + data.readUInt32LE(at);
      for (let attribute = at + 32; attribute < end; attribute += (data.readUInt16LE(attribute) + 3) & ~3) {
        if (data.readUInt16LE(attribute + 2) !== 3) continue; // IFLA_IFNAME
        const name = data.toString("latin1", attribute + 4, attribute + data.readUInt16LE(attribute) - 1);
        links.push([data.readInt32LE(at + 20), name]);
      }
    }
  }
  expect(links).toEqual(if_nameindex());
  expect(links.map(([, name]) => name)).toEqual(expect.arrayContaining(Object.keys(networkInterfaces())));
});

users("the kernel's refusal has the question's number in it", () => {
  using own = new Sockets();
  const sock = netlink(own, NETLINK_GENERIC);
  sock.connect([0, 0]);
  const request = Buffer.alloc(20);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(0x7fff, 4); // nobody's family
  request.writeUInt16LE(1 | 4, 6); // NLM_F_REQUEST, NLM_F_ACK
  request.writeUInt32LE(99, 8);
  sock.send(request);
  const answer = sock.recv(1024);
  expect(answer.readUInt16LE(4)).toBe(2); // NLMSG_ERROR
  expect(answer.readInt32LE(16)).toBeLessThan(0);
  expect(answer.readUInt32LE(28)).toBe(99);
});

users("what is no address is refused before anything is sent", () => {
  using own = new Sockets();
  const [a, b] = [netlink(own, NETLINK_USERSOCK), netlink(own, NETLINK_USERSOCK)];
  b.bind([0, 0]);
  b.setblocking(false);
  const [pid] = b.getsockname();
  for (const [address, error] of [
    [undefined, /^address: /],
    [pid, /^address: /],
    [[pid], /^address: /],
    [[pid, 0, 0], /^address: /],
    [["0", 0], /^address\[0\]: /],
    [[pid, null], /^address\[1\]: /],
    [[-1, 0], /^address\[0\]: /],
    [[pid, 2 ** 32], /^address\[1\]: /],
    [[pid, 0.5], /^address\[1\]: /],
  ] as const) {
    const wrong = address as unknown as NetlinkAddress;
    expect(() => a.bind(wrong)).toThrow(error);
    expect(() => a.connect(wrong)).toThrow(error);
    expect(() => a.sendto("x", wrong)).toThrow(error);
    if (address !== undefined) expect(() => a.sendmsg(["x"], [], 0, wrong)).toThrow(error);
  }
  expect(codeOf(() => b.recv(10))).toBe("EAGAIN");
  expect(a.getsockname()).toEqual([0, 0]);
});

(python === null ? needs("Python", false) : users)("CPython gives the same address", async () => {
  using own = new Sockets();
  const sock = netlink(own, NETLINK_USERSOCK);
  sock.settimeout(30); // Python starts slowly in an emulated machine
  sock.bind([0, 0]);
  const address = sock.getsockname();
  using peer = pythonPeer(
    `
s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_USERSOCK)
s.bind((0, 0))
s.sendto(b"from python", (int(sys.argv[1]), 0))
data, address = s.recvfrom(100)
print(list(s.getsockname()), list(address), data.decode())`,
    [address[0]],
  );
  const [data, from] = sock.recvfrom(100);
  expect(data.toString()).toBe("from python");
  sock.sendto("from here", from);
  expect(await peer.output()).toBe(`[${from.join(", ")}] [${address.join(", ")}] from here`);
});
