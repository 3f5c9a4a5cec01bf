/**
 * Network interfaces: their names and numbers. See if_nameindex(3).
 */
import { integer, UINT_MAX, wrongType, wrongValue } from "./args.ts";
import { systemError } from "./errors.ts";
import { decodeFileName, encodeFileName } from "./filenames.ts";
import { shim } from "./native.ts";
import { listed } from "./resolve.ts";

/**
 * The interfaces of this machine; see if_nameindex(3).
 *
 * @example
 * ```ts
 * import { if_nameindex } from "berkeley-sockets";
 * for (const [index, name] of if_nameindex()) console.log(index, name);
 * ```
 */
export function if_nameindex(): [index: number, name: string][] {
  const answer = listed((o) => shim.bs_if_nameindex(o, o));
  if (typeof answer === "number") throw systemError("if_nameindex", answer);
  const found: [number, string][] = [];
  for (let at = 0; at + 8 <= answer.length;) {
    const length = answer.readInt32LE(at + 4);
    found.push([answer.readInt32LE(at), decodeFileName(answer.subarray(at + 8, at + 8 + length))]);
    at += 8 + ((length + 3) & ~3);
  }
  return found;
}

/**
 * The number of an interface; see if_nametoindex(3).
 *
 * @throws OSError (ENODEV) where there is none of that name.
 *
 * @example
 * ```ts
 * import { if_indextoname, if_nameindex, if_nametoindex } from "berkeley-sockets";
 * const [index, name] = if_nameindex()[0]!;
 * console.log(if_nametoindex(name) === index, if_indextoname(index) === name); // true true
 * ```
 */
export function if_nametoindex(name: string): number {
  if (typeof name !== "string") throw wrongType("name", "a string", name);
  if (name.includes("\0")) throw wrongValue("name", "a string without NUL", name);
  const given = Buffer.concat([encodeFileName(name, "name"), Buffer.alloc(1)]);
  const r = shim.bs_if_nametoindex(given);
  if (r < 0) throw systemError("if_nametoindex", r, name);
  return r;
}

/**
 * The name of an interface; see if_indextoname(3).
 *
 * @throws OSError (ENXIO) where there is none of that number.
 *
 * @example
 * ```ts
 * import { if_indextoname, if_nameindex } from "berkeley-sockets";
 * console.log(if_nameindex().every(([index, name]) => if_indextoname(index) === name)); // true
 * ```
 */
export function if_indextoname(index: number): string {
  const out = Buffer.alloc(256); // IF_NAMESIZE is less everywhere
  const n = shim.bs_if_indextoname(integer(index, "index", 0, UINT_MAX), out, out);
  if (n < 0) throw systemError("if_indextoname", n, index);
  return decodeFileName(out.subarray(0, n));
}
