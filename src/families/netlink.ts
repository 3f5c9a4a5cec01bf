/**
 * AF_NETLINK: messages between the kernel and programs about links, routes and more. See netlink(7); FreeBSD's netlink(4).
 */
import { bits, integer, UINT_MAX, wrongType } from "../args.ts";
import { AF_NETLINK } from "../constants.ts";
import { beginName, type Family, outView } from "./family.ts";

/**
 * A netlink address: who, and which groups.
 *
 * `pid` is a socket's number, 0 for the kernel; a socket that binds to 0 gets one, its process's id as a rule. `groups` is
 * a mask of multicast groups: those that a socket hears, or one that a message goes to. Linux and FreeBSD.
 */
export type NetlinkAddress = readonly [pid: number, groups: number];

const LENGTH = 12; // sizeof(struct sockaddr_nl)
const PID = 4;
const GROUPS = 8;

export const netlink: Family = {
  family: AF_NETLINK,

  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[pid, groups]", address);
    const pid = integer(address[0], "address[0]", 0, UINT_MAX);
    const groups = bits(address[1], "address[1]"); // the last group's bit is negative in JavaScript
    beginName(AF_NETLINK, LENGTH);
    outView.setUint32(PID, pid, true);
    outView.setInt32(GROUPS, groups, true);
    return LENGTH;
  },

  decode(name, length) {
    if (length < LENGTH) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    return [view.getUint32(PID, true), view.getUint32(GROUPS, true)] satisfies NetlinkAddress;
  },
};
