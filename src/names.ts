/**
 * Names and numbers: hosts, services, protocols, this machine. See getaddrinfo(3), gethostbyname(3), getservent(3).
 */
import { type BytesLike, bits, bytes, integer, lacking, options, text, wrongType, wrongValue } from "./args.ts";
import { AF_INET, AF_INET6, AF_UNSPEC, AI_NUMERICHOST, AI_PASSIVE, SOCK_DGRAM } from "./constants.ts";
import { hostError, invalid, OSError, systemError, unknown } from "./errors.ts";
import { type AddressOf, decodePacked } from "./families/index.ts";
import type { InetAddress } from "./families/inet.ts";
import type { Inet6AddressLike } from "./families/inet6.ts";
import { decodeFileName, encodeFileName } from "./filenames.ts";
import { shim } from "./native.ts";
import {
  failure,
  GETHOSTBYADDR,
  GETHOSTBYNAME,
  hostName,
  listed,
  lookUp,
  reverse,
  type Steps,
  waitFor,
} from "./resolve.ts";

/** One answer of {@link getaddrinfo}: what `new Socket` and `connect` take. */
export type AddressInfoEntry = readonly [
  family: number,
  type: number,
  proto: number,
  canonname: string,
  address: AddressOf<"AF_INET"> | AddressOf<"AF_INET6">,
];

/** What narrows the answers of {@link getaddrinfo}; each may also be given in its place. */
export interface LookupOptions {
  /** `AF_INET`, `AF_INET6`, or `AF_UNSPEC` (0) for both. */
  family?: number;
  /** `SOCK_*`, or 0 for all. */
  type?: number;
  /** `IPPROTO_*`, or 0 for all. */
  proto?: number;
  /** `AI_*`. */
  flags?: number;
}

const NARROWING = ["family", "type", "proto", "flags"] as const;

/**
 * The addresses of a host and a service; see getaddrinfo(3). Blocks while the system asks its name servers.
 *
 * @param host - A name, a number, or `null` (this machine: every address with `AI_PASSIVE`, else the loopback).
 * @param port - A number, a service's name, or `null`.
 * @param family - `AF_*`; 0 for any.
 * @param type - `SOCK_*`; 0 for any.
 * @param proto - `IPPROTO_*`; 0 for any.
 * @param flags - `AI_*`.
 * @returns A list of `[family, type, proto, canonname, address]`. On Windows a type or protocol that was not asked for is 0.
 * @throws gaierror with one of the `EAI_*` numbers.
 *
 * @example
 * ```ts
 * import { getaddrinfo, SOCK_STREAM } from "berkeley-sockets";
 * for (const [family, type, , , address] of getaddrinfo("127.0.0.1", 80, { type: SOCK_STREAM })) {
 *   console.log(family, type, address); // 2 1 [ "127.0.0.1", 80 ]
 * }
 * ```
 */
export function getaddrinfo(
  host: string | null,
  port: number | string | null,
  family?: number,
  type?: number,
  proto?: number,
  flags?: number,
): AddressInfoEntry[];
export function getaddrinfo(
  host: string | null,
  port: number | string | null,
  options: LookupOptions,
): AddressInfoEntry[];
export function getaddrinfo(host: unknown, port: unknown, ...rest: unknown[]): AddressInfoEntry[] {
  return waitFor(steps.getaddrinfo(host, port, ...rest));
}

function* addressInfo(host: unknown, port: unknown, ...rest: unknown[]): Steps<AddressInfoEntry[]> {
  const byName = rest.length === 1 && typeof rest[0] === "object" && rest[0] !== null;
  const named: LookupOptions | Record<string, unknown> = byName
    ? options(rest[0], "options", NARROWING)
    : Object.fromEntries(NARROWING.slice(0, rest.length).map((name, i) => [name, rest[i]]));
  const given = (name: (typeof NARROWING)[number]) =>
    name in named ? (name === "flags" ? bits(named[name], name) : integer(named[name], name)) : 0;
  const service = port === null ? null : serviceOf(port);
  const name = host === null ? null : hostName(host, "host");
  const found = yield* lookUp(
    name,
    service,
    given("family"),
    given("type"),
    given("proto"),
    given("flags"),
    host ?? undefined,
  );
  return found.map((entry) => [
    entry.family,
    entry.type,
    entry.proto,
    entry.canonname,
    decodePacked(entry.name, entry.proto) as AddressOf<"AF_INET">,
  ]);
}

/** A port as the resolver takes it. It would take only the last 16 bits of a larger number, and lead to another service. */
function serviceOf(port: unknown): string {
  if (typeof port !== "string") return String(integer(port, "port", 0, 65535));
  if (/^\s*\+?\d+$/.test(port)) integer(Number(port), "port", 0, 65535);
  return text(port, "port");
}

/**
 * The name of an address's host and service; see getnameinfo(3).
 *
 * @param address - `[host, port]` or `[host, port, flowinfo, scopeId]`; the host must be a number.
 * @param flags - `NI_*`.
 * @returns The host (with `%` and its interface where it has a scope) and the service.
 * @throws gaierror; OSError where the address has too many fields for its family.
 *
 * @example
 * ```ts
 * import { getnameinfo, NI_NUMERICHOST, NI_NUMERICSERV } from "berkeley-sockets";
 * console.log(getnameinfo(["127.0.0.1", 80], NI_NUMERICHOST | NI_NUMERICSERV)); // [ "127.0.0.1", "80" ]
 * ```
 */
export function getnameinfo(address: InetAddress | Inet6AddressLike, flags: number): [host: string, service: string] {
  return waitFor(steps.getnameinfo(address, flags));
}

function* nameInfo(address: unknown, flags: unknown): Steps<[host: string, service: string]> {
  if (!Array.isArray(address) || address.length < 2 || address.length > 4) {
    throw wrongType("address", "[host, port, flowinfo?, scopeId?]", address);
  }
  const [host, port, flowinfo = 0, scopeId = 0] = address as unknown[];
  const given = address.length;
  const f = bits(flags, "flags");
  const name = hostName(host, "address[0]");
  const number = integer(port, "address[1]", 0, 65535);
  const flow = integer(flowinfo, "address[2]", 0, 0xfffff);
  const scope = integer(scopeId, "address[3]", 0, 0xffff_ffff);
  const found = yield* lookUp(name, String(number), AF_UNSPEC, SOCK_DGRAM, 0, AI_NUMERICHOST, host);
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw invalid("getnameinfo", "sockaddr resolved to multiple addresses", host);
  if (first.family === AF_INET && given > 2) throw invalid("getnameinfo", "IPv4 sockaddr must be 2 tuple", host);
  if (first.family === AF_INET6) {
    const view = new DataView(first.name.buffer, first.name.byteOffset);
    view.setUint32(4, flow); // sin6_flowinfo
    if (given > 3) view.setUint32(24, scope, true); // sin6_scope_id
  }
  return yield* reverse(first.name, f, host);
}

/**
 * The full name of a host: of those that {@link gethostbyaddr} gives, the first with a dot in it.
 *
 * @param name - A name or number; left out, empty, `"0.0.0.0"` or `"::"`, this machine.
 * @returns The full name; `name` itself where there is none.
 *
 * @example
 * ```ts
 * import { getfqdn } from "berkeley-sockets";
 * console.log(getfqdn().length > 0); // true
 * ```
 */
export function getfqdn(name?: string): string {
  return waitFor(steps.getfqdn(name));
}

function* fullName(name: unknown = ""): Steps<string> {
  let host = text(name, "name").trim();
  if (host === "" || host === "0.0.0.0" || host === "::") host = gethostname();
  try {
    const [official, aliases] = yield* byAddress(host);
    return [official, ...aliases].find((known) => known.includes(".")) ?? official;
  } catch (error) {
    if (error instanceof OSError) return host;
    throw error;
  }
}

/**
 * A host's IPv4 address; see gethostbyname(3). {@link getaddrinfo} knows IPv6 too.
 *
 * @param host - A name; a number is returned as it is.
 * @throws gaierror where the name has no address.
 *
 * @example
 * ```ts
 * import { gethostbyname } from "berkeley-sockets";
 * console.log(gethostbyname("localhost")); // 127.0.0.1
 * ```
 */
export function gethostbyname(host: string): string {
  return waitFor(steps.gethostbyname(host));
}

/** The first IPv4 address of a host, as text. */
function* ipv4(host: unknown): Steps<string> {
  if (host === "") return "0.0.0.0";
  if (host === "<broadcast>") return "255.255.255.255";
  const name = hostName(host, "host");
  const [first] = yield* lookUp(name, null, AF_INET, 0, 0, 0, host);
  if (first === undefined) throw invalid("getaddrinfo", "no address", host);
  return (decodePacked(first.name, 0) as InetAddress)[0];
}

/** What {@link gethostbyname_ex} and {@link gethostbyaddr} know of a host. */
export type HostEntry = [host: string, aliases: string[], addresses: string[]];

/**
 * A host's official name, its other names, its IPv4 addresses; see gethostbyname(3). On musl the first of its other
 * names is the official one again.
 *
 * @throws herror with an `h_errno`; gaierror where the name does not resolve at all.
 *
 * @example
 * ```ts
 * import { gethostbyname_ex } from "berkeley-sockets";
 * console.log(gethostbyname_ex("127.0.0.1")); // [ "127.0.0.1", …, [ "127.0.0.1" ] ]
 * ```
 */
export function gethostbyname_ex(host: string): HostEntry {
  return waitFor(steps.gethostbyname_ex(host));
}

function* byName(host: unknown): Steps<HostEntry> {
  const name = hostName(host, "host");
  yield* ipv4(host);
  return hostEntry(yield { kind: GETHOSTBYNAME, name }, "gethostbyname_ex", host);
}

/**
 * The names of the host that has an address; see gethostbyaddr(3).
 *
 * @param address - An IPv4 or IPv6 address, or a name that is resolved to one.
 * @throws herror with an `h_errno`: no name is known. gaierror: no address is.
 *
 * @example
 * ```ts
 * import { gethostbyaddr } from "berkeley-sockets";
 * console.log(gethostbyaddr("127.0.0.1")[2]); // [ "127.0.0.1" ]
 * ```
 */
export function gethostbyaddr(address: string): HostEntry {
  return waitFor(steps.gethostbyaddr(address));
}

function* byAddress(address: unknown): Steps<HostEntry> {
  const name = hostName(address, "address");
  const found =
    name === ""
      ? yield* lookUp(null, "0", AF_UNSPEC, SOCK_DGRAM, 0, AI_PASSIVE, address)
      : yield* lookUp(name === "<broadcast>" ? "255.255.255.255" : name, null, AF_UNSPEC, SOCK_DGRAM, 0, 0, address);
  const [first] = found;
  if (first === undefined) throw invalid("getaddrinfo", "no address", address);
  if (name === "" && found.length > 1) throw invalid("getaddrinfo", "wildcard resolved to multiple addresses", address);
  const packed = first.family === AF_INET6 ? first.name.slice(8, 24) : first.name.slice(4, 8);
  const answer = yield { kind: GETHOSTBYADDR, name: packed, family: first.family };
  return hostEntry(answer, "gethostbyaddr", address);
}

/** What asks name servers, by its steps. */
export const steps = {
  getaddrinfo: addressInfo,
  getfqdn: fullName,
  gethostbyaddr: byAddress,
  gethostbyname: ipv4,
  gethostbyname_ex: byName,
  getnameinfo: nameInfo,
};

function hostEntry(answer: Buffer | number, syscall: string, address: unknown): HostEntry {
  if (typeof answer === "number") throw hostError(syscall, answer, failure[0]!, address);
  const names: string[] = [];
  const addresses: string[] = [];
  const text = Buffer.alloc(64);
  for (let at = 0; at + 8 <= answer.length;) {
    const family = answer.readInt32LE(at);
    const length = answer.readInt32LE(at + 4);
    const value = answer.subarray(at + 8, at + 8 + length);
    if (family === 0) names.push(value.toString());
    else addresses.push(text.toString("latin1", 0, shim.bs_inet_ntop(family === AF_INET ? 4 : 6, value, text, text)));
    at += 8 + ((length + 3) & ~3);
  }
  const [official = "", ...aliases] = names;
  return [official, aliases, addresses];
}

/**
 * This machine's name; see gethostname(2).
 *
 * @example
 * ```ts
 * import { gethostname } from "berkeley-sockets";
 * console.log(gethostname().length > 0); // true
 * ```
 */
export function gethostname(): string {
  const out = Buffer.alloc(1025);
  const n = shim.bs_gethostname(out, out);
  if (n < 0) throw systemError("gethostname", n);
  return decodeFileName(out.subarray(0, n));
}

/**
 * Sets this machine's name; see sethostname(2). Windows has no such call: a TypeError there.
 *
 * @throws PermissionError without the right to.
 *
 * @example
 * ```ts
 * import { gethostname, PermissionError, sethostname } from "berkeley-sockets";
 * if (process.platform !== "win32") {
 *   try {
 *     sethostname(gethostname());
 *   } catch (error) {
 *     if (!(error instanceof PermissionError)) throw error;
 *   }
 * }
 * ```
 */
export function sethostname(name: BytesLike): void {
  if (process.platform === "win32") throw lacking("sethostname", "on every other platform");
  if (typeof name === "string" && name.includes("\0")) throw wrongValue("name", "a name without NUL", name);
  const given = typeof name === "string" ? encodeFileName(name, "name") : bytes(name, "name");
  const r = shim.bs_sethostname(given, given);
  if (r < 0) throw systemError("sethostname", r);
}

/**
 * The number of a protocol; see getprotobyname(3), protocols(5).
 *
 * @param name - `"icmp"`, `"tcp"` …
 * @throws OSError (ENOENT) for a name that the system does not know.
 *
 * @example
 * ```ts
 * import { getprotobyname } from "berkeley-sockets";
 * console.log(getprotobyname("tcp")); // 6
 * ```
 */
export function getprotobyname(name: string): number {
  const r = shim.bs_getprotobyname(text(name, "name"));
  if (r < 0) throw unknown("getprotobyname", "no such protocol", name);
  return r;
}

/**
 * The port of a service; see getservbyname(3), services(5).
 *
 * @param service - `"http"`, `"domain"` …
 * @param protocol - `"tcp"` or `"udp"`; left out, the first that has it.
 * @throws OSError (ENOENT) for a service that the system does not know.
 *
 * @example
 * ```ts
 * import { getservbyname } from "berkeley-sockets";
 * console.log(getservbyname("http", "tcp")); // 80
 * ```
 */
export function getservbyname(service: string, protocol?: string): number {
  const name = text(service, "service");
  const r = shim.bs_getservbyname(name, protocol === undefined ? null : text(protocol, "protocol"));
  if (r < 0) throw unknown("getservbyname", "no such service", service);
  return r;
}

/**
 * The service of a port; see getservbyport(3), services(5).
 *
 * @param port - 0 to 65535.
 * @param protocol - `"tcp"` or `"udp"`; left out, the first that has it.
 * @throws OSError (ENOENT) where the system knows none.
 *
 * @example
 * ```ts
 * import { getservbyport } from "berkeley-sockets";
 * console.log(getservbyport(80, "tcp")); // http
 * ```
 */
export function getservbyport(port: number, protocol?: string): string {
  const number = integer(port, "port", 0, 65535);
  const name = protocol === undefined ? null : text(protocol, "protocol");
  const answer = listed((o) => shim.bs_getservbyport(number, name, o, o));
  if (typeof answer === "number") throw unknown("getservbyport", "no such service", port);
  return answer.toString();
}
