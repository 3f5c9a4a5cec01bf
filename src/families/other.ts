/**
 * Every family without a file of its own: Python's rule, the number of the family and the bytes behind it. No socket is
 * unusable because nobody wrote its codec.
 */
import { bytes, bytesOf, integer, wrongType, wrongValue } from "../args.ts";
import { NAME_MAX } from "../native.ts";
import { beginName, type Family, hasLengthByte, nameFamily, outName } from "./family.ts";

/** An address of a family that has no codec here: its number, and the bytes of its `sockaddr` behind that. */
export type OtherAddress = readonly [family: number, data: Buffer];

const DATA = 2; // offsetof(struct sockaddr, sa_data)

export const other: Family = {
  family: undefined,

  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[family, bytes]", address);
    const family = integer(address[0], "address[0]", 0, hasLengthByte ? 0xff : 0xffff);
    const data = bytesOf(bytes(address[1], "address[1]"));
    if (data.length > NAME_MAX - DATA) {
      throw wrongValue("address[1]", `at most ${NAME_MAX - DATA} bytes`, `${data.length} bytes`);
    }
    const length = DATA + data.length;
    beginName(family, length);
    outName.set(data, DATA);
    return length;
  },

  decode(name, length) {
    if (length < DATA) return undefined;
    return [nameFamily(name), Buffer.from(name.slice(DATA, length))] satisfies OtherAddress;
  },
};
