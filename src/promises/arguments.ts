/**
 * The arguments of calls that wait: how to wait, which is told at their end, and what their flags and addresses say of it.
 */
import { integer, options } from "../args.ts";
import { AF_INET, AF_INET6, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_OOB } from "../constants.ts";
import { isNumber } from "../families/inet.ts";
import { isNumber as isNumber6 } from "../families/inet6.ts";
import { FAILED, READABLE, URGENT } from "../native.ts";
import type { WaitOptions } from "./names.ts";
import { signalOf, type Wanted } from "./waits.ts";

/** What iterations of received data take by name. */
export interface ReceiveOptions extends WaitOptions {
  /** The most bytes to receive at once: 65536 by default. */
  size?: number;
}

/** What `lines` of a socket takes by name. */
export interface LineOptions extends WaitOptions {
  /** The most bytes that a line may have: 1 MiB by default. */
  limit?: number;
}

/** As many bytes as are received at once where nobody says how many. */
export const SIZE = 65536;
const LIMIT = 1 << 20;

/** Takes the options of a wait off the end of the arguments, which has `least` before it at least. */
export function takeSignal(args: unknown[], least: number): AbortSignal | undefined {
  const last = args.at(-1);
  if (args.length <= least) return undefined;
  if (typeof last !== "object" || last === null) return undefined;
  if (Array.isArray(last) || ArrayBuffer.isView(last) || last instanceof ArrayBuffer || Symbol.iterator in last) {
    return undefined;
  }
  args.pop();
  return optionsSignal(last as WaitOptions);
}

export function optionsSignal(given: WaitOptions | undefined): AbortSignal | undefined {
  return signalOf(options(given, "options", ["signal"]).signal, "options.signal");
}

export function receiveOptions(given: ReceiveOptions | undefined): { size: number; signal: AbortSignal | undefined } {
  const { signal, size } = options(given, "options", ["signal", "size"]);
  return {
    size: size === undefined ? SIZE : integer(size, "options.size", 1),
    signal: signalOf(signal, "options.signal"),
  };
}

export function lineOptions(given: LineOptions | undefined): { limit: number; signal: AbortSignal | undefined } {
  const { signal, limit } = options(given, "options", ["signal", "limit"]);
  return {
    signal: signalOf(signal, "options.signal"),
    limit: limit === undefined ? LIMIT : integer(limit, "options.limit", 1),
  };
}

/** What a call with such flags waits for. */
export function wantedBy(flags: number, wanted: Wanted): Wanted {
  if (wanted !== READABLE) return wanted;
  if (flags & MSG_OOB) return URGENT;
  return flags & (MSG_ERRQUEUE ?? 0) ? FAILED : READABLE;
}

/** How long a call with such flags may wait, of the time that it has. */
export function timeoutWith(flags: unknown, timeout: number | null): number | null {
  return typeof flags === "number" && flags & (MSG_DONTWAIT ?? 0) ? 0 : timeout;
}

/** An address as it is now: attempts come later, and run none of the caller's code. */
export function snapshot(address: unknown): unknown {
  return Array.isArray(address) ? [...(address as unknown[])] : address;
}

/** Whether an address of a family has a host that is no number, for which the resolver has to be asked. */
export function isNamed(family: number, address: unknown): boolean {
  if (family !== AF_INET && family !== AF_INET6) return false;
  const host: unknown = Array.isArray(address) ? address[0] : undefined;
  if (typeof host !== "string" || host === "" || host === "<broadcast>") return false;
  return family === AF_INET ? !isNumber(host) : !isNumber6(host);
}
