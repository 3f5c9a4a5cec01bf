/**
 * AF_TIPC: services of a cluster, by name. See https://tipc.io/programming.html. Linux.
 */
import { integer, UINT_MAX, wrongType, wrongValue } from "../args.ts";
import { AF_TIPC, TIPC_ADDR_ID, TIPC_ADDR_NAME, TIPC_ADDR_NAMESEQ, TIPC_CLUSTER_SCOPE } from "../constants.ts";
import { beginName, type Family, outView } from "./family.ts";

/**
 * A TIPC address. What the numbers are depends on `addrType`:
 *
 * - `TIPC_ADDR_NAME`: the service's type, its instance, and 0; as a result, the instance again.
 * - `TIPC_ADDR_NAMESEQ`: the service's type, the lowest and the highest instance.
 * - `TIPC_ADDR_ID`: the node, the socket's reference, and 0.
 *
 * `scope` is `TIPC_NODE_SCOPE`, `TIPC_CLUSTER_SCOPE` or `TIPC_ZONE_SCOPE`; as an argument it may be left out
 * (`TIPC_CLUSTER_SCOPE`).
 */
export type TipcAddress = readonly [addrType: number, v1: number, v2: number, v3: number, scope: number];

/** A TIPC address as an argument: the scope may be left out. */
export type TipcAddressLike = TipcAddress | readonly [addrType: number, v1: number, v2: number, v3: number];

const LENGTH = 16; // sizeof(struct sockaddr_tipc)
const ADDRTYPE = 2;
const SCOPE = 3;
// The type and the two ends of the instances; of a name its type and instance; of an id its reference and its node.
const FIRST = 4;
const SECOND = 8;
const THIRD = 12;

export const tipc: Family = {
  family: AF_TIPC,

  encode(address) {
    if (!Array.isArray(address) || address.length < 4 || address.length > 5) {
      throw wrongType("address", "[addrType, v1, v2, v3, scope?]", address);
    }
    const given = address.length;
    const addrType = integer(address[0], "address[0]");
    const v1 = integer(address[1], "address[1]", 0, UINT_MAX);
    const v2 = integer(address[2], "address[2]", 0, UINT_MAX);
    const v3 = integer(address[3], "address[3]", 0, UINT_MAX);
    const scope = given > 4 ? integer(address[4], "address[4]", -128, 127) : TIPC_CLUSTER_SCOPE;
    if (addrType !== TIPC_ADDR_NAME && addrType !== TIPC_ADDR_NAMESEQ && addrType !== TIPC_ADDR_ID) {
      throw wrongValue("address[0]", "TIPC_ADDR_NAME, TIPC_ADDR_NAMESEQ or TIPC_ADDR_ID", addrType);
    }
    const isId = addrType === TIPC_ADDR_ID;
    beginName(AF_TIPC, LENGTH);
    outView.setUint8(ADDRTYPE, addrType);
    outView.setInt8(SCOPE, scope);
    outView.setUint32(FIRST, isId ? v2 : v1, true);
    outView.setUint32(SECOND, isId ? v1 : v2, true);
    // Of a name, the third number is a domain of nodes, which CPython leaves 0: any.
    if (addrType === TIPC_ADDR_NAMESEQ) outView.setUint32(THIRD, v3, true);
    return LENGTH;
  },

  decode(name, length) {
    if (length < LENGTH) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    const addrType = name[ADDRTYPE]!;
    const scope = view.getInt8(SCOPE);
    const first = view.getUint32(FIRST, true);
    const second = view.getUint32(SECOND, true);
    switch (addrType) {
      case TIPC_ADDR_NAME:
        return [addrType, first, second, second, scope] satisfies TipcAddress;
      case TIPC_ADDR_NAMESEQ:
        return [addrType, first, second, view.getUint32(THIRD, true), scope] satisfies TipcAddress;
      case TIPC_ADDR_ID:
        return [addrType, second, first, 0, scope] satisfies TipcAddress;
      default:
        return undefined;
    }
  },
};
