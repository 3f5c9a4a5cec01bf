/**
 * Datagrams of which only the beginning has a checksum, UDP-Lite (RFC 3828): for sound and pictures, where data that is
 * damaged is better than none.
 *
 *   bun examples/udplite.ts receive <host> <port> [<least>]             port 0 is any free one
 *   bun examples/udplite.ts send <host> <port> <coverage> <text>
 *
 * The coverage is how many bytes are checked, with the header's 8; 0 is all of them. A receiver that wants a least coverage
 * does not get datagrams with less. The host is an address of IPv4 or IPv6, or a name that has one of IPv4. For FreeBSD, and
 * for Linux, whose kernel announces that it will go. Ctrl-C ends the receiver.
 */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_UDPLITE,
  OSError,
  SOCK_DGRAM,
  Socket,
  UDPLITE_RECV_CSCOV,
  UDPLITE_SEND_CSCOV,
} from "berkeley-sockets";

const open = (host: string): Socket<"AF_INET" | "AF_INET6"> =>
  new Socket(host.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);

function receive(host: string, port: number, least: number): never {
  using sock = open(host);
  if (least > 0) sock.setsockopt(IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, least);
  sock.bind([host, port]);
  // What it is now: the system makes numbers below the header's length 8.
  const checked = sock.getsockopt(IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV) || "any";
  console.log(`port ${sock.getsockname()[1]}, least coverage ${checked}`);
  for (;;) {
    const [data, [from, fromPort]] = sock.recvfrom(65536);
    console.log(`${from} port ${fromPort}: ${data}`);
  }
}

function send(host: string, port: number, coverage: number, text: string): void {
  using sock = open(host);
  sock.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, coverage);
  sock.sendto(text, [host, port]);
  const length = 8 + Buffer.byteLength(text);
  const checked = sock.getsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV) || length;
  console.log(`sent ${length} bytes, ${Math.min(checked, length)} of them checked`);
}

const [mode, host = "", ...rest] = process.argv.slice(2);
const [port = NaN, coverage = 0] = rest.slice(0, 2).map(Number);
const isReceiver = mode === "receive" && rest.length >= 1 && rest.length <= 2;
const isSender = mode === "send" && rest.length === 3;
if ((!isReceiver && !isSender) || [port, coverage].some((n) => !(Number.isInteger(n) && n >= 0 && n <= 65535))) {
  console.error("usage: bun udplite.ts receive <host> <port> [<least>] | send <host> <port> <coverage> <text>");
  process.exit(2);
}

try {
  if (isReceiver) receive(host, port, coverage);
  else send(host, port, coverage, rest[2]!);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
