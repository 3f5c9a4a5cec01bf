/**
 * Packets by the million: batches of messages for one call of the system, datagrams that the kernel cuts and coalesces, sends
 * without a copy, and what says when packets leave and who gets them.
 *
 * @module
 */
export { type AnySocket, type BatchOptions, MessageBatch } from "./packets/batch.ts";
export {
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_TAI,
  clock_gettime,
  cpuFilter,
  sock_txtime,
  type SockTxtime,
} from "./packets/pacing.ts";
export { sendSegments } from "./packets/segments.ts";
export { ZeroCopy } from "./packets/zerocopy.ts";
