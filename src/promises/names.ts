/**
 * The resolver's calls without blocking: a thread of the shim asks for each, and the event loop goes on.
 */
import { options } from "../args.ts";
import { AI_NUMERICHOST } from "../constants.ts";
import type { InetAddress } from "../families/inet.ts";
import type { Inet6AddressLike } from "../families/inet6.ts";
import { type AddressInfoEntry, type HostEntry, type LookupOptions, steps } from "../names.ts";
import { shim } from "../native.ts";
import { failure, GETADDRINFO, listed, type Question, type Steps } from "../resolve.ts";
import { keeping, pollerPointer, signalOf, whenReady } from "./waits.ts";

/** How a wait can be ended before its time. */
export interface WaitOptions {
  /**
   * Ends the wait: the promise is rejected with the signal's reason, and nothing was done. (Of what goes on for long, such
   * as `sendall` and `connect`, a part may have been; see there.)
   */
  signal?: AbortSignal;
}

/**
 * How many threads ask at the same time; more questions wait for them. One that was given up holds its thread still: the
 * system's resolver cannot be stopped.
 */
const THREADS_MAX = 16;

interface Asked {
  readonly question: Question;
  readonly answered: (answer: Buffer | number | Error) => void;
  /** Nobody wants the answer any more. */
  givenUp: boolean;
}

const line = new Set<Asked>();
let threads = 0;

/** The answer to what is a number already, for which nobody need be asked; `undefined` for all else. */
function numeric({
  kind,
  name,
  service = null,
  family = 0,
  type = 0,
  proto = 0,
  flags = 0,
}: Question): Buffer | undefined {
  if (kind !== GETADDRINFO || !(name === null || (typeof name === "string" && /^[\d.]+$|:/.test(name))))
    return undefined;
  if (service !== null && !/^\d+$/.test(service)) return undefined;
  const all = flags | AI_NUMERICHOST;
  const answer = listed((o) => shim.bs_getaddrinfo(name, service, family, type, proto, all, o, o, failure));
  return typeof answer === "number" ? undefined : answer;
}

function ask(asked: Asked): void {
  const answer = numeric(asked.question);
  if (answer !== undefined) {
    asked.answered(answer);
    return;
  }
  if (threads === THREADS_MAX) {
    line.add(asked);
    return;
  }
  const { kind, name, service = null, family = 0, type = 0, proto = 0, flags = 0 } = asked.question;
  const bytes = name === null ? noName : typeof name === "string" ? Buffer.from(name) : name;
  const length = name === null ? -1 : bytes.length;
  threads++;
  try {
    const id = whenReady(
      (pointer, number) => shim.bs_resolve(pointer, number, kind, bytes, length, service, family, type, proto, flags),
      () => {
        threads--;
        const answer = listed((o) => shim.bs_resolved(pollerPointer(), id, o, o, failure));
        if (!asked.givenUp) asked.answered(answer);
        next();
      },
    );
  } catch (error) {
    threads--;
    asked.answered(error as Error);
  }
}

const noName = new Uint8Array(0);

function next(): void {
  for (const asked of line) {
    if (threads === THREADS_MAX) return;
    line.delete(asked);
    ask(asked);
  }
}

/** Goes through the steps as the answers come. `keeps`: whether that keeps the process alive. */
export function follow<Result>(steps: Steps<Result>, signal?: AbortSignal, keeps = true): Promise<Result> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    let current: Asked | undefined;
    const end = (): void => {
      if (current === undefined) return;
      current.givenUp = true;
      line.delete(current);
      signal?.removeEventListener("abort", abort);
      if (keeps) keeping.release();
    };
    const abort = (): void => {
      end();
      reject(signal!.reason);
    };
    const go = (answer?: Buffer | number | Error): void => {
      try {
        const step =
          answer === undefined ? steps.next() : answer instanceof Error ? steps.throw(answer) : steps.next(answer);
        if (step.done) {
          end();
          resolve(step.value);
          return;
        }
        if (current === undefined) {
          if (keeps) keeping.keep();
          signal?.addEventListener("abort", abort);
        }
        current = { question: step.value, answered: go, givenUp: false };
        ask(current);
      } catch (error) {
        end();
        reject(error);
      }
    };
    go();
  });
}

/** Takes the options of a wait off the end of the arguments. */
function split(args: unknown[], at: number): AbortSignal | undefined {
  if (args.length <= at) return undefined;
  return signalOf(options(args.pop(), "options", ["signal"]).signal, "options.signal");
}

/**
 * The addresses of a host and a service, without blocking; see the root's `getaddrinfo` and getaddrinfo(3).
 *
 * @param host - A name, a number, or `null`.
 * @param port - A number, a service's name, or `null`.
 * @param options - `family`, `type`, `proto`, `flags`, and `signal`. Ended by it, the question is given up: the system goes
 *   on with it for itself.
 * @returns A list of `[family, type, proto, canonname, address]`.
 * @throws gaierror with one of the `EAI_*` numbers.
 *
 * @example
 * ```ts
 * import { getaddrinfo, SOCK_STREAM } from "berkeley-sockets/promises";
 * const found = await getaddrinfo("127.0.0.1", 80, { type: SOCK_STREAM });
 * console.log(found[0]?.[4]); // [ "127.0.0.1", 80 ]
 * ```
 */
export function getaddrinfo(
  host: string | null,
  port: number | string | null,
  family?: number,
  type?: number,
  proto?: number,
  flags?: number,
  options?: WaitOptions,
): Promise<AddressInfoEntry[]>;
export function getaddrinfo(
  host: string | null,
  port: number | string | null,
  options: LookupOptions & WaitOptions,
): Promise<AddressInfoEntry[]>;
export async function getaddrinfo(host: unknown, port: unknown, ...rest: unknown[]): Promise<AddressInfoEntry[]> {
  let signal: AbortSignal | undefined;
  if (rest.length === 1 && typeof rest[0] === "object" && rest[0] !== null && "signal" in rest[0]) {
    const { signal: given, ...narrowing } = rest[0];
    signal = signalOf(given, "options.signal");
    rest = [narrowing];
  } else {
    signal = split(rest, 4);
  }
  return follow(steps.getaddrinfo(host, port, ...rest), signal);
}

/**
 * The name of an address's host and service, without blocking; see the root's `getnameinfo` and getnameinfo(3).
 *
 * @param address - `[host, port]` or `[host, port, flowinfo, scopeId]`; the host must be a number.
 * @param flags - `NI_*`.
 * @returns The host and the service.
 * @throws gaierror; OSError where the address has too many fields for its family.
 *
 * @example
 * ```ts
 * import { getnameinfo, NI_NUMERICHOST, NI_NUMERICSERV } from "berkeley-sockets/promises";
 * console.log(await getnameinfo(["127.0.0.1", 80], NI_NUMERICHOST | NI_NUMERICSERV)); // [ "127.0.0.1", "80" ]
 * ```
 */
export async function getnameinfo(
  address: InetAddress | Inet6AddressLike,
  flags: number,
  options?: WaitOptions,
): Promise<[host: string, service: string]>;
export async function getnameinfo(...args: unknown[]): Promise<[host: string, service: string]> {
  const signal = split(args, 2);
  return follow(steps.getnameinfo(args[0], args[1]), signal);
}

/**
 * The full name of a host, without blocking; see the root's `getfqdn`.
 *
 * @param name - A name or number; left out, empty, `"0.0.0.0"` or `"::"`, this machine.
 * @returns The full name; `name` itself where there is none.
 *
 * @example
 * ```ts
 * import { getfqdn } from "berkeley-sockets/promises";
 * console.log((await getfqdn()).length > 0); // true
 * ```
 */
export async function getfqdn(name?: string, options?: WaitOptions): Promise<string>;
export async function getfqdn(...args: unknown[]): Promise<string> {
  const signal = split(args, 1);
  return follow(steps.getfqdn(args[0]), signal);
}

/**
 * A host's IPv4 address, without blocking; see the root's `gethostbyname` and gethostbyname(3).
 *
 * @param host - A name; a number is returned as it is.
 * @throws gaierror where the name has no address.
 *
 * @example
 * ```ts
 * import { gethostbyname } from "berkeley-sockets/promises";
 * console.log(await gethostbyname("localhost")); // 127.0.0.1
 * ```
 */
export async function gethostbyname(host: string, options?: WaitOptions): Promise<string>;
export async function gethostbyname(...args: unknown[]): Promise<string> {
  const signal = split(args, 1);
  return follow(steps.gethostbyname(args[0]), signal);
}

/**
 * A host's official name, its other names, its IPv4 addresses, without blocking; see the root's `gethostbyname_ex`.
 *
 * @throws herror with an `h_errno`; gaierror where the name does not resolve at all.
 *
 * @example
 * ```ts
 * import { gethostbyname_ex } from "berkeley-sockets/promises";
 * console.log((await gethostbyname_ex("127.0.0.1"))[2]); // [ "127.0.0.1" ]
 * ```
 */
export async function gethostbyname_ex(host: string, options?: WaitOptions): Promise<HostEntry>;
export async function gethostbyname_ex(...args: unknown[]): Promise<HostEntry> {
  const signal = split(args, 1);
  return follow(steps.gethostbyname_ex(args[0]), signal);
}

/**
 * The names of the host that has an address, without blocking; see the root's `gethostbyaddr` and gethostbyaddr(3).
 *
 * @param address - An IPv4 or IPv6 address, or a name that is resolved to one.
 * @throws herror with an `h_errno`: no name is known. gaierror: no address is.
 *
 * @example
 * ```ts
 * import { gethostbyaddr } from "berkeley-sockets/promises";
 * console.log((await gethostbyaddr("127.0.0.1"))[2]); // [ "127.0.0.1" ]
 * ```
 */
export async function gethostbyaddr(address: string, options?: WaitOptions): Promise<HostEntry>;
export async function gethostbyaddr(...args: unknown[]): Promise<HostEntry> {
  const signal = split(args, 1);
  return follow(steps.gethostbyaddr(args[0]), signal);
}
