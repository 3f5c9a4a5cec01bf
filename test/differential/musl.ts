/**
 * What musl does otherwise than glibc, which CPython runs on where these tests run: from the answer that glibc gave, the
 * one that musl gives. Each function here is one such difference; the comments say why it is none of ours.
 *
 * See musl's src/network and src/errno, and https://wiki.musl-libc.org/functional-differences-from-glibc.html.
 */
import { existsSync, readFileSync } from "node:fs";
import { domainToASCII } from "node:url";
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  AI_ADDRCONFIG,
  AI_ALL,
  AI_CANONNAME,
  AI_NUMERICHOST,
  AI_NUMERICSERV,
  AI_PASSIVE,
  AI_V4MAPPED,
  EAI_ADDRFAMILY,
  EAI_BADFLAGS,
  EAI_FAMILY,
  EAI_NODATA,
  EAI_NONAME,
  EAI_SERVICE,
  IPPROTO_TCP,
  IPPROTO_UDP,
  EINVAL,
  inet_aton,
  inet_ntoa,
  NI_NAMEREQD,
  NI_NUMERICHOST,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../../src/index.ts";
import { muslVersion } from "../help.ts";
import type { Call, Failure } from "./compare.ts";

type Address = [family: number, host: string, ...rest: number[]];
type Entry = [family: number, type: number, proto: number, canonname: string, address: [string, ...number[]]];
type Kind = [type: number, proto: number, port: number];

/** The texts of errors that musl puts in other words than glibc does. */
const texts: Record<string, string> = {
  // strerror
  "Address already in use": "Address in use",
  "Cannot assign requested address": "Address not available",
  "Message too long": "Message too large",
  "Network is unreachable": "Network unreachable",
  "Operation not supported": "Not supported",
  "Operation now in progress": "Operation in progress",
  "Transport endpoint is already connected": "Socket is connected",
  "Transport endpoint is not connected": "Socket not connected",
  // gai_strerror
  "Bad value for ai_flags": "Invalid flags",
  "Name or service not known": "Name does not resolve",
  "Servname not supported for ai_socktype": "Unrecognized service",
  "Temporary failure in name resolution": "Try again",
  "ai_family not supported": "Unrecognized address family or invalid length",
  "No address associated with hostname": "Name has no usable address",
  // hstrerror
  "Host name lookup failure": "Try again",
  "Unknown host": "Host not found",
  "Unknown server error": "Non-recoverable error",
  "No address associated with name": "Address not available",
};

const unknown: Failure = { error: "OSError" };
const gaierror = (errno: number, reason: string): Failure => ({ error: "gaierror", errno, reason });
const noName = gaierror(EAI_NONAME, "Name does not resolve");
const noService = gaierror(EAI_SERVICE, "Unrecognized service");
// Until 1.2.4 a name without an address of the family was no name at all, as was a number of another family.
const noAddress =
  Bun.semver.order(muslVersion ?? "0.0.0", "1.2.4") < 0 ? noName : gaierror(EAI_NODATA, "Name has no usable address");

const toAscii = (host: string): string => (/^[\x00-\x7f]*$/.test(host) ? host : domainToASCII(host));

/** The lines of one of the system's files, by words; none where it has no such file. */
function lines(path: string): string[][] {
  const all = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  return all.map((line) => line.replace(/#.*/, "").trim().split(/\s+/)).filter(([first]) => first !== "");
}

/**
 * The canonical name of a host: the first of its line in /etc/hosts, or what a server says. Of the names that the tests ask
 * servers for, one has another name.
 */
function canonicalNameOf(host: string): string {
  const line = lines("/etc/hosts").find(([, ...names]) => names.includes(host));
  return line?.[1] ?? (host === "alias.test" ? "one.test" : host.replace(/\.$/, ""));
}

interface Service {
  names: string[];
  port: number;
  protocol: string;
}

/** The services that musl sees: those of TCP and UDP. */
const services = lines("/etc/services").flatMap(([name = "", where = "", ...aliases]): Service[] => {
  const [port, protocol = ""] = where.split("/");
  return ["tcp", "udp"].includes(protocol) ? [{ names: [name, ...aliases], port: Number(port), protocol }] : [];
});

const tcp = [SOCK_STREAM, IPPROTO_TCP] as const;
const udp = [SOCK_DGRAM, IPPROTO_UDP] as const;

/** The kinds of sockets for a service: of TCP, of UDP, or both; another protocol counts only where the type is given. */
function kindsOf(port: string | null, type: number, proto: number, flags: number): Kind[] | Failure {
  if (type === SOCK_STREAM && proto !== 0 && proto !== IPPROTO_TCP) return noService;
  if (type === SOCK_DGRAM && proto !== 0 && proto !== IPPROTO_UDP) return noService;
  if (![0, SOCK_STREAM, SOCK_DGRAM].includes(type)) return port === null ? [[type, proto, 0]] : noService;
  const wanted = [tcp, udp].filter(([ofType, ofProto]) =>
    type === 0 ? proto === ofProto || (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) : type === ofType,
  );
  if (port === "") return noService;
  if (/^\s*-\d+$/.test(port ?? "")) return noService;
  if (port === null || /^\s*\+?\d+$/.test(port)) return wanted.map((kind) => [...kind, Number(port) & 0xffff]);
  if ((flags & AI_NUMERICSERV) !== 0) return noName;
  const found = services
    .filter(({ names }) => names.includes(port))
    .map(({ protocol, port: number }): Kind => [...(protocol === "tcp" ? tcp : udp), number])
    .filter(([ofType]) => wanted.some(([wantedType]) => wantedType === ofType));
  return found.length === 0 ? noService : found;
}

/** The addresses of a host, as numbers, in the order of musl; null where it is not known without asking. */
function numbersOf(host: string | null, flags: number): Address[] | null {
  const passive = (flags & AI_PASSIVE) !== 0;
  if (host === null)
    return passive
      ? [
          [AF_INET, "0.0.0.0"],
          [AF_INET6, "::", 0, 0],
        ]
      : [
          [AF_INET6, "::1", 0, 0],
          [AF_INET, "127.0.0.1"],
        ];
  if (/^\d+(\.\d+){3}$/.test(host)) return [[AF_INET, host]];
  return host.includes(":") ? [[AF_INET6, host, 0, 0]] : null;
}

function addressesOf(host: string | null, family: number, flags: number, glibc: unknown): Address[] | Failure {
  // glibc takes the IPv4 address out of a mapped one, lets anything follow a number and a
  // space, and `*` is no host to it.
  if (host !== null && /^::ffff:\d/.test(host) && family === AF_INET) return noAddress;
  if (host === "*" || /^[\d.]+\s/.test(host ?? "")) return noName;
  if (Array.isArray(glibc)) {
    const found = (glibc as Entry[]).map(([of, , , , [name, , ...rest]]): Address => [of, name, ...(rest as number[])]);
    const all = found.filter((one, i) => found.findIndex((other) => Bun.deepEquals(one, other)) === i);
    // Unique local addresses come last (RFC 6724); glibc's order is that of RFC 3484, which knows none.
    const isLocal = ([, name]: Address): boolean => name.startsWith("fd");
    return [...all.filter((one) => !isLocal(one)), ...all.filter(isLocal)];
  }
  const { errno } = glibc as Failure;
  if (errno === EAI_ADDRFAMILY || errno === EAI_NODATA) return noAddress;
  const all = numbersOf(host, flags);
  if (all === null || errno === EAI_NONAME) return glibc as Failure;
  // glibc did not come so far as to look at the host.
  const found = all.filter(([of]) => family === AF_UNSPEC || of === family);
  return found.length > 0 ? found : noAddress;
}

function getaddrinfo(args: readonly unknown[], glibc: unknown): unknown {
  const named = args.at(-1);
  const byName = typeof named === "object" && named !== null && !Array.isArray(named);
  const given = byName ? (named as Record<string, number>) : {};
  const [host, port, family = 0, type = 0, proto = 0, flags = 0] = (
    byName ? [args[0], args[1], given["family"], given["type"], given["proto"], given["flags"]] : args
  ) as [string | null, string | number | null, number?, number?, number?, number?];
  if (host === null && port === null) return noName;
  const known = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG | AI_NUMERICSERV;
  if ((flags & ~known) !== 0) return gaierror(EAI_BADFLAGS, "Invalid flags");
  if (family !== AF_UNSPEC && family !== AF_INET && family !== AF_INET6) {
    return gaierror(EAI_FAMILY, "Unrecognized address family or invalid length");
  }
  const kinds = kindsOf(port === null ? null : String(port), type, proto, flags);
  if ("error" in kinds) return kinds;
  const ascii = host === null ? null : toAscii(host);
  const addresses = addressesOf(ascii, family, flags, glibc);
  if ("error" in addresses) return addresses;
  // Every answer has the canonical name, asked for or not.
  const canonical = ascii === null ? "" : (flags & AI_NUMERICHOST) !== 0 ? ascii : canonicalNameOf(ascii);
  return addresses.flatMap(([of, name, ...rest]) =>
    kinds.map(([kind, protocol, number]): Entry => [of, kind, protocol, canonical, [name, number, ...rest]]),
  );
}

/** The aliases are the name, and what was asked for. Every number that inet_aton takes is a host. */
function gethostbynameEx([asked]: readonly unknown[], glibc: unknown): unknown {
  const host = toAscii(asked as string);
  if (Array.isArray(glibc)) {
    const [name, , addresses] = glibc as [string, string[], string[]];
    return [name, name === host ? [name] : [name, host], [...new Set(addresses)]];
  }
  if (host === "") return { error: "herror", errno: 1, reason: "Host not found" };
  return host.startsWith("0x") ? [host, [host], [inet_ntoa(inet_aton(host))]] : ofAddress([], glibc);
}

/** The alias is the name. The name of an address that has none is its number. */
function gethostbyaddr([asked]: readonly unknown[], glibc: unknown): unknown {
  if (Array.isArray(glibc)) {
    const [name, , addresses] = glibc as [string, string[], string[]];
    return [name, [name], addresses];
  }
  if ((glibc as Failure).error !== "herror") return ofAddress([], glibc);
  const host = asked === "<broadcast>" ? "255.255.255.255" : (asked as string);
  const number = host.includes(":") ? host : inet_ntoa(inet_aton(host));
  return [number, [number], [number]];
}

/** Of the longest runs of zeros, which are measured in letters, the one that is shortened; IPv4 only where it is mapped. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  const mapped = bytes.toString("hex", 0, 12) === "00000000000000000000ffff";
  const text = mapped ? `${groups.slice(0, 6).join(":")}:${bytes.subarray(12).join(".")}` : groups.join(":");
  const runs = [...text.matchAll(/(?:^(?=0)|:)[:0]{2,}/g)];
  let best = "";
  let at = 0;
  for (const { 0: run, index } of runs) if (run.length > Math.max(best.length, 3)) [best, at] = [run, index];
  return best === "" ? text : `${text.slice(0, at)}::${text.slice(at + best.length)}`;
}

/** Unknown flags count for nothing. */
function getnameinfo([address, flags]: readonly unknown[], glibc: unknown): unknown {
  if ((glibc as Failure).errno !== EAI_BADFLAGS) return glibc;
  if (((flags as number) & (NI_NAMEREQD | NI_NUMERICHOST)) === (NI_NAMEREQD | NI_NUMERICHOST)) return noName;
  const [host, port] = address as [string, number];
  const name = lines("/etc/hosts").find(([first]) => first === host)?.[1] ?? host;
  return [name, services.find((service) => service.port === port && service.protocol === "tcp")?.names[0] ?? ""];
}

/** TCP's services and UDP's; the names of their file, not numbers. */
function getservbyname([name, protocol]: readonly unknown[], glibc: unknown): unknown {
  if (typeof glibc !== "number") return glibc;
  const fits = (one: Service) =>
    one.names.includes(name as string) && (protocol === undefined || one.protocol === protocol);
  return services.find(fits)?.port ?? unknown;
}

/** A name of more than 15 letters has no room, see RFC 6335 section 5.1. */
function getservbyport([port, protocol]: readonly unknown[], glibc: unknown): unknown {
  if (typeof glibc !== "string") return glibc;
  const found = (protocol === undefined ? ["tcp", "udp"] : [protocol]).flatMap((wanted) => {
    const name = services.find((one) => one.port === port && one.protocol === wanted)?.names[0];
    return name !== undefined && name.length <= 15 ? [name] : [];
  });
  return found[0] ?? unknown;
}

/** Protocols are compiled in, by one name each. */
const protocols = new Set(
  `ip icmp igmp ggp ipencap st tcp egp pup udp hmp xns-idp rdp iso-tp4 xtp ddp idpr-cmtp ipv6 ipv6-route ipv6-frag idrp rsvp
  gre esp ah skip ipv6-icmp ipv6-nonxt ipv6-opts rspf vmtp ospf ipip encap pim raw`.split(/\s+/),
);

function getprotobyname([name]: readonly unknown[], glibc: unknown): unknown {
  return typeof glibc === "number" && !protocols.has(name as string) ? unknown : glibc;
}

/** What is wrong with a host's name, where glibc says more. */
function ofAddress(_: readonly unknown[], glibc: unknown): unknown {
  const { errno } = (glibc ?? {}) as Partial<Failure>;
  return errno === EAI_ADDRFAMILY || errno === EAI_NODATA ? noAddress : glibc;
}

const functions: Record<string, (args: readonly unknown[], glibc: unknown) => unknown> = {
  getaddrinfo,
  getnameinfo,
  getservbyname,
  getservbyport,
  getprotobyname,
  gethostbyname_ex: gethostbynameEx,
  gethostbyaddr,
  // glibc lets anything follow an address and a space.
  inet_aton: ([text], glibc) =>
    /\s/.test(String(text)) ? { error: "OSError", errno: EINVAL, reason: "illegal IP address string" } : glibc,
  inet_ntop: ([, bytes], glibc) =>
    typeof glibc === "string" && glibc.includes(":") ? ipv6Text(bytes as Buffer) : glibc,
};

/** What musl answers to a call where glibc gave this answer. */
export function onMusl([what, ...args]: Call, glibc: unknown): unknown {
  const { error } = (glibc ?? {}) as Partial<Failure>;
  if (error === "TypeError" || error === "RangeError") return glibc; // no C library was asked
  const differs = functions[what.replace(/^.*[ .]/, "")] ?? ofAddress;
  const answer = differs(args, glibc);
  const { reason } = (answer ?? {}) as Partial<Failure>;
  const text = texts[reason?.split(" (while ")[0] ?? ""];
  return text === undefined ? answer : { ...(answer as Failure), reason: text };
}
