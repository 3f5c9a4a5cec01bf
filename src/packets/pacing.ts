/**
 * When packets leave, and which socket of a group gets them: what takes more than an option. See socket(7), tc-etf(8),
 * tc-fq(8). Linux.
 */
import { integer, lacking } from "../args.ts";
import { systemError } from "../errors.ts";
import type { Timespec } from "../messages/ancillary.ts";
import type { FilterInstruction } from "../messages/filter.ts";
import { bits32, i32, Struct, type Structure } from "../messages/structure.ts";
import { shim } from "../native.ts";

const isLinux = process.platform === "linux" || process.platform === "android";

/** The clock of the time of day, UTC. See clock_gettime(2). Linux only. */
export const CLOCK_REALTIME: number = isLinux ? 0 : (undefined as never);
/** The clock that counts from when the machine started: that of the queueing discipline `fq`. See clock_gettime(2). Linux only. */
export const CLOCK_MONOTONIC: number = isLinux ? 1 : (undefined as never);
/** The clock of the time of day without leap seconds: that of the queueing discipline `etf`. See clock_gettime(2). Linux only. */
export const CLOCK_TAI: number = isLinux ? 11 : (undefined as never);

/** What `SO_TXTIME` takes. */
export interface SockTxtime {
  /** Of which clock the times are: `CLOCK_MONOTONIC`, `CLOCK_TAI`. */
  clockid: number;
  /** `SOF_TXTIME_DEADLINE_MODE`, `SOF_TXTIME_REPORT_ERRORS`. */
  flags: number;
}

/**
 * `struct sock_txtime`: `SO_TXTIME`, after which a message may say when it shall leave (`"txtime"` of `encodeAncillary`). It
 * leaves then where the interface's queueing discipline is `fq` or `etf`; others do not look at it.
 *
 * @example
 * ```ts
 * import { AF_INET, CMSG_SPACE, SO_TXTIME, SOCK_DGRAM, Socket, SOL_SOCKET } from "berkeley-sockets";
 * import { encodeAncillary } from "berkeley-sockets/messages";
 * import { CLOCK_MONOTONIC, clock_gettime, MessageBatch, sock_txtime } from "berkeley-sockets/packets";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * if (SO_TXTIME !== undefined) {
 *   sock.setsockopt(SOL_SOCKET, SO_TXTIME, sock_txtime.encode({ clockid: CLOCK_MONOTONIC, flags: 0 }));
 *   const batch = new MessageBatch(sock, { ancbufsize: CMSG_SPACE(8) });
 *   const { seconds, nanoseconds } = clock_gettime(CLOCK_MONOTONIC);
 *   for (let i = 0; i < 3; i++) {
 *     const time = { seconds: seconds + i, nanoseconds }; // one each second
 *     batch.push("tick", ["127.0.0.1", 7], encodeAncillary([{ type: "txtime", time }]));
 *   }
 *   console.log(sock.sendBatch(batch)); // 3
 * }
 * ```
 */
export const sock_txtime: Structure<SockTxtime> = new Struct("sock_txtime", { clockid: i32, flags: bits32 });

const time = new Int32Array(4);

/**
 * What a clock says; see clock_gettime(2). JavaScript's own clocks are others than those by which packets leave.
 *
 * @param clockid - `CLOCK_MONOTONIC`, `CLOCK_TAI`, `CLOCK_REALTIME`.
 * @throws OSError: EINVAL where there is no such clock. TypeError on other platforms.
 *
 * @example
 * ```ts
 * import { CLOCK_REALTIME, clock_gettime } from "berkeley-sockets/packets";
 * if (CLOCK_REALTIME !== undefined) console.log(clock_gettime(CLOCK_REALTIME).seconds > 1_700_000_000); // true
 * ```
 */
export function clock_gettime(clockid: number): Timespec {
  if (!isLinux) throw lacking("clock_gettime", "on Linux only");
  const r = shim.bs_clock_gettime(integer(clockid, "clockid"), time);
  if (r < 0) throw systemError("clock_gettime", r);
  return { seconds: time[1]! * 2 ** 32 + (time[0]! >>> 0), nanoseconds: time[2]! };
}

/** SKF_AD_OFF + SKF_AD_CPU: the processor that received the packet, as a place that a program of BPF loads from. */
const CPU = 0xffff_f000 + 36;

/**
 * A program for a group of sockets of one port (`SO_REUSEPORT`), each in a Worker of its own, say: a packet goes to the
 * socket whose place in the group, by the order in which they were bound, is the number of the processor that received it,
 * modulo the group's size. So the data stays in that processor's cache; without a program the kernel goes by a hash of the
 * addresses. `attachFilter` of `berkeley-sockets/messages` takes it, once for the group.
 *
 * @param sockets - How many sockets there are in the group.
 * @see https://lwn.net/Articles/675043/
 *
 * @example
 * ```ts
 * import { AF_INET, SO_ATTACH_REUSEPORT_CBPF, SO_REUSEPORT, SOCK_DGRAM, Socket, SOL_SOCKET } from "berkeley-sockets";
 * import { attachFilter } from "berkeley-sockets/messages";
 * import { cpuFilter } from "berkeley-sockets/packets";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * if (SO_ATTACH_REUSEPORT_CBPF !== undefined) {
 *   sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1); // of each socket, before it is bound
 *   sock.bind(["127.0.0.1", 0]);
 *   attachFilter(sock, cpuFilter(1), SO_ATTACH_REUSEPORT_CBPF);
 * }
 * ```
 */
export function cpuFilter(sockets: number): FilterInstruction[] {
  const count = integer(sockets, "sockets", 1, 65535);
  return [
    [0x20, 0, 0, CPU], // ld #cpu
    [0x94, 0, 0, count], // mod #count
    [0x16, 0, 0, 0], // ret a
  ];
}
