/**
 * AF_RDS: reliable datagrams, by the addresses of IPv4 and, since Linux 4.19, of IPv6. See
 * https://docs.kernel.org/networking/rds.html. Linux.
 */
import { AF_RDS } from "../constants.ts";
import type { Family } from "./family.ts";
import { inet, type InetAddress } from "./inet.ts";
import { inet6, type Inet6Address } from "./inet6.ts";

/**
 * An address of AF_RDS: that of AF_INET, or that of AF_INET6. As an argument, a host with a colon is one of IPv6; so are
 * more than two fields.
 */
export type RdsAddress = InetAddress | Inet6Address;

export const rds: Family = {
  family: AF_RDS,

  encode(address, syscall, proto, fd) {
    const isSix =
      Array.isArray(address) && (address.length > 2 || (typeof address[0] === "string" && address[0].includes(":")));
    return (isSix ? inet6 : inet).encode(address, syscall, proto, fd);
  },

  // The names that the system gives are of the two families, whose own codecs have them.
  decode() {
    return undefined;
  },
};
