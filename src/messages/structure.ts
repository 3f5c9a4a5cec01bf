/**
 * Structures of C: the kinds of their members, and what lays members out as every compiler here does.
 */
import {
  type BytesLike,
  bits,
  bytes,
  bytesOf,
  flag,
  INT_MAX,
  INT_MIN,
  integer,
  text,
  UINT_MAX,
  wrongType,
  wrongValue,
} from "../args.ts";
import { AF_INET, AF_INET6 } from "../constants.ts";
import { hasLengthByte } from "../families/family.ts";
import { list } from "../message.ts";
import { shim } from "../native.ts";

/**
 * A structure of C, by its name there: between its bytes and an object of its members. These keep their C names, without
 * the prefix and in camelCase (`imr_multiaddr` is `multiaddr`).
 *
 * @typeParam Value - What its bytes are as an object.
 * @typeParam Given - What is taken to make bytes of: the same, where some members may be left out.
 */
export interface Structure<Value, Given = Value> {
  /** How many bytes it has on this platform: `sizeof`. The `buflen` to ask `getsockopt` for. */
  readonly size: number;

  /**
   * The bytes of a value.
   *
   * @throws TypeError, RangeError for a member that is not what it should be; the message names it.
   */
  encode(value: Given): Buffer;

  /**
   * The value of bytes. Those behind the structure's end are left aside.
   *
   * @throws RangeError where there are too few.
   */
  decode(data: BytesLike): Value;

  /** The bytes of several values, one behind the other: an array of C. */
  encodeAll(values: Iterable<Given>): Buffer;

  /**
   * The values of an array of C.
   *
   * @throws RangeError where there is a piece of one.
   */
  decodeAll(data: BytesLike): Value[];
}

/** A value where members may be left out. */
export type Optional<Value, Names extends keyof Value> = Omit<Value, Names> & Partial<Pick<Value, Names>>;

/** What a member is: its size, the multiple of bytes it begins at, and how it is read and written. */
export interface Kind<Value> {
  readonly size: number;
  readonly align: number;
  read(view: DataView, at: number): Value;
  /** @param name - What a message calls it. */
  write(view: DataView, at: number, value: unknown, name: string): void;
}

// Every machine that Bun runs on is little-endian.

function number(bits: 8 | 16 | 32, signed: boolean, littleEndian = true): Kind<number> {
  const type = `${signed ? "Int" : "Uint"}${bits}` as "Uint8" | "Uint16" | "Uint32" | "Int32";
  const [min, max] = signed ? [INT_MIN, INT_MAX] : [0, 2 ** bits - 1];
  return {
    size: bits / 8,
    align: bits / 8,
    read: (view, at) => view[`get${type}`](at, littleEndian),
    write: (view, at, value, name) => view[`set${type}`](at, integer(value, name, min, max), littleEndian),
  };
}

export const u8: Kind<number> = number(8, false);
export const u16: Kind<number> = number(16, false);
export const u32: Kind<number> = number(32, false);
export const i32: Kind<number> = number(32, true);
/** 32 bits that are no amount. JavaScript's operators make a number with the highest of them negative, which is taken too. */
export const bits32: Kind<number> = {
  ...u32,
  write: (view, at, value, name) => view.setUint32(at, bits(value, name), true),
};
/** In network byte order. */
export const be32: Kind<number> = number(32, false, false);

const U64_MAX = 2n ** 64n - 1n;

/** A counter of 64 bits. Above 2^53 it is rounded, to what a `number` holds; all bits set, no limit as a rule, stay so. */
export const counter: Kind<number> = {
  size: 8,
  align: 8,
  read: (view, at) => Number(view.getBigUint64(at, true)),
  write(view, at, value, name) {
    const exact = BigInt(integer(value, name, 0, 2 ** 64));
    view.setBigUint64(at, exact > U64_MAX ? U64_MAX : exact, true);
  },
};

/** A number of 64 bits that counts nothing: a name, every bit of which matters. */
export const u64: Kind<bigint> = {
  size: 8,
  align: 8,
  read: (view, at) => view.getBigUint64(at, true),
  write(view, at, value, name) {
    if (typeof value !== "bigint") throw wrongType(name, "a bigint", value);
    if (value < 0n || value > U64_MAX) throw wrongValue(name, "a bigint of 64 bits, not negative", value);
    view.setBigUint64(at, value, true);
  },
};

/** A number that says yes or no. */
export function truth(kind: Kind<number>): Kind<boolean> {
  return {
    size: kind.size,
    align: kind.align,
    read: (view, at) => kind.read(view, at) !== 0,
    write: (view, at, value, name) => kind.write(view, at, flag(value, name) ? 1 : 0, name),
  };
}

/** The bytes of a view, on the same memory. */
function part(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

/** `length` bytes as a view with methods for numbers, on the same memory. */
export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.length);
}

const written = Buffer.alloc(64);

function address(version: 4 | 6, size: number, align: number): Kind<string> {
  return {
    size,
    align,
    read(view, at) {
      const length = shim.bs_inet_ntop(version, part(view, at, size), written, written);
      return written.toString("latin1", 0, length);
    },
    write(view, at, value, name) {
      const address = new Uint8Array(size);
      if (shim.bs_inet_pton(version, text(value, name), address) !== 1) {
        throw wrongValue(name, `an IPv${version} address`, value);
      }
      part(view, at, size).set(address);
    },
  };
}

/** `struct in_addr`, as text. */
export const in4: Kind<string> = address(4, 4, 4);
/** `struct in6_addr`, as text. */
export const in6: Kind<string> = address(6, 16, 4);

/** `struct sockaddr_storage` of an Internet address without a port, as the address's text; `""` is one of no family. */
export const storage: Kind<string> = {
  size: 128,
  align: 8,
  read(view, at) {
    const family = hasLengthByte ? view.getUint8(at + 1) : view.getUint16(at, true);
    return family === AF_INET ? in4.read(view, at + 4) : family === AF_INET6 ? in6.read(view, at + 8) : "";
  },
  write(view, at, value, name) {
    const six = text(value, name).includes(":");
    if (six) in6.write(view, at + 8, value, name);
    else in4.write(view, at + 4, value, name);
    const family = six ? AF_INET6 : AF_INET;
    if (hasLengthByte) view.setUint16(at, (six ? 28 : 16) | (family << 8), true);
    else view.setUint16(at, family, true);
  },
};

/**
 * `struct timeval` as an amount of time in seconds. On 64-bit systems both members are of 64 bits, or the second is of 32
 * and has four bytes behind it: what is written here is the same.
 */
export const duration: Kind<number> = {
  size: 16,
  align: 8,
  read: (view, at) => Number(view.getBigInt64(at, true)) + view.getInt32(at + 8, true) / 1e6,
  write(view, at, value, name) {
    const microseconds = BigInt(parts(value, 1e6, name));
    view.setBigInt64(at, microseconds / 1_000_000n, true);
    view.setBigInt64(at + 8, microseconds % 1_000_000n, true);
  },
};

/** A number of seconds in parts of a second. What is not 0 does not become 0: that means for ever. */
export function parts(value: unknown, perSecond: number, name: string): number {
  if (typeof value !== "number") throw wrongType(name, "a number of seconds", value);
  if (!(value >= 0 && value <= UINT_MAX)) throw wrongValue(name, `a number of seconds from 0 to ${UINT_MAX}`, value);
  return Math.max(Math.round(value * perSecond), value > 0 ? 1 : 0);
}

/** Bytes that are left at zero. */
export function unused(size: number): Kind<never> {
  return { size, align: 1, read: () => undefined as never, write: () => {} };
}

/** An object with members of those names and no others. */
export function object(value: unknown, name: string, names: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw wrongType(name, "an object", value);
  }
  for (const key of Object.keys(value)) {
    if (!names.includes(key)) {
      throw new TypeError(`${name}: there is no member ${JSON.stringify(key)} (there are ${names.join(", ")})`);
    }
  }
  return value as Record<string, unknown>;
}

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** What every structure does with bytes, once it can be read and written in its place. */
export abstract class Layout<Value, Given> implements Structure<Value, Given>, Kind<Value> {
  abstract readonly size: number;
  abstract readonly align: number;
  /** How many bytes there have to be to decode. */
  abstract readonly least: number;
  /** What messages call a value: its C name. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  abstract read(view: DataView, at: number): Value;
  abstract write(view: DataView, at: number, value: unknown, name: string): void;

  encode(value: Given): Buffer {
    return this.#encode(value, this.name);
  }

  decode(data: BytesLike): Value {
    return this.read(viewOf(atLeast(data, this.least)), 0);
  }

  encodeAll(values: Iterable<Given>): Buffer {
    return Buffer.concat(list(values, "values", "objects").map((value, i) => this.#encode(value, `values[${i}]`)));
  }

  decodeAll(data: BytesLike): Value[] {
    const given = bytesOf(bytes(data, "data"));
    if (given.length % this.size !== 0) {
      throw wrongValue("data", `a multiple of ${this.size} bytes`, `${given.length} bytes`);
    }
    const view = viewOf(given);
    return Array.from({ length: given.length / this.size }, (_, i) => this.read(view, i * this.size));
  }

  #encode(value: unknown, name: string): Buffer {
    const data = Buffer.from(new ArrayBuffer(this.size));
    this.write(viewOf(data), 0, value, name);
    return data;
  }
}

/** Bytes of which there have to be some. */
export function atLeast(data: unknown, size: number): Uint8Array {
  const given = bytesOf(bytes(data, "data"));
  if (given.length < size) throw wrongValue("data", `at least ${size} bytes`, `${given.length} bytes`);
  return given;
}

type Members<Value> = { readonly [Name in keyof Value]-?: Kind<Exclude<Value[Name], undefined>> };

/** A structure of members that lie as a compiler would lay them. A member whose name begins with `_` is only room. */
export class Struct<Value extends object, Left extends keyof Value = never> extends Layout<
  Value,
  Optional<Value, Left>
> {
  readonly size: number;
  readonly align: number;
  readonly least: number;
  readonly offsets: Readonly<Record<string, number>>;
  readonly names: readonly string[];
  readonly #members: readonly (readonly [name: string, at: number, kind: Kind<unknown>, optional: boolean])[];

  /**
   * @param members - In the order of C.
   * @param optional - Those that may be left out: they are zero then.
   * @param limits - `pack`: the highest alignment, where the headers of a platform bound it. `least`: how many bytes there
   *   have to be of a structure that grew with time.
   */
  constructor(
    name: string,
    members: Members<Value>,
    optional: readonly Left[] = [],
    { pack = 8, least }: { pack?: number; least?: number } = {},
  ) {
    super(name);
    const placed: [string, number, Kind<unknown>, boolean][] = [];
    let at = 0;
    let align = 1;
    for (const [name, kind] of Object.entries<Kind<unknown>>(members as never)) {
      const own = Math.min(kind.align, pack);
      align = Math.max(align, own);
      at = roundUp(at, own);
      if (!name.startsWith("_")) placed.push([name, at, kind, optional.includes(name as Left)]);
      at += kind.size;
    }
    this.size = roundUp(at, align);
    this.align = align;
    this.least = least ?? this.size;
    this.#members = placed;
    this.names = placed.map(([name]) => name);
    this.offsets = Object.fromEntries(placed.map(([name, at]) => [name, at]));
  }

  /** Reads the members that lie within the view; all of them, unless it ends before. */
  read(view: DataView, at: number): Value {
    const value: Record<string, unknown> = {};
    for (const [name, offset, kind] of this.#members) {
      if (at + offset + kind.size <= view.byteLength) value[name] = kind.read(view, at + offset);
    }
    return value as Value;
  }

  write(view: DataView, at: number, value: unknown, name: string): void {
    this.writeMembers(view, at, object(value, name, this.names), name);
  }

  /** {@link write}, for an object that was looked into. */
  writeMembers(view: DataView, at: number, value: Record<string, unknown>, name: string): void {
    for (const [member, offset, kind, optional] of this.#members) {
      const given = value[member];
      if (given === undefined && optional) continue;
      kind.write(view, at + offset, given, `${name}.${member}`);
    }
  }
}
