/**
 * The one validator of arguments: TypeError for a wrong type, RangeError for a wrong value, before any system call, with
 * the argument's name and what it got.
 */
import { isAnyArrayBuffer, isTypedArray } from "node:util/types";

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
  try {
    if (Array.isArray(value)) return `an array of ${value.length}`;
    return `a ${Object.getPrototypeOf(value)?.constructor?.name ?? "bare object"}`;
  } catch {
    return "an object that does not tell"; // a Proxy or a getter that throws shall not hide what was wrong
  }
}

/** A TypeError that names the argument, what it should be, and what it is. */
export function wrongType(name: string, expected: string, value: unknown): TypeError {
  const hint =
    value === undefined ? ` (a constant that this platform lacks is undefined; this is ${process.platform})` : "";
  return new TypeError(`${name}: expected ${expected}, got ${shown(value)}${hint}`);
}

/** A RangeError that names the argument, what it should be, and what it is. */
export function wrongValue(name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`${name}: expected ${expected}, got ${shown(value)}`);
}

/**
 * A TypeError for a call that the running platform lacks.
 *
 * @param where - Where it is to be had: `"on Windows only"`.
 */
export function lacking(call: string, where: string): TypeError {
  return new TypeError(`${call}: ${process.platform} has no such call; it exists ${where}`);
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

/** A string without NUL, which no name of the system can hold, and without halves of surrogate pairs, which have no UTF-8. */
export function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw wrongType(name, "a string", value);
  if (value.includes("\0")) throw wrongValue(name, "a string without NUL", value);
  if (!value.isWellFormed()) throw wrongValue(name, "text without halves of surrogates", value);
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
  return value + 0; // -0 is 0
}

// The engine's own getters: those of a caller's subclass could lie, and run code in the middle of a call.
const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const own = (prototype: object, name: string) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: ArrayBufferView) => unknown;
const typedLength = own(typedArrayPrototype, "byteLength") as (this: ArrayBufferView) => number;
const typedOffset = own(typedArrayPrototype, "byteOffset") as (this: ArrayBufferView) => number;
const typedBuffer = own(typedArrayPrototype, "buffer") as (this: ArrayBufferView) => ArrayBufferLike;
const dataLength = own(DataView.prototype, "byteLength") as (this: ArrayBufferView) => number;
const dataOffset = own(DataView.prototype, "byteOffset") as (this: ArrayBufferView) => number;
const dataBuffer = own(DataView.prototype, "buffer") as (this: ArrayBufferView) => ArrayBufferLike;
const { indexOf } = Uint8Array.prototype;

/** A view's memory, whatever its class says. */
export function bufferOf(view: NodeJS.ArrayBufferView): ArrayBufferLike {
  return isTypedArray(view) ? typedBuffer.call(view) : dataBuffer.call(view);
}

/** How many bytes a view has, whatever its class says. */
export function byteLengthOf(view: NodeJS.ArrayBufferView): number {
  return isTypedArray(view) ? typedLength.call(view) : dataLength.call(view);
}

/** A view's bytes, as a `Uint8Array` on the same memory. */
export function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  return isTypedArray(view)
    ? new Uint8Array(typedBuffer.call(view), typedOffset.call(view), typedLength.call(view))
    : new Uint8Array(dataBuffer.call(view), dataOffset.call(view), dataLength.call(view));
}

/** A view that still has its memory. Runs no code of the caller's. */
export function present<View extends NodeJS.ArrayBufferView>(view: View, name: string): View {
  try {
    // A DataView throws by itself; a typed array says 0, and throws only where its methods are used.
    if (byteLengthOf(view) === 0 && isTypedArray(view)) indexOf.call(view as Uint8Array, 0);
  } catch {
    throw new TypeError(`${name}: its ArrayBuffer is detached, or has shrunk below it`);
  }
  return view;
}

/** The bytes of an argument, without a copy unless it is a string. Runs no code of the caller's. */
export function bytes(value: unknown, name: string): NodeJS.ArrayBufferView {
  if (ArrayBuffer.isView(value)) return present(value as NodeJS.ArrayBufferView, name);
  if (typeof value === "string") return Buffer.from(value);
  if (!isAnyArrayBuffer(value)) throw wrongType(name, "a string, an ArrayBufferView or an ArrayBuffer", value);
  try {
    return new Uint8Array(value);
  } catch {
    throw new TypeError(`${name}: the ArrayBuffer is detached`);
  }
}

/** A view that can be written to. */
export function writable(value: unknown, name: string): NodeJS.ArrayBufferView {
  if (!ArrayBuffer.isView(value)) throw wrongType(name, "an ArrayBufferView", value);
  return present(value as NodeJS.ArrayBufferView, name);
}

/** The bytes of an element of a list: {@link bytes}, its name made only where it is needed. */
export function bytesAt(value: unknown, list: string, index: number): NodeJS.ArrayBufferView {
  return isTypedArray(value) && typedLength.call(value) > 0 ? value : bytes(value, `${list}[${index}]`);
}
