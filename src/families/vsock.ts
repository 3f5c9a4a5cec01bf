/**
 * AF_VSOCK: between a virtual machine and its host. See vsock(7). Linux.
 */
import { integer, UINT_MAX, wrongType } from "../args.ts";
import { AF_VSOCK } from "../constants.ts";
import { beginName, type Family, outView } from "./family.ts";

/** A VM socket's address: the machine's context id (`VMADDR_CID_*`) and a port (`VMADDR_PORT_ANY` for a free one). */
export type VsockAddress = readonly [cid: number, port: number];

const LENGTH = 16; // sizeof(struct sockaddr_vm)
const PORT = 4;
const CID = 8;

export const vsock: Family = {
  family: AF_VSOCK,

  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[cid, port]", address);
    const cid = integer(address[0], "address[0]", 0, UINT_MAX);
    const port = integer(address[1], "address[1]", 0, UINT_MAX);
    beginName(AF_VSOCK, LENGTH);
    outView.setUint32(PORT, port, true);
    outView.setUint32(CID, cid, true);
    return LENGTH;
  },

  decode(name, length) {
    if (length < CID + 4) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    return [view.getUint32(CID, true), view.getUint32(PORT, true)] satisfies VsockAddress;
  },
};
