/**
 * Control messages of AF_ALG, the kernel's cryptography: what to do with the data of a message. See
 * https://docs.kernel.org/crypto/userspace-if.html.
 */
import { type BytesLike, bits, bytes, bytesOf, integer, options, UINT_MAX } from "./args.ts";
import { ALG_SET_AEAD_ASSOCLEN, ALG_SET_IV, ALG_SET_OP, SOL_ALG } from "./constants.ts";
import type { AncillaryData } from "./message.ts";

/** What `Socket.sendmsgAfalg` takes by name. */
export interface AfalgOptions {
  /** `ALG_OP_ENCRYPT`, `ALG_OP_DECRYPT`, `ALG_OP_SIGN` or `ALG_OP_VERIFY`. */
  op: number;
  /** The initialisation vector. */
  iv?: BytesLike;
  /** How many bytes of the data are authenticated only (AEAD). */
  assoclen?: number;
  /** `MSG_*`; `MSG_MORE` where more data of the same operation follows. */
  flags?: number;
}

/** The control messages and the flags that the options say. */
export function afalgMessage(given: unknown): { ancdata: AncillaryData[]; flags: number } {
  const named = options(given, "options", ["op", "iv", "assoclen", "flags"]);
  const op = integer(named.op, "options.op", 0, UINT_MAX);
  const ancdata: AncillaryData[] = [[SOL_ALG, ALG_SET_OP, Uint32Array.of(op)]];
  if (named.iv !== undefined) {
    const iv = bytesOf(bytes(named.iv, "options.iv"));
    const data = new Uint8Array(4 + iv.length); // struct af_alg_iv
    new DataView(data.buffer).setUint32(0, iv.length, true);
    data.set(iv, 4);
    ancdata.push([SOL_ALG, ALG_SET_IV, data]);
  }
  if (named.assoclen !== undefined) {
    const assoclen = integer(named.assoclen, "options.assoclen", 0);
    ancdata.push([SOL_ALG, ALG_SET_AEAD_ASSOCLEN, Uint32Array.of(assoclen)]);
  }
  return { ancdata, flags: "flags" in named ? bits(named.flags, "options.flags") : 0 };
}
