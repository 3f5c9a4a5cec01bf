/**
 * Asks a name server, and prints the records as dig(1) does: name, seconds that they may be kept, type and data.
 *
 *   bun examples/dns-query.ts [-p <port>] [-w <seconds>] <name> [<type> [<server>]]
 *
 *   -p  the server's port, 53 by default            type    A (the default) AAAA CAA CNAME MX NS PTR SOA SRV TXT
 *   -w  seconds that an answer may take, each of    server  a host; by default those of /etc/resolv.conf
 *       3 times; 2 by default                               one after the other
 *
 * It asks by UDP (a connected socket: only the server's datagrams come in, and ICMP's errors do) with EDNS (RFC 6891), and by
 * TCP where the answer does not fit. With PTR an address goes for its name in in-addr.arpa or ip6.arpa. Ends with status 1
 * where there is no such record, or no answer.
 *
 * Messages are packed by the npm package `dns-packet`: bun add dns-packet, and for types bun add -d @types/dns-packet.
 */
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { domainToASCII } from "node:url";
import {
  AF_INET,
  AF_INET6,
  createConnection,
  getaddrinfo,
  inet_pton,
  OSError,
  SOCK_DGRAM,
  Socket,
  TimeoutError,
} from "berkeley-sockets";
import dns, { type Answer, type DecodedPacket, type OptAnswer, type Question } from "dns-packet";

const TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"] as const;
type Type = (typeof TYPES)[number];

/** How often a server is asked. */
const TRIES = 3;
/** The longest answer by UDP that is asked for: it passes every network in one piece. */
const UDP_SIZE = 1232;

/** What a server says of the question: it is answered, could not be read, is about a name that there is not. */
const NOERROR = "NOERROR";
const FORMERR = "FORMERR";
const NXDOMAIN = "NXDOMAIN";

/** decode() tells the code of the answer, too. */
type Message = DecodedPacket & { rcode: string };

function fail(message: string, status = 2): never {
  console.error(message);
  process.exit(status);
}

function usage(): never {
  fail("usage: bun dns-query.ts [-p <port>] [-w <seconds>] <name> [<type> [<server>]]");
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { port: { type: "string", short: "p" }, wait: { type: "string", short: "w" } },
    });
  } catch {
    return usage(); // an option that there is not
  }
}

const { values, positionals } = parse();
if (positionals.length < 1 || positionals.length > 3) usage();
const [asked = "", typeText = "A", serverText] = positionals;
const type = typeText.toUpperCase() as Type;
const port = Number(values.port ?? 53);
const patience = Number(values.wait ?? 2);
if (!TYPES.includes(type)) fail(`there is no type ${typeText} here: ${TYPES.join(" ")}`);
if (!(Number.isInteger(port) && port >= 1 && port <= 65535)) {
  fail(`-p takes a whole number from 1 to 65535, not ${values.port}`);
}
if (!(patience > 0 && patience <= 3600)) fail(`-w takes a number above 0, at most 3600, not ${values.wait}`);

/** The name that an address has in the tree of names, or `null` where the text is no address. */
function reversed(text: string): string | null {
  for (const family of [AF_INET, AF_INET6]) {
    try {
      const parts = [...inet_pton(family, text)].reverse();
      if (family === AF_INET) return `${parts.join(".")}.in-addr.arpa`;
      return `${parts.map((byte) => `${(byte & 15).toString(16)}.${(byte >> 4).toString(16)}`).join(".")}.ip6.arpa`;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
    }
  }
  return null;
}

/** A name as it is asked for: without the dot at its end, and other letters than those of ASCII as IDNA has them. */
function nameOf(text: string): string {
  if (text === ".") return ".";
  const short = text.replace(/\.$/, "");
  const name = /\P{ASCII}/u.test(short) ? domainToASCII(short) : short;
  if (name.length > 253 || !name.split(".").every((label) => label.length >= 1 && label.length <= 63)) {
    fail(`no name of a host: ${text}`);
  }
  return name;
}

/** The servers of /etc/resolv.conf; see resolv.conf(5). */
function defaultServers(): string[] {
  let text = "";
  try {
    text = readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    // Windows has none, and a machine without one asks itself.
  }
  const found = [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address]) => address!);
  return found.length > 0 ? found : ["127.0.0.1"];
}

const question: Question = { name: (type === "PTR" && reversed(asked)) || nameOf(asked), type, class: "IN" };

function query(id: number, withEdns: boolean): Buffer {
  const edns = { type: "OPT", name: ".", udpPayloadSize: UDP_SIZE, flags: 0, options: [] };
  return dns.encode({
    type: "query",
    id,
    flags: dns.RECURSION_DESIRED,
    questions: [question],
    additionals: withEdns ? [edns as unknown as OptAnswer] : [],
  });
}

/** A message, if it is one and answers the question of that number: another may be a late one, or forged. */
function decode(data: Buffer, id: number): Message | null {
  let message: Message;
  try {
    message = dns.decode(data) as Message;
    if (dns.decode.bytes > data.length) return null; // its last record was cut
  } catch {
    return null;
  }
  const [about, ...more] = message.questions ?? [];
  // A server that cannot read the question may leave it out.
  const isOurs =
    about === undefined
      ? message.rcode === FORMERR
      : about.name.toLowerCase() === question.name.toLowerCase() && about.type === type && about.class === "IN";
  return message.id === id && message.flag_qr && isOurs && more.length === 0 ? message : null;
}

type Address = readonly [string, number, ...number[]];

/** Asks once by UDP; TimeoutError or `null` where no answer comes in time. */
function askByUdp(family: number, address: Address, withEdns: boolean): Message | null {
  using sock = new Socket(family, SOCK_DGRAM);
  sock.connect(address as [string, number]);
  const id = randomInt(65536);
  sock.send(query(id, withEdns));
  const end = performance.now() + patience * 1000;
  for (let left = patience; left > 0; left = (end - performance.now()) / 1000) {
    sock.settimeout(left);
    const message = decode(sock.recv(65535), id);
    if (message !== null) return message;
  }
  return null;
}

/** Asks by TCP, where two bytes before each message tell its length (RFC 7766). */
function askByTcp(address: Address): Message {
  using sock = createConnection(address as unknown as [string, number], patience);
  const id = randomInt(65536);
  const data = query(id, true);
  sock.sendall(Buffer.concat([Buffer.of(data.length >> 8, data.length & 255), data]));
  const exactly = (size: number): Buffer => {
    const whole = Buffer.alloc(size);
    for (let at = 0; at < size;) {
      const count = sock.recvInto(whole.subarray(at));
      if (count === 0) fail("the server ended the connection before its answer", 1);
      at += count;
    }
    return whole;
  };
  const message = decode(exactly(exactly(2).readUInt16BE()), id);
  return message ?? fail("the server's answer is none to this question", 1);
}

/** Asks a server until it answers; `null` where it does not. */
function ask(server: string): { message: Message; from: string } | null {
  let found;
  try {
    found = getaddrinfo(server, port, { type: SOCK_DGRAM })[0]!;
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.error(error.message);
    return null;
  }
  const [family, , , , address] = found;
  for (let tries = 0, withEdns = true; tries < TRIES; tries++) {
    const began = performance.now();
    try {
      let by = "UDP";
      let message = askByUdp(family, address as Address, withEdns);
      if (message === null) continue;
      if (message.rcode === FORMERR && withEdns) {
        withEdns = false; // a server that is older than EDNS
        continue;
      }
      if (message.flag_tc) {
        by = "TCP";
        message = askByTcp(address as Address);
      }
      const took = (performance.now() - began).toFixed(1);
      return { message, from: `${address[0]} port ${port} by ${by} in ${took} ms` };
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      // Where nobody listens there is no use to ask again.
      if (!(error instanceof TimeoutError)) {
        console.error(error.message);
        return null;
      }
    }
  }
  console.error(`no answer from ${address[0]} port ${port}`);
  return null;
}

/** Text that a server sent, as RFC 1035 writes it: what is not printed is its number, so that it does nothing to a terminal. */
function text(value: string | Uint8Array, quote = '"'): string {
  const data = typeof value === "string" ? Buffer.from(value) : value;
  const escape = (byte: number): string => {
    const letter = String.fromCharCode(byte);
    if (byte < 32 || byte > 126) return `\\${String(byte).padStart(3, "0")}`;
    return (quote !== "" && letter === quote) || (quote !== "" && letter === "\\") ? `\\${letter}` : letter;
  };
  return quote + Array.from(data, escape).join("") + quote;
}

const name = (value: string): string => text(value === "." || value === "" ? "." : `${value}.`, "");

function describe(answer: Answer): string {
  switch (answer.type) {
    case "A":
    case "AAAA":
      return answer.data;
    case "CNAME":
    case "DNAME":
    case "NS":
    case "PTR":
      return name(answer.data);
    case "CAA":
      return `${answer.data.flags ?? 0} ${text(answer.data.tag, "")} ${text(answer.data.value)}`;
    case "MX":
      return `${answer.data.preference} ${name(answer.data.exchange)}`;
    case "SOA": {
      const { mname, rname, serial, refresh, retry, expire, minimum } = answer.data;
      return [name(mname), name(rname), serial, refresh, retry, expire, minimum].join(" ");
    }
    case "SRV": {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return `${priority} ${weight} ${port} ${name(target)}`;
    }
    case "TXT":
      return [answer.data]
        .flat()
        .map((part) => text(part))
        .join(" ");
    default: {
      // RFC 3597
      const { data } = answer as { data?: unknown };
      return data instanceof Uint8Array ? `\\# ${data.length} ${Buffer.from(data).toString("hex")}` : "";
    }
  }
}

try {
  for (const server of serverText === undefined ? defaultServers() : [serverText]) {
    const answered = ask(server);
    if (answered === null) continue;
    const { message, from } = answered;
    if (message.rcode !== NOERROR) {
      console.error(`${question.name}: ${message.rcode}, says ${from}`);
      if (message.rcode === NXDOMAIN) break;
      continue; // another server may know better
    }
    const records = (message.answers ?? []).filter((answer) => answer.type !== "OPT");
    if (records.length === 0) fail(`${question.name} has no ${type}, says ${from}`, 1);
    for (const record of records) {
      console.log(`${name(record.name)}\t${record.ttl}\t${record.class}\t${record.type}\t${describe(record)}`);
    }
    console.log(`; from ${from}`);
    process.exit(0);
  }
  process.exit(1); // each server said why
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  fail(error.message, 1);
}
