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

/** The shim's functions that ask name servers, by the numbers that bs_resolve has for them. */
export const GETADDRINFO = 0;
export const GETNAMEINFO = 1;
export const GETHOSTBYNAME = 2;
export const GETHOSTBYADDR = 3;

/** A question to the resolver. What its function does not take is left out. */
export interface Question {
  readonly kind: number;
  /** A host's name, or a packed name. */
  readonly name: string | Uint8Array | null;
  readonly service?: string | null;
  readonly family?: number;
  readonly type?: number;
  readonly proto?: number;
  readonly flags?: number;
}

/** What asks questions as it goes on. The same steps wait for the answers here, or have them come by promises. */
export type Steps<Result> = Generator<Question, Result, Buffer | number>;

/** Goes through the steps, and waits for each answer. */
export function waitFor<Result>(steps: Steps<Result>): Result {
  for (let step = steps.next(); ; step = steps.next(ask(step.value))) if (step.done) return step.value;
}

function ask({ kind, name, service = null, family = 0, type = 0, proto = 0, flags = 0 }: Question): Buffer | number {
  return listed((o) => {
    if (typeof name === "string" || name === null) {
      if (kind === GETHOSTBYNAME) return shim.bs_gethostbyname(name, o, o, failure);
      return shim.bs_getaddrinfo(name, service, family, type, proto, flags, o, o, failure);
    }
    if (kind === GETNAMEINFO) return shim.bs_getnameinfo(name, name.length, flags, o, o, failure);
    return shim.bs_gethostbyaddr(name, name.length, family, o, o, failure);
  });
}

/** {@link lookUp}, waited for. */
export function lookup(...args: Parameters<typeof lookUp>): PackedAddressInfo[] {
  return waitFor(lookUp(...args));
}

/** getaddrinfo(3). `address` is what an error speaks of. */
export function* lookUp(
  host: string | null,
  service: string | null,
  family: number,
  type: number,
  proto: number,
  flags: number,
  address: unknown,
): Steps<PackedAddressInfo[]> {
  const list = yield { kind: GETADDRINFO, name: host, service, family, type, proto, flags };
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
export function* reverse(name: Uint8Array, flags: number, address: unknown): Steps<[string, string]> {
  const list = yield { kind: GETNAMEINFO, name, flags };
  if (typeof list === "number") throw resolverError("getnameinfo", list, failure[0]!, address);
  const [host = "", service = ""] = list.toString("utf8").split("\0");
  return [host, service];
}
