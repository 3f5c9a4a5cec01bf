/**
 * Shows what services there are in the local network, by multicast DNS (RFC 6762, RFC 6763): printers, speakers, whatever
 * announces itself.
 *
 *   bun examples/mdns-browse.ts [-w <seconds>] [<type>]      _ipp._tcp for example; without it, services of every type
 *
 * It asks by each interface, IPv4 and IPv6, for 3 seconds (-w) or until Ctrl-C, and lists each service with its host, port,
 * addresses and what it tells about itself. Other programs that do the same, Avahi for one, may run beside it. Ends with
 * status 1 where nobody answered. For Linux, macOS and the BSDs.
 *
 * Messages are unpacked by the npm package `dns-packet`: bun add dns-packet, and for types bun add -d @types/dns-packet.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  AF_INET,
  AF_INET6,
  CMSG_SPACE,
  if_indextoname,
  if_nameindex,
  IP_MULTICAST_IF,
  IP_MULTICAST_TTL,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  IP_ADD_MEMBERSHIP,
  OSError,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_DGRAM,
  Socket,
  SOL_SOCKET,
} from "berkeley-sockets/promises";
import { decodeAncillary, ip_mreqn, ipv6_mreq } from "berkeley-sockets/messages";
import dns, { type Answer } from "dns-packet";

const PORT = 5353;
const GROUP = "224.0.0.251";
const GROUP6 = "ff02::fb";
const ALL = "_services._dns-sd._udp.local";
/** When it asks again what is not answered, in milliseconds. */
const AGAIN = [0, 1000, 3000, 9000, 27000];
/** How many records are kept: nobody shall fill the memory. */
const RECORDS_MAX = 10_000;

const TYPES = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33 };
type Type = keyof typeof TYPES;

function fail(message: string, status = 2): never {
  console.error(message);
  process.exit(status);
}

function usage(): never {
  fail("usage: bun mdns-browse.ts [-w <seconds>] [<type>]      a type is as _http._tcp, _ipp._tcp.local");
}

function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { wait: { type: "string", short: "w" } },
    });
    if (positionals.length > 1) usage();
    return { waitText: values.wait ?? "3", given: positionals[0] };
  } catch {
    return usage(); // an option that there is not
  }
}

const { waitText, given } = parse();
const patience = waitText.trim() === "" ? NaN : Number(waitText);
if (!(patience > 0 && patience <= 86400)) fail(`-w takes a number above 0, at most 86400, not ${waitText}`);
if (given !== undefined && !/^(_[\w-]+\._sub\.)?_[a-z\d-]+\._(tcp|udp)(\.local)?\.?$/i.test(given)) usage();
if (process.platform === "win32") fail("mdns-browse.ts is for Linux, macOS and the BSDs", 1);

const browsed = given === undefined ? ALL : `${given.toLowerCase().replace(/(\.local)?\.?$/, "")}.local`;

/** What the network said: by name and type, each datum by a text that it is known by. Names are compared in lower case. */
class Records {
  readonly #all = new Map<string, Map<string, unknown>>();
  #count = 0;

  /** Takes a record; one that lives for 0 seconds says goodbye. */
  take(name: string, type: Type, data: unknown, ttl: number): void {
    const key = `${type} ${name.toLowerCase()}`;
    const known = this.#all.get(key);
    const text = JSON.stringify(data);
    if (ttl === 0) {
      if (known?.delete(text)) this.#count--;
    } else if (known?.has(text) !== true && this.#count < RECORDS_MAX) {
      if (known === undefined) this.#all.set(key, new Map([[text, data]]));
      else known.set(text, data);
      this.#count++;
    }
  }

  get<Data>(name: string, type: Type): Data[] {
    return [...(this.#all.get(`${type} ${name.toLowerCase()}`)?.values() ?? [])] as Data[];
  }
}

const records = new Records();

interface Service {
  /** The whole name, and its first label: what is shown to users, of any letters. */
  name: string;
  instance: string;
  type: string;
}

/** The types that were found, or the one that was asked for. */
const types = (): string[] => (browsed === ALL ? records.get<string>(ALL, "PTR") : [browsed]);

/** What there is of a type. A name that does not end with its type would be nobody's service. */
function servicesOf(asked: string): Service[] {
  const type = asked.replace(/^.*\._sub\./, ""); // a subtype finds services whose names do not tell it
  return records
    .get<string>(asked, "PTR")
    .filter((name) => name.toLowerCase().endsWith(`.${type.toLowerCase()}`))
    .map((name) => ({ name, instance: name.slice(0, -type.length - 1), type }));
}

/** What is asked for: the labels of the name (a service's own may have dots in it), and the type of the record. */
interface Question {
  labels: string[];
  type: Type;
}

/** What is not known yet. */
function* missing(): Generator<Question> {
  yield { labels: browsed.split("."), type: "PTR" };
  for (const type of types()) {
    if (type !== browsed) yield { labels: type.split("."), type: "PTR" };
    for (const { name, instance, type: ofType } of servicesOf(type)) {
      const labels = [instance, ...ofType.split(".")];
      const [place] = records.get<{ target: string }>(name, "SRV");
      if (place === undefined) yield { labels, type: "SRV" };
      if (records.get(name, "TXT").length === 0) yield { labels, type: "TXT" };
      if (place === undefined || records.get(place.target, "A").length + records.get(place.target, "AAAA").length > 0) {
        continue;
      }
      for (const type of ["A", "AAAA"] as const) yield { labels: place.target.split("."), type };
    }
  }
}

/** A message with one question; `null` where the name cannot be: it came from somebody. */
function packed({ labels, type }: Question): Buffer | null {
  const parts = labels.map((label) => Buffer.from(label));
  if (!parts.every(({ length }) => length >= 1 && length <= 63)) return null;
  const header = Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // one question
  const name = parts.flatMap((part) => [Buffer.of(part.length), part]);
  return Buffer.concat([header, ...name, Buffer.of(0, 0, TYPES[type], 0, 1)]); // class IN
}

/** Takes what a message answers. What is none is passed over: everybody in the network may send here. */
function take(message: Buffer, ifname: string | null): void {
  let all: Answer[];
  try {
    const { flag_qr, answers = [], additionals = [] } = dns.decode(message);
    if (!flag_qr || dns.decode.bytes > message.length) return;
    all = [...answers, ...additionals];
  } catch {
    return;
  }
  for (const record of all) {
    if (!(record.type in TYPES)) continue;
    const { name, type, ttl = 0, data } = record as { name: string; type: Type; ttl?: number; data: unknown };
    // An address of this link is of use with the link's name.
    const isOfLink = type === "AAAA" && /^fe[89ab]/i.test(String(data)) && ifname !== null;
    records.take(name, type, isOfLink ? `${String(data)}%${ifname}` : data, ttl);
  }
}

/** A socket of a family, which is in the group by every interface that can be; `null` where there is none. */
function openSocket(family: number): { sock: Socket; send(message: Buffer): Promise<void> } | null {
  const isV6 = family === AF_INET6;
  const sock = new Socket(family, SOCK_DGRAM) as Socket;
  try {
    sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); // others have this port, too
    if (SO_REUSEPORT !== undefined) sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    if (isV6) {
      sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
      sock.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
      sock.setsockopt(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    } else {
      sock.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, Uint8Array.of(255)); // one byte: Linux alone would take an int
      if (IP_PKTINFO !== undefined) sock.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
    }
    sock.bind([isV6 ? "::" : "", PORT]);
  } catch (error) {
    sock.close();
    throw error;
  }
  const joined = if_nameindex().filter(([index]) => {
    try {
      if (isV6) {
        sock.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, ipv6_mreq.encode({ multiaddr: GROUP6, interface: index }));
      } else {
        sock.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, ip_mreqn.encode({ multiaddr: GROUP, ifindex: index }));
      }
      return true;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      return false; // it has no address of this family, or is not up
    }
  });
  if (joined.length === 0) {
    sock.close();
    return null;
  }

  async function send(message: Buffer): Promise<void> {
    for (const [index] of joined) {
      try {
        if (isV6) {
          sock.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
          await sock.sendto(message, [GROUP6, PORT, 0, index]);
        } else {
          sock.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, ip_mreqn.encode({ ifindex: index }));
          await sock.sendto(message, [GROUP, PORT]);
        }
      } catch (error) {
        if (!(error instanceof OSError)) throw error; // else this interface has no way to anybody
      }
    }
  }
  return { sock, send };
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort());
process.on("SIGTERM", () => stop.abort());

async function browse(): Promise<void> {
  const sockets = [AF_INET, AF_INET6].flatMap((family) => {
    try {
      return openSocket(family) ?? [];
    } catch (error) {
      if (!(error instanceof OSError) || family === AF_INET) throw error;
      return []; // a system without IPv6
    }
  });
  if (sockets.length === 0) fail("no interface can send to a group", 1);

  const asked = new Set<string>();
  /** Asks what is not known: what was not asked before or, `again`, all of it. */
  async function ask(again: boolean): Promise<void> {
    if (again) asked.clear();
    for (const question of [...missing()]) {
      const key = `${question.type} ${question.labels.join(".")}`;
      const message = asked.has(key) ? null : packed(question);
      asked.add(key);
      if (message !== null) for (const { send } of sockets) await send(message);
    }
  }

  async function listen(sock: Socket): Promise<void> {
    for (;;) {
      const options = { signal: stop.signal };
      const [data, ancillary, , from] = await sock.recvmsg(9000, CMSG_SPACE(64), 0, options);
      if ((from as [string, number])[1] !== PORT) continue; // nobody who may answer has another port
      const arrival = decodeAncillary(ancillary).find((item) => item.type === "pktinfo" || item.type === "pktinfo6");
      take(data, arrival === undefined ? null : nameOf(arrival.ifindex));
      await ask(false);
    }
  }

  const nameOf = (index: number): string | null => {
    try {
      return if_indextoname(index);
    } catch {
      return null; // it is gone
    }
  };

  async function keepAsking(): Promise<void> {
    let passed = 0;
    for (const at of AGAIN) {
      await sleep(at - passed, undefined, { signal: stop.signal });
      passed = at;
      await ask(true);
    }
  }

  setTimeout(() => stop.abort(), patience * 1000);
  const work = [keepAsking(), ...sockets.map(({ sock }) => listen(sock))];
  try {
    await Promise.all(work);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  for (const { sock } of sockets) sock.close();
}

/** Text of the network: what is not printed is its number (RFC 1035), so that it does nothing to a terminal. */
const text = (value: string | Uint8Array): string =>
  Buffer.from(value as string)
    .toString()
    .replaceAll(
      /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\ufffd]/gu,
      (letter) => `\\${String(letter.codePointAt(0)).padStart(3, "0")}`,
    );

function list(): number {
  let count = 0;
  const sorted = types()
    .flatMap(servicesOf)
    .sort((a, b) => (a.type + a.name < b.type + b.name ? -1 : 1));
  for (const { name, instance, type } of sorted) {
    count++;
    console.log(`${text(instance)}  ${text(type)}`);
    for (const { target, port } of records.get<{ target: string; port: number }>(name, "SRV")) {
      console.log(`    at   ${text(target)} port ${port}`);
      const addresses = [...records.get<string>(target, "A"), ...records.get<string>(target, "AAAA")];
      for (const address of addresses) console.log(`         ${text(address)}`);
    }
    for (const entries of records.get<Uint8Array[]>(name, "TXT")) {
      for (const entry of entries) if (entry.length > 0) console.log(`    txt  ${text(entry)}`);
    }
  }
  return count;
}

try {
  await browse();
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  fail(error.message, 1);
}
const count = list();
if (count === 0) fail(`nobody answered for ${browsed}`, 1);
process.exit(0);
