/**
 * Asks a host whether its kernel speaks RDS, and how long the way is, as rds-ping of rds-tools does: AF_RDS.
 *
 *   bun examples/rds-ping.ts [-c <count>] [-I <own address>] <host>      until Ctrl-C, without -c
 *
 * RDS brings datagrams whole, in order and once, over TCP or InfiniBand, from one socket to many others. The kernel of the
 * other host answers what comes to port 0. For Linux on both ends, with the kernel's modules (`modprobe rds_tcp`). Ends with
 * status 1 where no answer came.
 */
import { parseArgs } from "node:util";
import { AF_INET, AF_INET6, AF_RDS, OSError, SOCK_DGRAM, SOCK_SEQPACKET, Socket, TimeoutError } from "berkeley-sockets";

function usage(): never {
  console.error("usage: bun rds-ping.ts [-c <count>] [-I <own address>] <host>");
  process.exit(2);
}

function parse() {
  try {
    const options = { count: { type: "string", short: "c" }, own: { type: "string", short: "I" } } as const;
    return parseArgs({ allowPositionals: true, options });
  } catch {
    return usage(); // an option that there is not
  }
}

const { values, positionals } = parse();
const [host] = positionals;
const count = Number(values.count ?? Infinity);
if (host === undefined || positionals.length > 1 || !(count >= 1)) usage();

/** The address of this machine that packets to a host come from: connecting a UDP socket sends none. */
function ownAddress(host: string): string {
  using probe = new Socket(host.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM);
  probe.connect([host, 9]);
  return probe.getsockname()[0] as string;
}

/** Sends a message without data to port 0, and waits for the one that the other kernel sends back. */
function ping(own: string, host: string): string {
  // Bound to one address of this machine, as every RDS socket. Each time it is another, whose port no late answer comes to.
  using sock = new Socket(AF_RDS, SOCK_SEQPACKET);
  sock.bind([own, 0]);
  sock.settimeout(1);
  const began = performance.now();
  sock.sendto("", [host, 0]);
  const [, [from]] = sock.recvfrom(0);
  return `answer of ${from} after ${(performance.now() - began).toFixed(3)} ms`;
}

try {
  const own = values.own ?? ownAddress(host);
  let answered = 0;
  for (let number = 1; number <= count; number++) {
    if (number > 1) Bun.sleepSync(1000);
    try {
      console.log(`${number}: ${ping(own, host)}`);
      answered++;
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      console.log(`${number}: no answer`);
    }
  }
  process.exitCode = answered > 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
