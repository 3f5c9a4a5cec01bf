/** AF_INET addresses. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { AF_INET, gaierror, SOCK_DGRAM, Socket } from "../../src/index.ts";
import { codeOf, isLinux, isWindows, needs, peer, Sockets } from "../help.ts";

const inet = (): Socket<"AF_INET"> => new Socket(AF_INET, SOCK_DGRAM);

test("an address is a host and a port", () => {
  using sock = inet();
  if (isWindows) expect(codeOf(() => sock.getsockname())).toBe("EINVAL");
  else expect(sock.getsockname()).toEqual(["0.0.0.0", 0]);
  sock.bind(["127.0.0.1", 0]);
  const [host, port] = sock.getsockname();
  expect(host).toBe("127.0.0.1");
  expect(port).toBeGreaterThan(0);
});

test("the empty host is every address", () => {
  using own = new Sockets();
  const sock = own.add(inet());
  sock.bind(["", 0]);
  expect(sock.getsockname()[0]).toBe("0.0.0.0");
});

test("<broadcast> is 255.255.255.255", () => {
  using sock = inet();
  sock.bind(["<broadcast>", 0]);
  expect(sock.getsockname()[0]).toBe("255.255.255.255");
});

test("a name is resolved, again and again", () => {
  using own = new Sockets();
  for (let i = 0; i < 3; i++) {
    const sock = own.add(inet());
    sock.bind(["localhost", 0]);
    expect(sock.getsockname()[0]).toBe("127.0.0.1");
  }
});

test.each(["127.1", "127.0.1", "0x7f.1", "2130706433"])("%p is the loopback, as inet_aton has it", (host) => {
  using sock = inet();
  sock.bind([host, 0]);
  expect(sock.getsockname()[0]).toBe("127.0.0.1");
});

test("a name of no host is a gaierror", () => {
  using sock = inet();
  expect(() => sock.bind(["nothing.invalid", 0])).toThrow(gaierror);
  expect(() => sock.connect(["::1", 0])).toThrow(gaierror);
});

test.each([0, 1, 1023, 1024, 65535])("port %p is sent to as it is", (port) => {
  using own = new Sockets();
  const sock = own.add(inet());
  expect(codeOf(() => sock.connect(["127.0.0.1", port]))).toBe("nothing thrown, undefined returned");
  if (port > 0) expect(sock.getpeername()).toEqual(["127.0.0.1", port]);
});

test("hosts that are used in turn are not mistaken for one another", () => {
  using sock = inet();
  for (let i = 1; i < 5000; i++) {
    const host = `127.${i >> 8}.${i & 255}.1`;
    sock.connect([host, 7]);
    expect(sock.getpeername()).toEqual([host, 7]);
  }
});

const firstFreePort = isLinux ? Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "latin1")) : 0;

needs("ports for the privileged", firstFreePort > 1)("low ports are not for everybody", async () => {
  using user = peer((net) => {
    if (process.getuid!() === 0) process.setuid!(65534);
    const sock = new net.Socket(net.AF_INET, net.SOCK_STREAM);
    try {
      sock.bind(["127.0.0.1", 1]);
    } catch (error) {
      console.log(error instanceof net.PermissionError, (error as Error).message);
    }
  }, []);
  expect(await user.output()).toBe("true bind EACCES 127.0.0.1:1: Permission denied");
});
