/**
 * AF_INET6: IPv6. See ipv6(7), RFC 3493.
 */
import { integer, UINT_MAX, wrongType } from "../args.ts";
import { AF_INET6 } from "../constants.ts";
import { invalid } from "../errors.ts";
import { shim } from "../native.ts";
import { hostName, lookup } from "../resolve.ts";
import { beginName, type Family, outName, outView } from "./family.ts";

/**
 * An IPv6 address: a host, a port, and what makes a host unique on a machine with several links.
 *
 * `scopeId` is the index of the interface that a link-local address belongs to (see `if_nametoindex`). As an argument,
 * `host` may be `""` (every address) or a name, which is resolved, and the last two may be left out; as a result it is
 * always a number, without a `%` part.
 */
export type Inet6Address = readonly [host: string, port: number, flowinfo: number, scopeId: number];

/** An IPv6 address as an argument: {@link Inet6Address} with its last fields left out or not. */
export type Inet6AddressLike =
  Inet6Address | readonly [host: string, port: number] | readonly [host: string, port: number, flowinfo: number];

const LENGTH = 28; // sizeof(struct sockaddr_in6)
const FLOWINFO = 4;
const ADDRESS = 8;
const SCOPE = 24; // in the host's byte order, unlike the others
const FLOWINFO_MAX = 0xfffff;

/** Hosts by number, as they were last parsed. */
const numeric = new Map<string, Uint8Array>();
const NUMERIC_MAX = 4096;
const unspecified = new Uint8Array(16);
const text = Buffer.alloc(64);

/** The address that a host is, `undefined` where it is a name or has a scope. */
function parsed(host: string, name: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  if (shim.bs_inet_pton(6, name, bytes) !== 1) return undefined;
  if (numeric.size >= NUMERIC_MAX) numeric.clear();
  numeric.set(host, bytes);
  return bytes;
}

/** Whether a host is such a number, so that the resolver need not be asked. */
export function isNumber(host: string): boolean {
  return numeric.has(host) || parsed(host, hostName(host, "address[0]")) !== undefined;
}

/** The first address of a host, and the scope that its `%` part named, where there was one. */
function resolve(host: unknown): { bytes: Uint8Array; scope: number } {
  if (typeof host !== "string") throw wrongType("address[0]", "a string", host);
  const known = numeric.get(host);
  if (known !== undefined) return { bytes: known, scope: 0 };
  if (host === "") return { bytes: unspecified, scope: 0 };
  const name = hostName(host, "address[0]");
  const bytes = parsed(host, name);
  if (bytes !== undefined) return { bytes, scope: 0 };
  const [first] = lookup(name, null, AF_INET6, 0, 0, 0, host);
  if (first === undefined) throw invalid("getaddrinfo", "no address", host);
  const found = new DataView(first.name.buffer, first.name.byteOffset);
  return { bytes: first.name.subarray(ADDRESS, ADDRESS + 16), scope: found.getUint32(SCOPE, true) };
}

export const inet6: Family = {
  family: AF_INET6,

  encode(address) {
    if (!Array.isArray(address) || address.length < 2 || address.length > 4) {
      throw wrongType("address", "[host, port, flowinfo?, scopeId?]", address);
    }
    const given = address.length;
    const host = address[0];
    const port = integer(address[1], "address[1]", 0, 65535);
    const flowinfo = given > 2 ? integer(address[2], "address[2]", 0, FLOWINFO_MAX) : 0;
    const scopeId = given > 3 ? integer(address[3], "address[3]", 0, UINT_MAX) : 0;
    const { bytes, scope } = resolve(host);
    beginName(AF_INET6, LENGTH);
    outView.setUint16(2, port);
    outView.setUint32(FLOWINFO, flowinfo);
    outName.set(bytes, ADDRESS);
    outView.setUint32(SCOPE, given > 3 ? scopeId : scope, true);
    return LENGTH;
  },

  decode(name, length) {
    if (length < SCOPE) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    const written = shim.bs_inet_ntop(6, name.subarray(ADDRESS, ADDRESS + 16), text, text);
    // RFC 2553's older structure ends before the scope.
    const scopeId = length < LENGTH ? 0 : view.getUint32(SCOPE, true);
    return [
      text.toString("latin1", 0, written),
      view.getUint16(2),
      view.getUint32(FLOWINFO),
      scopeId,
    ] satisfies Inet6Address;
  },
};
