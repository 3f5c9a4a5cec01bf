/**
 * Multicast over UDP: one datagram, sent to a group, comes to everyone who joined it.
 *
 *   bun examples/multicast.ts receive <group> <port> [interface]      port 0 is any free one
 *   bun examples/multicast.ts send <group> <port> <message> [interface]
 *
 * The group is an address from 224.0.0.0 to 239.255.255.255 (239 is for use inside a site). The interface is named by its
 * own IPv4 address, and is the loopback unless another is given. A receiver runs until Ctrl-C; there may be several.
 */
import {
  AF_INET,
  inet_aton,
  IP_ADD_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IPPROTO_IP,
  SO_REUSEADDR,
  SOCK_DGRAM,
  Socket,
  SOL_SOCKET,
} from "berkeley-sockets";

const LOOPBACK = "127.0.0.1";

function receive(group: string, port: number, by: string): never {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  // Several receivers on one machine may share the port.
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  sock.bind([group, port]);
  // struct ip_mreq { struct in_addr imr_multiaddr; struct in_addr imr_interface; }
  sock.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, Buffer.concat([inet_aton(group), inet_aton(by)]));
  console.log(`joined ${group} port ${sock.getsockname()[1]} by ${by}`);
  for (;;) {
    const [data, [host, from]] = sock.recvfrom(65536);
    console.log(`${host} port ${from}: ${data}`);
  }
}

function send(group: string, port: number, message: string, by: string): void {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, inet_aton(by));
  // One byte each: Linux would take an int too, other systems not.
  sock.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, Uint8Array.of(1)); // no router passes it on
  sock.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, Uint8Array.of(1)); // receivers on this machine get it as well
  sock.sendto(message, [group, port]);
  console.log(`sent to ${group} port ${port} by ${by}`);
}

const [what, group = "", port = "", ...rest] = process.argv.slice(2);
if (what === "receive" && port !== "" && rest.length <= 1) receive(group, Number(port), rest[0] ?? LOOPBACK);
else if (what === "send" && rest.length >= 1 && rest.length <= 2) {
  send(group, Number(port), rest[0]!, rest[1] ?? LOOPBACK);
} else {
  console.error("usage: bun multicast.ts receive <group> <port> [interface]");
  console.error("       bun multicast.ts send <group> <port> <message> [interface]");
  process.exit(2);
}
