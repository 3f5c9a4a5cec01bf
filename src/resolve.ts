/**
 * The system's resolver, as the address families need it: names in, packed names (`sockaddr`) out.
 */
import { text, wrongValue } from "./args.ts";
import { resolverError } from "./errors.ts";
import { shim } from "./native.ts";

/** One answer of getaddrinfo(3), its name still packed. */
export interface PackedAddressInfo {
  family: number;
  type: number;
  proto: number;
  canonname: string;
  /** The `sockaddr`. */
  name: Uint8Array;
}

/** The resolver's own number of the last failure. */
export const failure = new Int32Array(1);

/** Answers are a few hundred bytes as a rule; a list that does not fit says how much it needs. */
let out = Buffer.alloc(16384);

/** Calls `ask` until its answer fits in {@link out}. */
export function listed(ask: (out: Buffer) => number): Buffer | number {
  for (;;) {
    const needed = ask(out);
    if (needed < 0) return needed;
    if (needed <= out.length) return out.subarray(0, needed);
    out = Buffer.alloc(needed * 2);
  }
}

/**
 * What `domainToASCII` would read as parts of an URL (`é/x` is the host `é` to it), or drop, or decode.
 */
const noHost = /[\x00-\x7f](?<![-.\w])/;

/** Not imported at the top: to load `node:url` costs more than the rest of this library, and few names need it. */
function toASCII(name: string): string {
  return process.getBuiltinModule("node:url").domainToASCII(name);
}

/**
 * A host's name as the resolver takes it: names that are not ASCII by IDNA (RFC 5891).
 *
 * @throws RangeError for a NUL, an empty label or one above 63 characters.
 */
export function hostName(host: unknown, name: string): string {
  const given = text(host, name);
  const ascii = /^[\x01-\x7f]*$/.test(given) ? given : noHost.test(given) ? "" : toASCII(given);
  if (ascii === "" && given !== "") throw wrongValue(name, "a host's name", host);
  const labels = ascii.split(".");
  const last = labels.pop() ?? "";
  if (last.length > 63 || labels.some((label) => label.length === 0 || label.length > 63)) {
    throw wrongValue(name, "a host's name with labels of 1 to 63 characters", host);
  }
  return ascii;
}

/** getaddrinfo(3). `syscall` and `address` are what an error speaks of. */
export function lookup(
  host: string | null,
  service: string | null,
  family: number,
  type: number,
  proto: number,
  flags: number,
  address: unknown,
): PackedAddressInfo[] {
  const list = listed((o) => shim.bs_getaddrinfo(host, service, family, type, proto, flags, o, o, failure));
  if (typeof list === "number") throw resolverError("getaddrinfo", list, failure[0]!, address);
  const found: PackedAddressInfo[] = [];
  for (let at = 0; at + 20 <= list.length;) {
    const nameLength = list.readInt32LE(at + 12);
    const canonicalLength = list.readInt32LE(at + 16);
    const nameAt = at + 20;
    const canonicalAt = nameAt + ((nameLength + 3) & ~3);
    found.push({
      family: list.readInt32LE(at),
      type: list.readInt32LE(at + 4),
      proto: list.readInt32LE(at + 8),
      canonname: list.toString("utf8", canonicalAt, canonicalAt + canonicalLength),
      name: Uint8Array.prototype.slice.call(list, nameAt, nameAt + nameLength),
    });
    at = canonicalAt + ((canonicalLength + 3) & ~3);
  }
  return found;
}

/** getnameinfo(3) of a packed name. */
export function reverse(name: Uint8Array, length: number, flags: number, address: unknown): [string, string] {
  const list = listed((o) => shim.bs_getnameinfo(name, length, flags, o, o, failure));
  if (typeof list === "number") throw resolverError("getnameinfo", list, failure[0]!, address);
  const [host = "", service = ""] = list.toString("utf8").split("\0");
  return [host, service];
}
