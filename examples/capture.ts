/**
 * Captures the frames of an interface to a file that Wireshark, tshark and tcpdump read (pcapng), by a ring of memory that the
 * kernel fills.
 *
 *   bun examples/capture.ts <interface> <file> [<filter>]      the file `-` is the standard output
 *
 * The filter is a program as `tcpdump -ddd` prints it: it runs in the kernel, and says which frames come here, and how much of
 * each. Counts are shown each second; Ctrl-C ends it. For Linux, with CAP_NET_RAW (as root).
 *
 *   bun examples/capture.ts eth0 names.pcapng "$(tcpdump -i eth0 -ddd udp port 53)"
 *   bun examples/capture.ts eth0 - | tshark -r -
 */
import { AF_PACKET, OSError, SOCK_RAW, Socket } from "berkeley-sockets";
import {
  ARPHRD_ETHER,
  ARPHRD_IEEE80211,
  ARPHRD_IEEE80211_RADIOTAP,
  ARPHRD_LOOPBACK,
  ARPHRD_NONE,
  ARPHRD_RAWIP,
  ARPHRD_SIT,
  ARPHRD_TUNNEL,
  ARPHRD_TUNNEL6,
} from "berkeley-sockets/constants";
import { parseFilter } from "berkeley-sockets/messages";
import { PacketRing, type PacketStatistics, PcapngWriter } from "berkeley-sockets/packets";

// Of https://www.tcpdump.org/linktypes.html.
const LINKTYPE_ETHERNET = 1;
const LINKTYPE_RAW = 101; // IP without anything before it, as of tunnels
const linkTypes = new Map([
  [ARPHRD_ETHER, LINKTYPE_ETHERNET],
  [ARPHRD_LOOPBACK, LINKTYPE_ETHERNET],
  ...[ARPHRD_NONE, ARPHRD_RAWIP, ARPHRD_SIT, ARPHRD_TUNNEL, ARPHRD_TUNNEL6].map(
    (kind) => [kind, LINKTYPE_RAW] as const,
  ),
  [ARPHRD_IEEE80211, 105],
  [ARPHRD_IEEE80211_RADIOTAP, 127],
]);

function linkTypeOf(name: string): number {
  using sock = new Socket(AF_PACKET, SOCK_RAW, 0);
  sock.bind([name, 0]);
  const [, , , kind] = sock.getsockname();
  const type = linkTypes.get(kind);
  if (type === undefined) throw new RangeError(`${name} is a device of kind ${kind}, whose frames have no name here`);
  return type;
}

const [name = "", path = "", program, ...more] = process.argv.slice(2);
if (name === "" || path === "" || more.length > 0) {
  console.error('usage: bun capture.ts <interface> <file> ["$(tcpdump -ddd <expression>)"]');
  process.exit(2);
}

let bytes = 0;

/** Writes what is in the next block of the ring. */
function writeBlock(ring: PacketRing, file: PcapngWriter): void {
  for (const frame of ring.block()) {
    file.write(frame);
    bytes += frame.length;
  }
}

function show({ packets, drops }: PacketStatistics, isLast: boolean): void {
  const line = `${packets - drops} frames, ${bytes} bytes, ${drops} dropped`;
  // On a terminal the line is written over and over; elsewhere the last one is enough.
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}${isLast ? "\n" : ""}`);
  else if (isLast) console.error(line);
}

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
process.once("SIGTERM", () => stop.abort());

try {
  const options = program === undefined ? {} : { filter: parseFilter(program) };
  using file = new PcapngWriter(path === "-" ? 1 : path);
  file.addInterface(name, { linkType: linkTypeOf(name) });
  using ring = new PacketRing(name, { promiscuous: true, ...options });
  console.error(`capturing on ${name}, Ctrl-C ends it`);
  const live = setInterval(() => show(ring.statistics(), false), 1000);
  try {
    for (;;) {
      await ring.ready({ signal: stop.signal });
      writeBlock(ring, file);
    }
  } catch (error) {
    if (error !== stop.signal.reason) throw error;
    // What came before the end, and no more than the ring has.
    for (let blocks = 64; blocks > 0 && ring.wait(0.02); blocks--) writeBlock(ring, file);
  } finally {
    clearInterval(live);
    const counted = ring.statistics();
    file.statistics(counted);
    show(counted, true);
  }
} catch (error) {
  if (!(error instanceof OSError || error instanceof RangeError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
