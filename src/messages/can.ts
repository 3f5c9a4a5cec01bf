/**
 * Structures of AF_CAN. See https://docs.kernel.org/networking/can.html and the headers in <linux/can>. Linux.
 */
import { type BytesLike, bytes, bytesOf, wrongValue } from "../args.ts";
import { CAN_BCM_CAN_FD_FRAME } from "../constants.ts";
import { list } from "../message.ts";
import {
  atLeast,
  bits32,
  Layout,
  type Optional,
  duration,
  object,
  Struct,
  type Structure,
  u32,
  u64,
  u8,
  viewOf,
} from "./structure.ts";

/** A frame of classical CAN. */
export interface CanFrame {
  /**
   * The identifier, with `CAN_EFF_FLAG` where it has 29 bits, `CAN_RTR_FLAG` and `CAN_ERR_FLAG`. What is received is not
   * negative, what `|` makes with `CAN_EFF_FLAG` is: compare with `(id | CAN_EFF_FLAG) >>> 0`.
   */
  id: number;
  /** At most 8 bytes. A remote request (`CAN_RTR_FLAG`) sends none of them: their number is what is asked for. */
  data: Buffer;
  /** A length code of 9 to 15, where the data has 8 bytes; 0 by default. */
  len8Dlc: number;
}

/** A frame of CAN FD. */
export interface CanfdFrame {
  /** The identifier; see {@link CanFrame}. */
  id: number;
  /** At most 64 bytes; 0 to 8, 12, 16, 20, 24, 32, 48 or 64. */
  data: Buffer;
  /** 1 (`CANFD_BRS`) for the second bit rate, 2 (`CANFD_ESI`), 4 (`CANFD_FDF`); 0 by default. */
  flags: number;
}

/** A frame to send: any bytes are data, and what is not said is 0. */
type Given<Frame extends { id: number }> = { id: number; data: BytesLike } & Partial<Omit<Frame, "id" | "data">>;

const ID = 0;
const LENGTH = 4;
const DATA = 8;

/** `struct can_frame` and `struct canfd_frame`: an identifier, a length, a byte of one's own, the data. */
class Frame<Value extends { id: number }> extends Layout<Value, Given<Value>> {
  readonly size: number;
  readonly align = 8;
  readonly least: number;
  readonly #max: number;
  readonly #own: string;
  readonly #ownAt: number;

  /** @param own - The member that the other kind of frame has not, and where it lies. */
  constructor(name: string, max: number, own: string, ownAt: number) {
    super(name);
    this.size = this.least = DATA + max;
    this.#max = max;
    this.#own = own;
    this.#ownAt = ownAt;
  }

  read(view: DataView, at: number): Value {
    const length = Math.min(view.getUint8(at + LENGTH), this.#max);
    const data = Buffer.from(new Uint8Array(view.buffer, view.byteOffset + at + DATA, length));
    return { id: bits32.read(view, at + ID), data, [this.#own]: view.getUint8(at + this.#ownAt) } as unknown as Value;
  }

  write(view: DataView, at: number, value: unknown, name: string): void {
    const frame = object(value, name, ["id", "data", this.#own]);
    bits32.write(view, at + ID, frame["id"], `${name}.id`);
    const own = frame[this.#own];
    if (own !== undefined) u8.write(view, at + this.#ownAt, own, `${name}.${this.#own}`);
    const data = bytesOf(bytes(frame["data"], `${name}.data`));
    if (data.length > this.#max) throw wrongValue(`${name}.data`, `at most ${this.#max} bytes`, `${data.length} bytes`);
    view.setUint8(at + LENGTH, data.length);
    new Uint8Array(view.buffer, view.byteOffset + at + DATA, this.#max).set(data);
  }
}

/**
 * `struct can_frame`: what `CAN_RAW` sockets send and receive. See
 * https://docs.kernel.org/networking/can.html#how-to-use-socketcan. Linux.
 *
 * @example
 * ```ts
 * import { CAN_EFF_FLAG } from "berkeley-sockets";
 * import { can_frame } from "berkeley-sockets/messages";
 * // sock.send(frame), where sock is new Socket(AF_CAN, SOCK_RAW, CAN_RAW) and bound
 * const frame = can_frame.encode({ id: 0x1234567 | CAN_EFF_FLAG, data: new Uint8Array([1, 2, 3]) });
 * console.log(frame.length, can_frame.decode(frame).data); // 16 <Buffer 01 02 03>
 * ```
 */
export const can_frame: Structure<CanFrame, Given<CanFrame>> = new Frame<CanFrame>("can_frame", 8, "len8Dlc", 7);

/**
 * `struct canfd_frame`: what `CAN_RAW` sockets with `CAN_RAW_FD_FRAMES` send and receive beside {@link can_frame}. Which of
 * the two was received is seen by its length. See
 * https://docs.kernel.org/networking/can.html#raw-socket-option-can-raw-fd-frames. Linux.
 *
 * @example
 * ```ts
 * import { can_frame, canfd_frame } from "berkeley-sockets/messages";
 * const received = canfd_frame.encode({ id: 0x123, data: "twelve bytes", flags: 1 });
 * const frame = received.length === canfd_frame.size ? canfd_frame.decode(received) : can_frame.decode(received);
 * console.log(frame.id === 0x123, frame.data.toString()); // true twelve bytes
 * ```
 */
export const canfd_frame: Structure<CanfdFrame, Given<CanfdFrame>> = new Frame<CanfdFrame>(
  "canfd_frame",
  64,
  "flags",
  5,
);

/** Which identifiers pass: those that have the bits of `mask` as `id` has them. */
export interface CanFilter {
  /** With `CAN_INV_FILTER`, the others pass. */
  id: number;
  mask: number;
}

/**
 * `struct can_filter`; `CAN_RAW_FILTER` takes several. See
 * https://docs.kernel.org/networking/can.html#raw-socket-option-can-raw-filter. Linux.
 *
 * @example
 * ```ts
 * import { CAN_SFF_MASK } from "berkeley-sockets";
 * import { can_filter } from "berkeley-sockets/messages";
 * // sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters)
 * const filters = can_filter.encodeAll([{ id: 0x123, mask: CAN_SFF_MASK }, { id: 0x200, mask: 0x700 }]);
 * console.log(filters.length); // 16
 * ```
 */
export const can_filter: Structure<CanFilter> = new Struct("can_filter", { id: bits32, mask: bits32 });

/** What the broadcast manager shall do, or did. */
export interface BcmMsg {
  /** `CAN_BCM_TX_SETUP` and the others that are no flags. */
  opcode: number;
  /** `CAN_BCM_SETTIMER`, `CAN_BCM_CAN_FD_FRAME` and the other flags; 0 by default. */
  flags: number;
  /** How many frames are sent at the first interval; 0 by default. */
  count: number;
  /** The intervals, in seconds; 0 by default. */
  ival1: number;
  ival2: number;
  /** The identifier that the job is for. */
  id: number;
  /** Frames of CAN FD where the flag `CAN_BCM_CAN_FD_FRAME` is set; none by default. */
  frames: (CanFrame | CanfdFrame)[];
}

/** A message to send: what is not said is 0, or no frames. */
type BcmGiven = Optional<Omit<BcmMsg, "frames">, "flags" | "count" | "ival1" | "ival2"> & {
  frames?: Iterable<Given<CanFrame> | Given<CanfdFrame>>;
};

const bcmHead = new Struct<Omit<BcmMsg, "frames"> & { nframes: number }, "flags" | "count" | "ival1" | "ival2">(
  "bcm_msg_head",
  { opcode: u32, flags: bits32, count: u32, ival1: duration, ival2: duration, id: bits32, nframes: u32 },
  ["flags", "count", "ival1", "ival2"],
);

/** The kind of frames behind a head. Where the platform has no CAN, nobody has the flag. */
const framesOf = (flags: number): Structure<CanFrame | CanfdFrame, Given<CanFrame> | Given<CanfdFrame>> =>
  (flags & (CAN_BCM_CAN_FD_FRAME ?? 0)) === 0 ? can_frame : canfd_frame;

/** {@link bcm_msg_head}: as long as its frames make it. */
class BcmMessage implements Structure<BcmMsg, BcmGiven> {
  readonly size = bcmHead.size;

  encode(value: BcmGiven): Buffer {
    return this.#encode(value, bcmHead.name);
  }

  #encode(value: unknown, name: string): Buffer {
    const { frames: given, ...head } = object(
      value,
      name,
      [...bcmHead.names, "frames"].filter((n) => n !== "nframes"),
    );
    const frames = given === undefined ? [] : list(given, `${name}.frames`, "frames");
    const start = Buffer.alloc(this.size);
    bcmHead.write(viewOf(start), 0, { ...head, nframes: frames.length }, name);
    const kind = framesOf((head["flags"] as number | undefined) ?? 0) as typeof can_frame & Frame<CanFrame>;
    const data = Buffer.concat([start, Buffer.alloc(frames.length * kind.size)]);
    frames.forEach((frame, i) => kind.write(viewOf(data), start.length + i * kind.size, frame, `${name}.frames[${i}]`));
    return data;
  }

  decode(data: BytesLike): BcmMsg {
    const given = atLeast(data, this.size);
    const { nframes, ...head } = bcmHead.decode(given);
    const kind = framesOf(head.flags);
    const end = this.size + nframes * kind.size;
    return { ...head, frames: kind.decodeAll(atLeast(given, end).subarray(this.size, end)) };
  }

  encodeAll(values: Iterable<BcmGiven>): Buffer {
    return Buffer.concat(list(values, "values", "objects").map((value, i) => this.#encode(value, `values[${i}]`)));
  }

  decodeAll(data: BytesLike): BcmMsg[] {
    const all: BcmMsg[] = [];
    let rest = bytesOf(bytes(data, "data"));
    while (rest.length > 0) {
      const message = this.decode(rest);
      all.push(message);
      rest = rest.subarray(this.size + message.frames.length * framesOf(message.flags).size);
    }
    return all;
  }
}

/**
 * `struct bcm_msg_head` and the frames behind it: what `CAN_BCM` sockets send and receive. `size` is that of the head. See
 * https://docs.kernel.org/networking/can.html#broadcast-manager-protocol-sockets-sock-dgram. Linux.
 *
 * @example
 * ```ts
 * import { CAN_BCM_SETTIMER, CAN_BCM_STARTTIMER, CAN_BCM_TX_SETUP } from "berkeley-sockets";
 * import { bcm_msg_head } from "berkeley-sockets/messages";
 * // sock.send(message), where sock is new Socket(AF_CAN, SOCK_DGRAM, CAN_BCM) and connected: the frame goes out every 0.1 s
 * const message = bcm_msg_head.encode({
 *   opcode: CAN_BCM_TX_SETUP,
 *   flags: CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER,
 *   ival2: 0.1,
 *   id: 0x123,
 *   frames: [{ id: 0x123, data: "hello" }],
 * });
 * console.log(message.length); // 72
 * ```
 */
export const bcm_msg_head: Structure<BcmMsg, BcmGiven> = new BcmMessage();

/** How ISO-TP goes about its transfers. */
export interface CanIsotpOptions {
  /** `CAN_ISOTP_*` of the options' flags. */
  flags: number;
  /** Nanoseconds between frames; `CAN_ISOTP_FRAME_TXTIME_ZERO` for none, 0 for the default. */
  frameTxtime: number;
  extAddress: number;
  txpadContent: number;
  rxpadContent: number;
  rxExtAddress: number;
}

/**
 * `struct can_isotp_options`: `CAN_ISOTP_OPTS`, set before the socket is bound. See
 * https://docs.kernel.org/networking/iso15765-2.html. Linux.
 *
 * @example
 * ```ts
 * import { CAN_ISOTP_TX_PADDING } from "berkeley-sockets";
 * import { can_isotp_options } from "berkeley-sockets/messages";
 * // sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, options)
 * const options = can_isotp_options.encode({ flags: CAN_ISOTP_TX_PADDING, txpadContent: 0xaa });
 * console.log(options.length); // 12
 * ```
 */
export const can_isotp_options: Structure<CanIsotpOptions, Partial<CanIsotpOptions>> = new Struct(
  "can_isotp_options",
  { flags: bits32, frameTxtime: u32, extAddress: u8, txpadContent: u8, rxpadContent: u8, rxExtAddress: u8 },
  ["flags", "frameTxtime", "extAddress", "txpadContent", "rxpadContent", "rxExtAddress"],
);

/** What an ISO-TP receiver asks of the sender. */
export interface CanIsotpFcOptions {
  /** How many frames until the next flow control; 0 is never again. */
  bs: number;
  /** The least time between frames: 0 to 0x7f milliseconds, 0xf1 to 0xf9 hundreds of microseconds. */
  stmin: number;
  /** How often the other end may ask to wait. */
  wftmax: number;
}

/**
 * `struct can_isotp_fc_options`: `CAN_ISOTP_RECV_FC`. See https://docs.kernel.org/networking/iso15765-2.html. Linux.
 *
 * @example
 * ```ts
 * import { can_isotp_fc_options } from "berkeley-sockets/messages";
 * // sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RECV_FC, options)
 * const options = can_isotp_fc_options.encode({ bs: 8, stmin: 5 });
 * console.log(options); // <Buffer 08 05 00>
 * ```
 */
export const can_isotp_fc_options: Structure<CanIsotpFcOptions, Partial<CanIsotpFcOptions>> = new Struct(
  "can_isotp_fc_options",
  { bs: u8, stmin: u8, wftmax: u8 },
  ["bs", "stmin", "wftmax"],
);

/** What frames ISO-TP sends. */
export interface CanIsotpLlOptions {
  /** `CAN_MTU` (16) or `CANFD_MTU` (72). */
  mtu: number;
  /** How many bytes of data a frame has at most: 8, 12, 16, 20, 24, 32, 48 or 64. */
  txDl: number;
  /** The flags of {@link CanfdFrame}; 0 by default. */
  txFlags: number;
}

/**
 * `struct can_isotp_ll_options`: `CAN_ISOTP_LL_OPTS`. See https://docs.kernel.org/networking/iso15765-2.html. Linux.
 *
 * @example
 * ```ts
 * import { can_isotp_ll_options, canfd_frame } from "berkeley-sockets/messages";
 * // sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_LL_OPTS, options)
 * const options = can_isotp_ll_options.encode({ mtu: canfd_frame.size, txDl: 64 });
 * console.log(options); // <Buffer 48 40 00>
 * ```
 */
export const can_isotp_ll_options: Structure<CanIsotpLlOptions, Optional<CanIsotpLlOptions, "txFlags">> = new Struct(
  "can_isotp_ll_options",
  { mtu: u8, txDl: u8, txFlags: u8 },
  ["txFlags"],
);

/** Whose messages a J1939 socket receives. A bit of a mask that is 0 says that the one beside it does not matter. */
export interface J1939Filter {
  name: bigint;
  nameMask: bigint;
  pgn: number;
  pgnMask: number;
  addr: number;
  addrMask: number;
}

/**
 * `struct j1939_filter`; `SO_J1939_FILTER` takes several. See https://docs.kernel.org/networking/j1939.html. Linux.
 *
 * @example
 * ```ts
 * import { j1939_filter } from "berkeley-sockets/messages";
 * // sock.setsockopt(SOL_CAN_J1939, SO_J1939_FILTER, filters)
 * const filters = j1939_filter.encodeAll([{ pgn: 0xfeca, pgnMask: 0x3ffff }, { addr: 0x20, addrMask: 0xff }]);
 * console.log(filters.length); // 64
 * ```
 */
export const j1939_filter: Structure<J1939Filter, Partial<J1939Filter>> = new Struct(
  "j1939_filter",
  { name: u64, nameMask: u64, pgn: u32, pgnMask: u32, addr: u8, addrMask: u8 },
  ["name", "nameMask", "pgn", "pgnMask", "addr", "addrMask"],
);
