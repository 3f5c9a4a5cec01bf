/** What a user's compiler has to make of the package: types that follow from constants, and those that do not fit. */
import {
  AF_INET6,
  AF_UNIX,
  type AddressOf,
  createServer,
  type Inet6Address,
  type OSError,
  recvFds,
  SO_REUSEADDR,
  SOCK_DGRAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TimeoutError,
} from "berkeley-sockets";
import { ICMP_ECHO, RTM_GETLINK } from "berkeley-sockets/constants";
import { MessageBatch, sendSegments, ZeroCopy } from "berkeley-sockets/packets";
import * as promises from "berkeley-sockets/promises";

const six = new Socket(AF_INET6, SOCK_DGRAM);
six.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
six.bind(["::1", 0]);
const own: Inet6Address = six.getsockname();
const [host, port, flowinfo, scopeId]: readonly [string, number, number, number] = own;
six.sendto(new Uint8Array(3), own);
const [data, from] = six.recvfrom(10);
const bytes: Buffer = data;
const sender: AddressOf<"AF_INET6"> = from;
const batch = new MessageBatch(six, { capacity: 8 });
batch.push("hello", ["::1", 9]);
// @ts-expect-error A batch for an IPv6 socket does not take a path.
const push = () => batch.push("hello", "/tmp/x");
const ofBatch: AddressOf<"AF_INET6"> | null = batch.address(0);
const later = (sock: promises.Socket<"AF_INET6">): [Promise<number>, Promise<number>, Promise<number>] => [
  sock.sendBatch(batch),
  sendSegments(sock, "data", 2, ["::1", 9]),
  new ZeroCopy(sock).send("data"),
];
const segments: (sock: Socket) => number = (sock) => sendSegments(sock, "data", 2);
six.close();

// @ts-expect-error An IPv6 socket does not take a path.
const path = (sock: Socket<"AF_INET6">) => sock.bind("/run/sock");
// @ts-expect-error There is no such option.
const option = () => createServer(["", 0], { port: 1 });

const [a, b] = socketpair();
const received: [Buffer, number[], number, string | Buffer | null] = (a.send("x"), recvFds(b, 1, 0));
const line: string = ((): string => {
  using file = (a.close(), b.makefile("r"));
  return file.readline();
})();
b.close();
const unix = new Socket(AF_UNIX);
const name: string | Buffer = unix.getsockname();
unix.close();

function code(error: unknown): string | undefined {
  return error instanceof TimeoutError ? (error as OSError).code : undefined;
}

console.log(
  host === sender[0] && port > 0 && flowinfo + scopeId === 0 && bytes.length === 3 && received[0].toString() === "x",
  line === "" && name === "" && code(null) === undefined && typeof path === "function" && typeof option === "function",
  [push, later, segments].every((each) => typeof each === "function") && ofBatch?.[1] === 9,
  RTM_GETLINK === undefined || RTM_GETLINK > 0,
  ICMP_ECHO === undefined || ICMP_ECHO === 8,
);
