/**
 * Packets by the million: batches of messages for one call of the system, datagrams that the kernel cuts and coalesces, sends
 * without a copy, what says when packets leave and who gets them, and rings of frames in memory that the kernel has too.
 *
 * @module
 */
export { type BatchOptions, MessageBatch } from "./packets/batch.ts";
export {
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_TAI,
  clock_gettime,
  cpuFilter,
  sock_txtime,
  type SockTxtime,
} from "./packets/pacing.ts";
export { type CapturedFrame, type PcapngInterface, PcapngWriter } from "./packets/pcapng.ts";
export {
  type Block,
  type Fanout,
  type Frame,
  PacketRing,
  type PacketRingOptions,
  type PacketStatistics,
  TransmitRing,
  type TransmitRingOptions,
} from "./packets/ring.ts";
export { sendSegments } from "./packets/segments.ts";
export { type XdpBlock, type XdpFrame, XdpSocket, type XdpSocketOptions, type XdpStatistics } from "./packets/xdp.ts";
export { ZeroCopy } from "./packets/zerocopy.ts";
export type { AnySocket } from "./socket.ts";
