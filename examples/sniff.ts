/**
 * Shows the frames that this machine receives and sends, each in a line: from whom to whom, and what is in it.
 *
 *   bun examples/sniff.ts [interface [count]]
 *
 * Without an interface, those of all; with one, also those that are for others, where the network brings them. A count
 * ends it after so many frames, Ctrl-C at any time. For Linux, with CAP_NET_RAW (as root). See packet(7).
 */
import {
  AF_INET6,
  AF_PACKET,
  ETH_P_ALL,
  ETH_P_IP,
  ETH_P_IPV6,
  if_nametoindex,
  inet_ntoa,
  inet_ntop,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  OSError,
  PACKET_ADD_MEMBERSHIP,
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MR_PROMISC,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
  SOCK_DGRAM,
  Socket,
  SOL_PACKET,
} from "berkeley-sockets";
import { packet_mreq } from "berkeley-sockets/messages";

const ways = new Map([
  [PACKET_HOST, "to us"],
  [PACKET_BROADCAST, "to all"],
  [PACKET_MULTICAST, "to a group"],
  [PACKET_OTHERHOST, "to another"],
  [PACKET_OUTGOING, "from us"],
]);
const protocols = new Map([
  [IPPROTO_ICMP, "icmp"],
  [IPPROTO_ICMPV6, "icmp6"],
  [IPPROTO_TCP, "tcp"],
  [IPPROTO_UDP, "udp"],
]);

/** Source and destination of a packet, with the ports where it has some: TCP and UDP both begin with theirs. */
function ends(protocol: number, source: string, destination: string, payload: Buffer): string {
  const name = protocols.get(protocol) ?? `protocol ${protocol}`;
  if ((protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) || payload.length < 4) {
    return `${name} ${source} > ${destination}`;
  }
  return `${name} ${source}:${payload.readUInt16BE(0)} > ${destination}:${payload.readUInt16BE(2)}`;
}

/** What a frame carries. The headers of IPv4 are in RFC 791, those of IPv6 in RFC 8200. */
function describe(protocol: number, packet: Buffer): string {
  if (protocol === ETH_P_IP && packet.length >= 20) {
    const [source, destination] = [inet_ntoa(packet.subarray(12, 16)), inet_ntoa(packet.subarray(16, 20))];
    // Ports stand in the first fragment of a packet.
    const isFirst = (packet.readUInt16BE(6) & 0x1fff) === 0;
    const payload = isFirst ? packet.subarray((packet[0]! & 15) * 4) : Buffer.alloc(0);
    return ends(packet[9]!, source, destination, payload);
  }
  if (protocol === ETH_P_IPV6 && packet.length >= 40) {
    const [source, destination] = [packet.subarray(8, 24), packet.subarray(24, 40)];
    return ends(packet[6]!, inet_ntop(AF_INET6, source), inet_ntop(AF_INET6, destination), packet.subarray(40));
  }
  return `protocol 0x${protocol.toString(16).padStart(4, "0")}`;
}

function open(name: string): Socket<"AF_PACKET"> {
  // SOCK_DGRAM takes the device's header off; the address tells what was in it. Without a protocol nothing comes before
  // the socket is bound.
  const sock = new Socket(AF_PACKET, SOCK_DGRAM, 0);
  sock.bind([name, ETH_P_ALL]);
  if (name === "") return sock;
  const wanted = { ifindex: if_nametoindex(name), type: PACKET_MR_PROMISC };
  sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, packet_mreq.encode(wanted)); // until the socket is closed
  return sock;
}

const [name = "", count = "Infinity", ...more] = process.argv.slice(2);
if (more.length > 0 || name.startsWith("-") || !(Number(count) > 0)) {
  console.error("usage: bun sniff.ts [interface [count]]");
  process.exit(2);
}
try {
  using sock = open(name);
  console.log(`waiting for frames of ${name === "" ? "every interface" : name}`);
  for (let seen = 0; seen < Number(count); seen++) {
    const [packet, [ifname, protocol, way, , sender]] = sock.recvfrom(65536);
    const from = sender.toString("hex").replaceAll(/..(?!$)/g, "$&:");
    console.log(`${ifname} ${from} ${ways.get(way)}: ${describe(protocol, packet)}, ${packet.length} bytes`);
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
