/**
 * The one validator of arguments: TypeError for a wrong type, RangeError for a wrong value, before any system call, with
 * the argument's name and what it got.
 */

export const INT_MIN = -0x8000_0000;
export const INT_MAX = 0x7fff_ffff;
export const UINT_MAX = 0xffff_ffff;

/** Anything whose bytes can be sent. A `string` is taken as UTF-8. */
export type BytesLike = string | NodeJS.ArrayBufferView | ArrayBufferLike;

/** What an argument was, short enough for a message. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return typeof value === "function" ? "a function" : String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return `a ${Object.getPrototypeOf(value)?.constructor?.name ?? "bare object"}`;
}

/** A TypeError that names the argument, what it should be, and what it is. */
export function wrongType(name: string, expected: string, value: unknown): TypeError {
  const hint = value === undefined ? " (a constant that this platform lacks is undefined)" : "";
  return new TypeError(`${name}: expected ${expected}, got ${shown(value)}${hint}`);
}

/** A RangeError that names the argument, what it should be, and what it is. */
export function wrongValue(name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`${name}: expected ${expected}, got ${shown(value)}`);
}

/** An integer from `min` to `max`. */
export function integer(value: unknown, name: string, min = INT_MIN, max = INT_MAX): number {
  if (!Number.isInteger(value)) throw wrongType(name, "an integer", value);
  if ((value as number) < min || (value as number) > max) {
    throw wrongValue(name, `an integer from ${min} to ${max}`, value);
  }
  return value as number;
}

/** Flags are bits of a C int: those above bit 30 may be given as a negative or as an unsigned number. */
export function bits(value: unknown, name: string): number {
  return integer(value, name, INT_MIN, UINT_MAX) | 0;
}

/** A descriptor of the process. */
export function descriptor(value: unknown, name: string): number {
  return integer(value, name, 0);
}

/** A string without NUL, which no name of the system can hold. */
export function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw wrongType(name, "a string", value);
  if (value.includes("\0")) throw wrongValue(name, "a string without NUL", value);
  return value;
}

/** A boolean. */
export function flag(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw wrongType(name, "a boolean", value);
  return value;
}

/** An options object: what a caller gives by name. Unknown names are mistakes, and said to be. */
export function options<Names extends string>(
  value: unknown,
  name: string,
  names: readonly Names[],
): { [N in Names]?: unknown } {
  if (value === undefined) return {};
  if (value === null || typeof value !== "object" || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw wrongType(name, "an object of options", value);
  }
  for (const key of Object.keys(value)) {
    if (!(names as readonly string[]).includes(key)) {
      throw new TypeError(`${name}: there is no option ${JSON.stringify(key)} (there are ${names.join(", ")})`);
    }
  }
  return value;
}

/** The longest timeout, in seconds: what fits 63 bits of nanoseconds. */
const TIMEOUT_MAX = 9223372036;

/** A timeout in seconds, or null for none. */
export function seconds(value: unknown, name: string): number | null {
  if (value === null) return null;
  if (typeof value !== "number") throw wrongType(name, "a number of seconds or null", value);
  if (!(value >= 0 && value <= TIMEOUT_MAX)) {
    throw wrongValue(name, `a number of seconds from 0 to ${TIMEOUT_MAX}`, value);
  }
  return value;
}

/** A view that still has its memory. Those of length 0 are rare, and the only ones that may have lost it. */
function viewOf(view: NodeJS.ArrayBufferView, name: string): NodeJS.ArrayBufferView {
  try {
    // A DataView throws by itself; a typed array says 0, and throws only where its methods are used.
    if (view.byteLength === 0 && !(view instanceof DataView)) Uint8Array.prototype.indexOf.call(view as Uint8Array, 0);
  } catch {
    throw new TypeError(`${name}: its ArrayBuffer is detached, or has shrunk below it`);
  }
  return view;
}

/** The bytes of an argument, without a copy unless it is a string. */
export function bytes(value: unknown, name: string): NodeJS.ArrayBufferView {
  if (ArrayBuffer.isView(value)) return viewOf(value as NodeJS.ArrayBufferView, name);
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof ArrayBuffer) {
    if (value.detached) throw new TypeError(`${name}: the ArrayBuffer is detached`);
    return new Uint8Array(value);
  }
  if (value instanceof SharedArrayBuffer) return new Uint8Array(value);
  throw wrongType(name, "a string, an ArrayBufferView or an ArrayBuffer", value);
}

/** A view that can be written to. */
export function writable(value: unknown, name: string): NodeJS.ArrayBufferView {
  if (!ArrayBuffer.isView(value)) throw wrongType(name, "an ArrayBufferView", value);
  return viewOf(value as NodeJS.ArrayBufferView, name);
}
