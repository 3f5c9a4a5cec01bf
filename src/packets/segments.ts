/**
 * UDP segmentation: much data as datagrams of one size, cut by the kernel. See udp(7), UDP_SEGMENT.
 */
import { type BytesLike, bytes, bytesOf, integer, options as optionsOf, present, wrongValue } from "../args.ts";
import { type Batch, BLOCKED, HOLD, LEFT, RECEIVE, RELEASE, SEND } from "../batch.ts";
import {
  AF_INET,
  AF_INET6,
  EAGAIN,
  EBADF,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENOPROTOOPT,
  EOPNOTSUPP,
  IPPROTO_UDP,
  SOCK_DGRAM,
  SocketKind,
  UDP_SEGMENT,
} from "../constants.ts";
import { OSError, systemError } from "../errors.ts";
import { outName } from "../families/family.ts";
import { type AddressArgument, type FamilyName, familyOf } from "../families/index.ts";
import { shim, TIMED_OUT } from "../native.ts";
import type { WaitOptions } from "../promises/names.ts";
import type { Socket as PromisesSocket } from "../promises/socket.ts";
import { PIECE_BYTES, PIECE_MESSAGES } from "../promises/waits.ts";
import { rootSocket, Socket } from "../socket.ts";
import { errorOf, makeTable, putSegmentSize, SEGMENT_SPACE, setMessage, setName, setRange, setSize } from "./table.ts";

/** The most data of a datagram: that of IPv6, without the header of UDP. */
const SEGMENT_MAX = 65527;

/** UDP_MAX_SEGMENTS: so many datagrams the kernel cuts from one message. */
const SEGMENTS_MAX = 64;

/** So much data a message to be cut may have: what 16 bits can say, without the headers of IPv6 and UDP. */
const MESSAGE_MAX = 65487;

/** How many messages a call has. */
const MESSAGES = 256;

const table = makeTable(MESSAGES, 0, SEGMENT_SPACE);

/** What the kernel, or the path that the data would take, says where it does not cut. */
export const refusals = new Set([EIO, EINVAL, EOPNOTSUPP, ENOPROTOOPT, EMSGSIZE]);

/** Data that a socket sends as it sends a batch. What it counts are bytes. */
export class Segments implements Batch {
  readonly #data: Uint8Array;
  readonly #length: number;
  readonly #size: number;
  readonly #name: Uint8Array;
  readonly #address: unknown;
  #sent = 0;
  #isCut: boolean;
  #failed = false;
  #isLeft = false;

  constructor(data: Uint8Array, size: number, name: Uint8Array, address: unknown, isCut: boolean) {
    this.#data = data;
    this.#length = data.length;
    this.#size = size;
    this.#name = name;
    this.#address = address;
    this.#isCut = isCut;
  }

  /** How many bytes were sent. */
  get sent(): number {
    return this.#sent;
  }

  get isSent(): boolean {
    return this.#sent === this.#length;
  }

  [HOLD](): void {}

  [RELEASE](): void {}

  [RECEIVE](): number {
    throw new TypeError("batch: there is nothing to receive into");
  }

  get [BLOCKED](): boolean {
    return this.#sent < this.#length && !this.#failed;
  }

  get [LEFT](): boolean {
    return this.#isLeft;
  }

  [SEND](sock: Socket, flags: number, timeout: number, already: number, isPiece: boolean): number {
    const fd = sock.fileno();
    if (fd < 0) throw systemError("sendmmsg", -EBADF);
    const before = this.#sent;
    const failure = this.send(fd, flags, timeout, isPiece);
    if (failure !== 0 && this.#sent === 0 && already === 0) throw systemError("sendmmsg", failure, this.#address);
    this.#failed = failure !== 0 && failure !== -EAGAIN && failure !== TIMED_OUT;
    return this.#sent - before;
  }

  /** Sends what is left, or a piece of it; what ended it before its end: a negative result, or 0. */
  send(fd: number, flags: number, timeout: number, isPiece = false): number {
    this.#isLeft = false;
    const due = timeout > 0 ? performance.now() + timeout * 1000 : 0;
    let left = timeout;
    const most = isPiece ? PIECE_MESSAGES : MESSAGES;
    while (this.#sent < this.#length) {
      const n = this.#sendSome(fd, flags, left, most);
      const failure = n < 0 ? n : errorOf(table);
      if (failure === 0) {
        // Less than was to be sent, and no error: there was no time or no room for more.
        if (n !== this.#messages) return timeout > 0 ? TIMED_OUT : -EAGAIN;
        this.#isLeft = isPiece && !this.isSent;
        if (this.#isLeft) return 0;
      } else if (this.#isCut && refusals.has(-failure)) {
        this.#isCut = false;
      } else {
        return failure;
      }
      if (due === 0 || this.isSent) continue;
      left = (due - performance.now()) / 1000;
      if (left <= 0) return TIMED_OUT;
    }
    return 0;
  }

  /** How many bytes a message has: as many whole segments as the kernel cuts, or one. */
  get #stride(): number {
    if (!this.#isCut) return this.#size;
    const most = Math.floor(MESSAGE_MAX / this.#size);
    return Math.max(1, Math.min(SEGMENTS_MAX, most)) * this.#size;
  }

  /** How many messages the last call had. */
  #messages = 0;

  /** One call: how many messages were sent, or what went wrong. */
  #sendSome(fd: number, flags: number, timeout: number, most: number): number {
    present(this.#data, "data");
    const rest = this.#sent === 0 ? this.#data : this.#data.subarray(this.#sent);
    const stride = this.#stride;
    const count = Math.min(Math.ceil(rest.length / stride), most, Math.ceil(PIECE_BYTES / stride));
    setSize(table, stride);
    outName.set(this.#name);
    for (let i = 0; i < count; i++) {
      const length = Math.min(stride, rest.length - i * stride);
      // What is no longer than a datagram is one, whatever the socket's own UDP_SEGMENT says.
      const size = length > this.#size ? this.#size : 0;
      const at = table.controls + i * SEGMENT_SPACE;
      setMessage(table, i, length, this.#isCut ? putSegmentSize(table.view, at, size) : 0);
      setName(table, i, this.#name.length);
    }
    setRange(table, 0, count);
    this.#messages = count;
    const n = shim.bs_send_batch(fd, table.words, table.words, rest, rest, flags, timeout);
    if (n > 0) this.#sent = Math.min(this.#length, this.#sent + n * stride);
    return n;
  }
}

/**
 * Sends data as datagrams of one size, the last of what is left. Linux cuts up to 64 of them from one message (`UDP_SEGMENT`),
 * which costs little more than one; where the kernel or the path of the data does not, and on other platforms, the same
 * datagrams are sent by sendmmsg(2).
 *
 * @param sock - A socket of datagrams, of the root (it blocks, as long as its timeout says) or of the promises.
 * @param data - Bytes, as many as you like; of a socket by promises they must not change before the promise is settled.
 * @param segmentSize - How many bytes each datagram has. It should fit the path's MTU: 1472 for IPv4 on Ethernet, 1452 for
 *   IPv6.
 * @param address - Where to; left out or `null` on a connected socket. A host's name is resolved here, and blocks: give a
 *   number.
 * @param options - `signal`, of a socket by promises.
 * @returns How many bytes were sent: all of them, or whole datagrams up to where an error, the timeout or the signal ended it.
 *   Only that count tells of it then; who sends the rest is told what is still wrong.
 * @throws OSError, where nothing was sent: EMSGSIZE, ECONNREFUSED of an earlier datagram; BlockingIOError, TimeoutError; by promises the signal's
 *   reason, too.
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { sendSegments } from "berkeley-sockets/packets";
 * using a = new Socket(AF_INET, SOCK_DGRAM);
 * using b = new Socket(AF_INET, SOCK_DGRAM);
 * b.bind(["127.0.0.1", 0]);
 * console.log(sendSegments(a, new Uint8Array(3000), 1400, b.getsockname())); // 3000
 * console.log(b.recv(2000).length, b.recv(2000).length, b.recv(2000).length); // 1400 1400 200
 * ```
 */
export function sendSegments<Name extends FamilyName>(
  sock: Socket<Name>,
  data: BytesLike,
  segmentSize: number,
  address?: AddressArgument<Name> | null,
): number;
export function sendSegments<Name extends FamilyName>(
  sock: PromisesSocket<Name, unknown>,
  data: BytesLike,
  segmentSize: number,
  address?: AddressArgument<Name> | null,
  options?: WaitOptions,
): Promise<number>;
export function sendSegments(
  sock: unknown,
  data: unknown,
  segmentSize: unknown,
  address?: unknown,
  options?: WaitOptions,
): number | Promise<number> {
  const core = rootSocket(sock);
  if (core === sock) {
    return Socket.prototype.sendBatch.call(core, segments(core, data, segmentSize, address) as never);
  }
  return (async () => {
    const { signal } = optionsOf(options, "options", ["signal"]) as WaitOptions;
    const all = segments(core, data, segmentSize, address);
    try {
      return await (sock as PromisesSocket).sendBatch(all as never, options ?? {});
    } catch (error) {
      if (all.sent > 0 && (error instanceof OSError || error === signal?.reason)) return all.sent;
      throw error;
    }
  })();
}

function segments(sock: Socket, data: unknown, segmentSize: unknown, address: unknown): Segments {
  const size = integer(segmentSize, "segmentSize", 1, SEGMENT_MAX);
  if (sock.type !== SOCK_DGRAM) {
    throw wrongValue("sock", "a socket of datagrams", SocketKind[sock.type] ?? `type ${sock.type}`);
  }
  const view = bytes(data, "data");
  let length = 0;
  if (address !== undefined && address !== null) {
    length = familyOf(sock.family).encode(address, "sendmmsg", sock.proto, sock.fileno());
  }
  const name = outName.slice(0, length);
  present(view, "data"); // a getter of the address may have taken its memory
  const isInternet = sock.family === AF_INET || sock.family === AF_INET6;
  // Others have datagrams too: those of ICMP would send all of it as one.
  const isUdp = isInternet && (sock.proto === 0 || sock.proto === IPPROTO_UDP);
  const isCut = isUdp && UDP_SEGMENT !== undefined;
  return new Segments(bytesOf(view), size, name, address ?? undefined, isCut);
}
