/**
 * AF_INET: IPv4. Also UDPLITE, MPTCP, SCTP and RDS sockets. See ip(7), RFC 791.
 */
import { integer, wrongType } from "../args.ts";
import { AF_INET } from "../constants.ts";
import { invalid } from "../errors.ts";
import { shim } from "../native.ts";
import { hostName, lookup } from "../resolve.ts";
import { beginName, type Family, outView } from "./family.ts";

/**
 * An IPv4 address: a host and a port.
 *
 * As an argument, `host` may be `""` (INADDR_ANY), `"<broadcast>"` (INADDR_BROADCAST) or a name, which is resolved; as a
 * result it is always four numbers.
 */
export type InetAddress = readonly [host: string, port: number];

const LENGTH = 16; // sizeof(struct sockaddr_in)
const ADDRESS = 4; // offsetof(sin_addr)

/** Hosts by number, as they were last parsed: a peer that is sent to again costs a look-up, no call. */
const numeric = new Map<string, number>();
const NUMERIC_MAX = 4096;
const packed = new DataView(new ArrayBuffer(4));

/** The number that a host is, `undefined` where it is a name. */
function parsed(host: string, name: string): number | undefined {
  if (shim.bs_inet_pton(4, name, packed) !== 1) return undefined;
  if (numeric.size >= NUMERIC_MAX) numeric.clear();
  numeric.set(host, packed.getUint32(0));
  return packed.getUint32(0);
}

/** Whether a host is four numbers, so that the resolver need not be asked. */
export function isNumber(host: string): boolean {
  return numeric.has(host) || parsed(host, hostName(host, "address[0]")) !== undefined;
}

/**
 * The first address of a host, as a big-endian number.
 *
 * @throws gaierror where the name has no address.
 */
function resolve(host: unknown): number {
  if (typeof host !== "string") throw wrongType("address[0]", "a string", host);
  const known = numeric.get(host);
  if (known !== undefined) return known;
  if (host === "") return 0;
  if (host === "<broadcast>") return 0xffff_ffff;
  const name = hostName(host, "address[0]");
  const number = parsed(host, name);
  if (number !== undefined) return number;
  const [first] = lookup(name, null, AF_INET, 0, 0, 0, host);
  if (first === undefined) throw invalid("getaddrinfo", "no address", host);
  return new DataView(first.name.buffer, first.name.byteOffset).getUint32(ADDRESS);
}

export const inet: Family = {
  family: AF_INET,

  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[host, port]", address);
    const host = address[0];
    const port = integer(address[1], "address[1]", 0, 65535);
    const number = resolve(host);
    beginName(AF_INET, LENGTH);
    outView.setUint16(2, port);
    outView.setUint32(ADDRESS, number);
    return LENGTH;
  },

  decode(name, length) {
    if (length < ADDRESS + 4) return undefined;
    return [`${name[4]}.${name[5]}.${name[6]}.${name[7]}`, (name[2]! << 8) | name[3]!] satisfies InetAddress;
  },
};
