/**
 * AF_ALG: the kernel's cryptography. See https://docs.kernel.org/crypto/userspace-if.html. Linux.
 */
import { integer, text, UINT_MAX, wrongType, wrongValue } from "../args.ts";
import { AF_ALG } from "../constants.ts";
import { beginName, type Family, outName, outView } from "./family.ts";

/**
 * An algorithm: its type (`"hash"`, `"skcipher"`, `"aead"`, `"rng"`), its name (`"hmac(sha256)"`, `"cbc(aes)"`), and the
 * features that are wanted of it and those that are looked at. No call gives one: the kernel has no getsockname(2) for it.
 */
export type AlgAddress = readonly [type: string, name: string, feat: number, mask: number];

/** An algorithm as an argument: the last two fields may be left out. */
export type AlgAddressLike =
  AlgAddress | readonly [type: string, name: string] | readonly [type: string, name: string, feat: number];

const LENGTH = 88; // sizeof(struct sockaddr_alg)
const TYPE = 2;
const FEAT = 16;
const MASK = 20;
const NAME = 24;
const TYPE_MAX = 13; // less the NUL
const NAME_MAX = 63;

function bounded(value: unknown, argument: string, max: number): Buffer {
  const bytes = Buffer.from(text(value, argument));
  if (bytes.length > max) throw wrongValue(argument, `at most ${max} bytes`, value);
  return bytes;
}

export const alg: Family = {
  family: AF_ALG,

  encode(address) {
    if (!Array.isArray(address) || address.length < 2 || address.length > 4) {
      throw wrongType("address", "[type, name, feat?, mask?]", address);
    }
    const given = address.length;
    const type = bounded(address[0], "address[0]", TYPE_MAX);
    const name = bounded(address[1], "address[1]", NAME_MAX);
    const feat = given > 2 ? integer(address[2], "address[2]", 0, UINT_MAX) : 0;
    const mask = given > 3 ? integer(address[3], "address[3]", 0, UINT_MAX) : 0;
    beginName(AF_ALG, LENGTH);
    outName.set(type, TYPE);
    outView.setUint32(FEAT, feat, true);
    outView.setUint32(MASK, mask, true);
    outName.set(name, NAME);
    return LENGTH;
  },

  decode(name, length) {
    if (length < LENGTH) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    const string = (from: number, to: number): string => {
      const bytes = Buffer.from(name.slice(from, to));
      const end = bytes.indexOf(0);
      return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
    };
    return [
      string(TYPE, FEAT),
      string(NAME, LENGTH),
      view.getUint32(FEAT, true),
      view.getUint32(MASK, true),
    ] satisfies AlgAddress;
  },
};
