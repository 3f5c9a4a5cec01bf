/**
 * AF_QIPCRTR: services of a Qualcomm chip's processors. See <linux/qrtr.h>. Linux.
 */
import { integer, UINT_MAX, wrongType } from "../args.ts";
import { AF_QIPCRTR } from "../constants.ts";
import { beginName, type Family, outView } from "./family.ts";

/** A socket of the IPC router: the processor's node, and a port on it (`QRTR_PORT_CTRL` is the name service's). */
export type QipcrtrAddress = readonly [node: number, port: number];

const LENGTH = 12; // sizeof(struct sockaddr_qrtr)
const NODE = 4;
const PORT = 8;

export const qipcrtr: Family = {
  family: AF_QIPCRTR,

  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[node, port]", address);
    const node = integer(address[0], "address[0]", 0, UINT_MAX);
    const port = integer(address[1], "address[1]", 0, UINT_MAX);
    beginName(AF_QIPCRTR, LENGTH);
    outView.setUint32(NODE, node, true);
    outView.setUint32(PORT, port, true);
    return LENGTH;
  },

  decode(name, length) {
    if (length < LENGTH) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    return [view.getUint32(NODE, true), view.getUint32(PORT, true)] satisfies QipcrtrAddress;
  },
};
