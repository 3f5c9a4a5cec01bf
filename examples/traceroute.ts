/**
 * Shows the routers on the way to a host, as traceroute(8) does: UDP packets that may pass 1, 2, 3 … routers, and what ICMP
 * says of each, which Linux hands out by the error queue (IP_RECVERR, IPV6_RECVERR), so that nobody needs rights for it.
 *
 *   bun examples/traceroute.ts [-6] [-n] [-m <hops>] [-q <packets>] [-w <seconds>] [-p <port>] <host>
 *
 *   -6  IPv6 alone                                        -q  packets for each hop, 3 by default
 *   -n  addresses alone, not their names                  -w  seconds that an answer may take, 3 by default
 *   -m  how many hops at most, 30 by default              -p  the first port, 33434 by default; each packet has the next
 *
 * A `*` is a packet that nobody answered. It ends at the host, which says that nobody has the port, or where the way ends:
 * !N is network unreachable, !H host, !P protocol, !X prohibited, !F too big, `!<code>` another. For Linux.
 */
import { parseArgs } from "node:util";
import {
  AF_INET6,
  CMSG_SPACE,
  getaddrinfo,
  getnameinfo,
  IP_RECVERR,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVERR,
  MSG_ERRQUEUE,
  NI_NAMEREQD,
  OSError,
  SO_ERROR,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  Socket,
  SOF_TIMESTAMPING_SOFTWARE,
  SOF_TIMESTAMPING_TX_SOFTWARE,
  SOL_SOCKET,
} from "berkeley-sockets/promises";
import { SO_EE_ORIGIN_TIMESTAMPING } from "berkeley-sockets/constants";
import { decodeAncillary, encodeAncillary, type Timespec } from "berkeley-sockets/messages";
import { CLOCK_REALTIME, clock_gettime } from "berkeley-sockets/packets";

/** How many hops are asked at the same time. Linux answers 6 packets of a host at once, and then one each second. */
const AHEAD = 2;
/** What a packet carries, in bytes. */
const SIZE = 32;

/** ICMP's types and codes: RFC 792 for IPv4, RFC 4443 for IPv6. */
const ICMP = { exceeded: 11, unreachable: 3, port: 3 };
const ICMPV6 = { exceeded: 3, unreachable: 1, port: 4 };
const MARKS: Record<number, string> = { 0: "!N", 1: "!H", 2: "!P", 4: "!F", 9: "!X", 10: "!X", 13: "!X" };
const MARKS_V6: Record<number, string> = { 0: "!N", 1: "!X", 3: "!H" };

function fail(message: string, status = 2): never {
  console.error(message);
  process.exit(status);
}

function usage(): never {
  fail("usage: bun traceroute.ts [-6] [-n] [-m <hops>] [-q <packets>] [-w <seconds>] [-p <port>] <host>");
}

const option = (short: string) => ({ type: "string", short }) as const;

function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        ipv6: { type: "boolean", short: "6" },
        numeric: { type: "boolean", short: "n" },
        hops: option("m"),
        queries: option("q"),
        wait: option("w"),
        port: option("p"),
      },
    });
    return positionals.length === 1 ? { ...values, host: positionals[0]! } : usage();
  } catch {
    return usage(); // an option that there is not
  }
}

/** A number that was given for an option, or what goes for it. */
function number(name: string, text: string | undefined, otherwise: number, min: number, max: number, whole = true) {
  if (text === undefined) return otherwise;
  const value = text.trim() === "" ? NaN : Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  return fail(`-${name} takes a ${whole ? "whole " : ""}number from ${min} to ${max}, not ${text}`);
}

const given = parse();
const { host } = given;
const hopsMax = number("m", given.hops, 30, 1, 255);
const queries = number("q", given.queries, 3, 1, 10);
const patience = number("w", given.wait, 3, 0.001, 3600, false);
const firstPort = number("p", given.port, 33434, 1, 65535);
if (firstPort + hopsMax * queries - 1 > 65535) {
  fail(`-p ${firstPort} leaves too few ports: ${hopsMax * queries} packets have one each`);
}
if (process.platform !== "linux") fail("traceroute.ts needs the error queue of Linux", 1);

/** What came of a packet; `null` is nothing. */
type Answer = { from: string; took: number; type: number; code: number } | null;

async function trace(sock: Socket<"AF_INET" | "AF_INET6">, to: readonly [string, number, ...number[]]): Promise<void> {
  const isV6 = sock.family === AF_INET6;
  const types = isV6 ? ICMPV6 : ICMP;
  sock.setsockopt(isV6 ? IPPROTO_IPV6 : IPPROTO_IP, isV6 ? IPV6_RECVERR : IP_RECVERR, 1);
  sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
  sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
  await Bun.sleep(10); // the kernel takes a moment until it records times

  /** Those on their way, by their ports: when they left (by this program's clock, then the kernel's), and who waits. */
  const probes = new Map<number, { left: Timespec; answered: (answer: Answer) => void }>();

  async function receiveErrors(): Promise<never> {
    for (;;) {
      const [data, ancillary, , about] = await sock.recvmsg(2048, CMSG_SPACE(64) * 3, MSG_ERRQUEUE);
      const came = clock_gettime(CLOCK_REALTIME);
      const items = decodeAncillary(ancillary);
      const error = items.find((item) => item.type === "error");
      if (error?.origin === SO_EE_ORIGIN_TIMESTAMPING) {
        // When a packet left, and the packet: the port that it went to stands in the UDP header, before what we sent.
        const sent = probes.get(data.length < SIZE + 8 ? -1 : data.readUInt16BE(data.length - SIZE - 6));
        const time = items.find((item) => item.type === "timestamping")?.software;
        if (sent && time) sent.left = time;
        continue;
      }
      const probe = probes.get(about?.[1] as number); // the address is the one that the packet was sent to
      if (probe === undefined || !error?.offender) continue;
      const time = items.find((item) => item.type === "timestamp")?.time ?? came; // the kernel's is the better one
      const { left } = probe;
      const took = (time.seconds - left.seconds) * 1e3 + (time.nanoseconds - left.nanoseconds) / 1e6;
      probe.answered({ from: error.offender[0], took: Math.max(0, took), type: error.icmpType, code: error.icmpCode });
    }
  }

  async function probe(ttl: number, port: number): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const hops = encodeAncillary([{ type: isV6 ? "hoplimit" : "ttl", value: ttl }]);
    const address = to.with(1, port) as [string, number];
    // Each packet on its way may have one error.
    for (let tries = AHEAD * queries; ; tries--) {
      sock.getsockopt(SOL_SOCKET, SO_ERROR); // what ICMP said of an earlier one would fail this one: it is taken away
      probes.set(port, { left: clock_gettime(CLOCK_REALTIME), answered: resolve });
      try {
        await sock.sendmsg([Buffer.alloc(SIZE)], hops, 0, address);
        break;
      } catch (error) {
        if (tries === 0 || !(error instanceof OSError)) throw error; // else it may have come just then
      }
    }
    const late = setTimeout(() => resolve(null), patience * 1000);
    const answer = await promise;
    clearTimeout(late);
    probes.delete(port);
    return answer;
  }

  /** The packets of a hop. */
  function ask(ttl: number): Promise<Answer[]> {
    const first = firstPort + (ttl - 1) * queries;
    return Promise.all(Array.from({ length: queries }, (_, i) => probe(ttl, first + i)));
  }

  async function nameOf(address: string): Promise<string> {
    if (given.numeric) return address;
    try {
      return `${(await getnameinfo([address, 0], NI_NAMEREQD))[0]} (${address})`;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      return `${address} (${address})`; // it has no name
    }
  }

  async function describe(answers: Answer[]): Promise<string> {
    const words: string[] = [];
    let from = "";
    for (const answer of answers) {
      if (answer === null) {
        words.push("*");
        continue;
      }
      if (answer.from !== from) words.push(await nameOf((from = answer.from)));
      words.push(`${answer.took.toFixed(3)} ms`);
      if (answer.type === types.unreachable && answer.code !== types.port) {
        words.push((isV6 ? MARKS_V6 : MARKS)[answer.code] ?? `!${answer.code}`);
      }
    }
    return words.join("  ");
  }

  const failed = receiveErrors();
  const asked: Promise<Answer[]>[] = [];
  for (let ttl = 1; ttl <= hopsMax; ttl++) {
    while (asked.length < Math.min(ttl - 1 + AHEAD, hopsMax)) {
      const answers = ask(asked.length + 1);
      answers.catch(() => {}); // it is told when its turn comes
      asked.push(answers);
    }
    const answers = (await Promise.race([asked[ttl - 1], failed]))!;
    console.log(`${String(ttl).padStart(2)}  ${await describe(answers)}`);
    if (answers.some((answer) => answer !== null && answer.type !== types.exceeded)) return;
  }
}

process.on("SIGINT", () => process.exit(130));
try {
  const family = given.ipv6 ? AF_INET6 : 0;
  const [found, , , , address] = (await getaddrinfo(host, null, { family, type: SOCK_DGRAM }))[0]!;
  const sock = new Socket(found, SOCK_DGRAM) as Socket<"AF_INET" | "AF_INET6">;
  console.log(`traceroute to ${host} (${address[0]}), ${hopsMax} hops at most, packets of ${SIZE} bytes`);
  await trace(sock, address as [string, number]);
  process.exit(0); // questions of later hops may be on their way
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  fail(error.message, 1);
}
