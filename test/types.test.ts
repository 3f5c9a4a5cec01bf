/**
 * Types as a user meets them. Nothing here runs but the type checker: a line that should not compile is expected not to.
 */
import { expect } from "bun:test";
import {
  type Address,
  AddressFamily,
  AF_BLUETOOTH,
  AF_BTH,
  AF_CAN,
  AF_HYPERV,
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_SYSTEM,
  AF_UNIX,
  type BluetoothAddress,
  type BufferedSocketFile,
  createConnection,
  createServer,
  fromfd,
  getaddrinfo,
  type HypervAddress,
  type Inet6Address,
  type InetAddress,
  type NetlinkAddress,
  OSError,
  type RawSocketFile,
  recvFds,
  sendFds,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  Socket,
  type SocketFile,
  socketpair,
  SOL_SOCKET,
  type SystemAddress,
  type TextSocketFile,
  type UnixAddress,
} from "../src/index.ts";
import { hasTypeChecker, needs } from "./help.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Does not compile where the two types differ. */
function same<A, B>(_same: Same<A, B>): void {}

needs("type checker", hasTypeChecker())("the type checker has nothing to say of this file", () => {
  const child = Bun.spawnSync([process.execPath, "check", import.meta.path]);
  expect(child.stdout.toString()).toBe("");
  expect(child.exitCode).toBe(0);
});

export function families(some: Socket, either: boolean): void {
  const four = new Socket(AF_INET);
  const six = new Socket(AF_INET6, SOCK_DGRAM);
  const unix = new Socket(AF_UNIX);
  same<typeof four, Socket<"AF_INET">>(true);
  same<ReturnType<typeof six.recvfrom>, [data: Buffer, address: Inet6Address]>(true);
  same<ReturnType<typeof unix.getsockname>, UnixAddress>(true);
  same<ReturnType<typeof unix.recvfrom>, [data: Buffer, address: UnixAddress | null]>(true);
  const one = new Socket(either ? AF_INET6 : AF_INET);
  same<typeof one, Socket<"AF_INET" | "AF_INET6">>(true);
  const number: number = AF_INET;
  const unknown = new Socket(number);
  same<typeof unknown, Socket>(true);
  same<ReturnType<typeof unknown.getsockname>, Address>(true);
  const can = new Socket(AF_CAN, SOCK_RAW);
  same<typeof can, Socket<"AF_CAN">>(true);
  const detected = new Socket({ fileno: 3 });
  same<typeof detected, Socket>(true);

  // A socket of a known family is a socket; one of an unknown family is not one of a known.
  const all: Socket[] = [four, six, unix, some];
  const internet: Socket<"AF_INET" | "AF_INET6"> = six;
  // @ts-expect-error
  const wrong: Socket<"AF_INET"> = six;
  // @ts-expect-error
  const guessed: Socket<"AF_INET"> = some;
  void [all, internet, wrong, guessed];
}

export function moreFamilies(): void {
  const netlink = new Socket(AF_NETLINK, SOCK_RAW);
  same<ReturnType<typeof netlink.recvfrom>, [data: Buffer, address: NetlinkAddress]>(true);
  netlink.bind([0, 1]);
  // @ts-expect-error
  netlink.bind([0]);
  const system = new Socket(AF_SYSTEM, SOCK_DGRAM);
  same<ReturnType<typeof system.getpeername>, SystemAddress>(true);
  system.connect("com.apple.net.utun_control");
  system.connect([1, 0]);
  const hyperv = new Socket(AF_HYPERV, SOCK_STREAM);
  same<ReturnType<typeof hyperv.getsockname>, HypervAddress>(true);
  // @ts-expect-error
  hyperv.connect(["a UUID", 5]);
  const bluetooth = new Socket(AF_BLUETOOTH, SOCK_STREAM);
  same<ReturnType<typeof bluetooth.getsockname>, BluetoothAddress>(true);
  const microsoft = new Socket(AF_BTH, SOCK_STREAM);
  same<typeof microsoft, Socket<"AF_BLUETOOTH">>(true);
  bluetooth.bind(["00:00:00:00:00:00", 1]);
  bluetooth.bind(["00:00:00:00:00:00", 1, 0, 0]);
  bluetooth.bind([0]);
  bluetooth.bind("00:00:00:00:00:00");
  // @ts-expect-error
  bluetooth.bind(["00:00:00:00:00:00"]);
}

export function addresses(four: Socket<"AF_INET">, six: Socket<"AF_INET6">, unix: Socket<"AF_UNIX">): void {
  four.bind(["", 0]);
  six.bind(["::", 0]);
  six.bind(["::", 0, 0]);
  six.bind(["::", 0, 0, 1]);
  unix.bind("path");
  unix.bind(Buffer.from("\0name"));
  four.sendto("x", ["localhost", 1]);
  four.sendto("x", 0, ["localhost", 1]);
  // @ts-expect-error
  four.bind("path");
  // @ts-expect-error
  four.bind(["", "80"]);
  // @ts-expect-error
  unix.connect(["", 80]);
  // @ts-expect-error
  four.sendto("x", 0);
  // @ts-expect-error
  four.getsockname()[1] = 80;
  const [conn, peer] = four.accept();
  same<typeof conn, Socket<"AF_INET">>(true);
  same<typeof peer, InetAddress>(true);
  same<ReturnType<typeof six.dup>, Socket<"AF_INET6">>(true);
}

export function functions(): void {
  same<ReturnType<typeof createServer>, Socket<"AF_INET" | "AF_INET6">>(true);
  const four = createServer(["", 0]);
  same<typeof four, Socket<"AF_INET">>(true);
  const six = createServer(["", 0], { family: AF_INET6, dualstackIPv6: true });
  same<typeof six, Socket<"AF_INET6">>(true);
  const backlog = createServer(["", 0], { backlog: 5 });
  same<typeof backlog, Socket<"AF_INET">>(true);
  const client = createConnection(four.getsockname(), { timeout: 1 });
  same<typeof client, Socket<"AF_INET" | "AF_INET6">>(true);
  const port: number = client.getpeername()[1];
  const pair = socketpair();
  same<typeof pair, [Socket<"AF_UNIX">, Socket<"AF_UNIX">]>(true);
  const copy = fromfd(port, AF_INET6, SOCK_STREAM);
  same<typeof copy, Socket<"AF_INET6">>(true);
  for (const [family, type, proto, , address] of getaddrinfo("localhost", 80)) {
    new Socket(family, type, proto).connect(address);
  }
  sendFds(pair[0], ["x"], [1]);
  const [data, fds, flags, sender] = recvFds(pair[1], 1, 1);
  same<typeof data, Buffer>(true);
  same<typeof fds, number[]>(true);
  same<typeof flags, number>(true);
  same<typeof sender, UnixAddress | null>(true);
  // @ts-expect-error
  createConnection("localhost:80");
  // @ts-expect-error
  createServer(["", 0], { dualStack: true });
}

export function files(sock: Socket, mode: string, either: boolean): void {
  const text = sock.makefile();
  same<typeof text, TextSocketFile>(true);
  const latin = sock.makefile("w", { encoding: "latin1" });
  same<typeof latin, TextSocketFile>(true);
  const binary = sock.makefile("rb");
  same<typeof binary, BufferedSocketFile>(true);
  const raw = sock.makefile("rb", 0);
  same<typeof raw, RawSocketFile>(true);
  const rawByName = sock.makefile("rwb", { buffering: 0 });
  same<typeof rawByName, RawSocketFile>(true);
  const unknown = sock.makefile(mode);
  same<typeof unknown, TextSocketFile | BufferedSocketFile>(true);
  const one = sock.makefile(either ? "r" : "rb");
  same<typeof one, TextSocketFile | BufferedSocketFile>(true);
  const held: SocketFile<"rb"> = binary;
  using file = held;
  // @ts-expect-error
  file.read(1).codePointAt(0);
}

export function options(sock: Socket, error: unknown): void {
  sock.getsockopt(SOL_SOCKET, SO_REUSEADDR) satisfies number;
  sock.getsockopt(SOL_SOCKET, SO_REUSEADDR, 4) satisfies Buffer;
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, null, 4);
  // @ts-expect-error
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
  // @ts-expect-error
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, null);
  // @ts-expect-error
  sock.family = AF_INET;
  if (sock.family === AF_INET || sock.family === AF_CAN) sock.close();
  AddressFamily.AF_INET satisfies number;
  AddressFamily[2] satisfies string | undefined;
  if (error instanceof OSError) error.errno satisfies number;
}

export class Mine extends Socket {}
export class Six extends Socket<"AF_INET6"> {
  constructor() {
    super(AF_INET6, SOCK_DGRAM);
  }
}
