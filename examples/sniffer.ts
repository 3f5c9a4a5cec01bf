/**
 * Shows the IPv4 packets that come to this machine: a raw socket gets a copy of each packet of its protocol.
 *
 *   bun examples/sniffer.ts tcp|udp|icmp
 *
 * For Linux, with CAP_NET_RAW (as root); other systems give raw sockets no TCP and UDP. Ctrl-C ends it.
 */
import { AF_INET, getprotobyname, inet_ntoa, OSError, SOCK_RAW, Socket } from "berkeley-sockets";

const [protocol = ""] = process.argv.slice(2);
if (process.argv.length !== 3 || !["tcp", "udp", "icmp"].includes(protocol)) {
  console.error("usage: bun sniffer.ts tcp|udp|icmp");
  process.exit(2);
}

function open(): Socket<"AF_INET"> {
  try {
    return new Socket(AF_INET, SOCK_RAW, getprotobyname(protocol));
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** One packet in one line. The IPv4 header is in RFC 791; TCP and UDP both begin with their two ports. */
function describe(packet: Buffer): string {
  const headerLength = (packet[0]! & 15) * 4;
  const payload = packet.subarray(headerLength);
  const ports = protocol === "icmp" ? ["", ""] : [`:${payload.readUInt16BE(0)}`, `:${payload.readUInt16BE(2)}`];
  const source = inet_ntoa(packet.subarray(12, 16)) + ports[0];
  const destination = inet_ntoa(packet.subarray(16, 20)) + ports[1];
  return `${protocol} ${source} > ${destination}, ${packet.length} bytes`;
}

using sock = open();
console.log(`waiting for ${protocol} packets`);
for (;;) {
  const packet = sock.recv(65536);
  console.log(describe(packet));
}
