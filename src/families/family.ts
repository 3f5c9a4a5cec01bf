/**
 * What an address family is made of: an encoder, a decoder, and the block that names are written to.
 */
import { NAME_MAX } from "../native.ts";

/**
 * A family's codec. To add a family: one file beside this one, and one line in `index.ts`.
 */
export interface Family {
  /** The `AF_*` number; `undefined` where the platform lacks the family. */
  readonly family: number | undefined;
  /** Whether the same name may become another address: an interface can be renamed. */
  readonly isVolatile?: boolean;
  /**
   * Packs an address into {@link outName}.
   *
   * Reads every field of `address` before it writes anything, because a getter of the caller's may use another socket.
   *
   * @param address - What the caller gave.
   * @param syscall - The call that the address is for, for errors.
   * @param proto - The socket's protocol, on which some families' addresses depend.
   * @param fd - The socket's descriptor, for families whose names the system itself has to look up; -1 where there is none.
   * @returns How many bytes the name has.
   */
  encode(address: unknown, syscall: string, proto: number, fd: number): number;
  /**
   * Unpacks a name. Every byte up to `length` was written by the system, none behind it.
   *
   * @param fd - The descriptor of the socket that it came from, whose network it speaks of; -1 where there is none.
   * @returns The address; `undefined` where the name is too short to be one.
   */
  decode(name: Uint8Array, length: number, proto: number, fd: number): unknown;
}

/** Where an encoder writes; a call that takes an address passes it on at once. */
export const outName = new Uint8Array(NAME_MAX);

/** {@link outName} by its fields. */
export const outView = new DataView(outName.buffer);

/** macOS and the BSDs begin a name with its length, in a byte that the others give to the family. */
export const hasLengthByte =
  process.platform !== "linux" && process.platform !== "win32" && process.platform !== "android";

/** Begins a name of `length` bytes in {@link outName}: zeros, and the family. */
export function beginName(family: number, length: number): void {
  outName.fill(0, 0, length);
  if (hasLengthByte) {
    outName[0] = length;
    outName[1] = family;
  } else {
    outView.setUint16(0, family, true);
  }
}

/** The family that a packed name says it is of. */
export function nameFamily(name: Uint8Array): number {
  return hasLengthByte ? name[1]! : name[0]! | (name[1]! << 8);
}
