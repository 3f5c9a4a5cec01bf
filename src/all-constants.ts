/**
 * Every constant: those of the package's root, and those that lie in packets and messages (routing netlink, SCTP, ICMP,
 * BPF …), which the root leaves out so that its import stays quick.
 *
 * @module
 */
export * from "./constants.ts";
export * from "./more-constants.ts";
