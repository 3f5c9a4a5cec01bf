/**
 * Batches: the memory for many messages, made once and used again, and one call of the system for all of them. See
 * recvmmsg(2), sendmmsg(2).
 */
import {
  type BytesLike,
  bytes,
  byteLengthOf,
  bytesOf,
  INT_MAX,
  integer,
  options as optionsOf,
  present,
  wrongType,
  wrongValue,
} from "../args.ts";
import { type Batch, BLOCKED, HOLD, LEFT, RECEIVE, RELEASE, SEND } from "../batch.ts";
import {
  AddressFamily,
  AF_UNIX,
  EAGAIN,
  EBADF,
  IPPROTO_UDP,
  MSG_CMSG_CLOEXEC,
  MSG_TRUNC,
  SCM_PIDFD,
  SCM_REALTIME,
  SCM_RIGHTS,
  SCM_TIMESTAMP,
  SCM_TIMESTAMPING,
  SCM_TIMESTAMPNS,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMPING_NEW,
  SO_TIMESTAMPNS_NEW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
  UDP_COALESCED_INFO,
  UDP_GRO,
} from "../constants.ts";
import { failed, systemError } from "../errors.ts";
import { type AddressArgument, decodeName, type FamilyName, familyOf, type SenderOf } from "../families/index.ts";
import { type AncillaryData, readControl, type ReceivedAncillaryData } from "../message.ts";
import type { Timespec } from "../messages/ancillary.ts";
import { IO_NAME_WORD, ioWords, NAME_MAX, shim, TIMED_OUT } from "../native.ts";
import { PIECE_BYTES, PIECE_MESSAGES } from "../promises/waits.ts";
import { type AnySocket, rootSocket, type Socket } from "../socket.ts";
import { within } from "./common.ts";
import { begin, dataAt, lengthAt, levelAt, spaceOf, typeAt } from "./control.ts";
import { refusals, Segments } from "./segments.ts";
import {
  CONTROL_LENGTH,
  errorOf,
  FLAGS,
  HEADER_WORDS,
  LENGTH,
  makeTable,
  MESSAGE_WORDS,
  NAME_LENGTH,
  NAME_WORDS,
  putSegmentSize,
  ROOM,
  setMessage,
  setName,
  setRange,
  type Table,
} from "./table.ts";

/** What {@link MessageBatch} takes by name. */
export interface BatchOptions {
  /** For how many messages there is room: 64 by default. */
  capacity?: number;
  /** For how many bytes of data of each: 2048 by default. A datagram that is longer is cut. */
  size?: number;
  /** For how many bytes of ancillary data of each, a sum of `CMSG_SPACE`: none by default. */
  ancbufsize?: number;
}

/** What a control message of a UDP socket is called that says how long the datagrams are that came as one. */
const COALESCED = UDP_GRO ?? UDP_COALESCED_INFO;

/** Where a time lies in a control message of SOL_SOCKET, and of what unit its smaller part is. */
const times = new Map<number | undefined, number>([
  [SCM_TIMESTAMPNS, 1],
  [SO_TIMESTAMPNS_NEW, 1],
  [SCM_REALTIME, 1],
  [SCM_TIMESTAMP, 1000],
  [SO_TIMESTAMP_NEW, 1000],
]);
times.delete(undefined);
const TIMESPEC = 16;

/** Descriptors that came with messages and that nobody has asked for yet, by the message. */
interface Unclaimed {
  fds: (number[] | undefined)[];
}

function closeUnclaimed(unclaimed: Unclaimed): void {
  for (const fds of unclaimed.fds) for (const fd of fds ?? []) shim.bs_close(fd);
  unclaimed.fds.length = 0;
}

/** Batches that were collected while they had descriptors. */
const forgotten = new FinalizationRegistry<Unclaimed>(closeUnclaimed);

/** The most messages that a batch has room for. */
const CAPACITY_MAX = 65536;

/**
 * The memory for many messages, which one call receives or sends: `sock.recvBatch(batch)`, `sock.sendBatch(batch)`, of the
 * root and of the promises.
 *
 * All of the memory is made once. What is received lies in it until the next call, and is read without a copy: a view of
 * `data`, an address that is decoded when it is asked for. What was received can be sent on as it lies there.
 *
 * It is for sockets of one family that keep messages apart: datagrams, not streams. On Linux a call is recvmmsg(2) or
 * sendmmsg(2); elsewhere the library makes one for each message.
 *
 * @typeParam Name - The family's name, from which the type of its addresses follows.
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { MessageBatch } from "berkeley-sockets/packets";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * sock.bind(["127.0.0.1", 0]);
 *
 * const batch = new MessageBatch(sock, { capacity: 32 });
 * for (const text of ["one", "two", "three"]) batch.push(text, sock.getsockname());
 * console.log(sock.sendBatch(batch)); // 3
 *
 * sock.recvBatch(batch);
 * for (let i = 0; i < batch.length; i++) console.log(`${batch.data(i)}`); // one, two, three
 * ```
 */
export class MessageBatch<out Name extends FamilyName = FamilyName> implements Batch, Disposable {
  readonly #sock: Socket;
  readonly #capacity: number;
  readonly #size: number;
  readonly #controlSize: number;
  /** Null once it was disposed of. */
  #table: Table | null;
  #data: Buffer;

  #length = 0;
  #sent = 0;
  /** The socket that it was received from, on whose protocol and network addresses depend. */
  #from: Socket;
  /** Whether its control messages are such as were received. */
  #isReceived = false;
  #isHeld = false;
  /** Ends the call that has it, if that waits on the event loop. */
  #end: ((reason: unknown) => void) | null = null;
  /** What is left of the message whose turn it is, where it goes in pieces. */
  #pieces: Segments | null = null;
  /** What ended a send in its midst, for the next send to tell; and the same of a receive. */
  #sendError = 0;
  /** Whether the last send was of a piece, and left some. */
  #isLeft = false;
  #receiveError = 0;

  /** What was made for the messages, and in which turn: a turn is a receive, or what else gives a message other bytes. */
  readonly #views: (Buffer | undefined)[] = [];
  readonly #parts: (Buffer | undefined)[][] = [];
  readonly #times: Timespec[] = [];
  readonly #addresses: unknown[] = [];
  readonly #addressTurns: Int32Array;
  readonly #segmentSizes: Int32Array;
  readonly #segmentTurns: Int32Array;
  #turn = 1;

  #unclaimed: Unclaimed | null = null;

  /**
   * Makes the memory.
   *
   * @param sock - A socket, of the root or of the promises: the batch is for it and for all others of its family.
   * @param options - `capacity`, `size`, `ancbufsize`: how much of it.
   * @throws RangeError where it would be more than 2 GiB.
   */
  constructor(sock: AnySocket<Name>, options?: BatchOptions) {
    this.#sock = rootSocket(sock);
    const given = optionsOf(options, "options", ["capacity", "size", "ancbufsize"]);
    const { capacity = 64, size = 2048, ancbufsize = 0 } = given;
    this.#capacity = integer(capacity, "options.capacity", 1, CAPACITY_MAX);
    this.#size = integer(size, "options.size", 1);
    this.#controlSize = Math.ceil(integer(ancbufsize, "options.ancbufsize", 0) / 8) * 8;
    const all = this.#capacity * (this.#size + this.#controlSize + NAME_MAX + ROOM);
    if (all > INT_MAX) throw wrongValue("options.capacity and options.size", "at most 2 GiB together", all);
    this.#table = makeTable(this.#capacity, this.#size, this.#controlSize);
    this.#data = Buffer.from(new ArrayBuffer(this.#capacity * this.#size));
    this.#from = this.#sock;
    this.#addressTurns = new Int32Array(this.#capacity);
    this.#segmentSizes = new Int32Array(this.#capacity);
    this.#segmentTurns = new Int32Array(this.#capacity);
  }

  /** How many messages there are: those received, or those to send. */
  get length(): number {
    return this.#length;
  }

  /** For how many messages there is room. */
  get capacity(): number {
    return this.#capacity;
  }

  /** For how many bytes of data of each message there is room. */
  get size(): number {
    return this.#size;
  }

  /** How many of the messages were sent. */
  get sent(): number {
    return this.#sent;
  }

  // ---- What is in a message ----

  /**
   * How many bytes of data a message has.
   *
   * @param i - Which message, from 0 on.
   */
  byteLength(i: number): number {
    return this.#message(i, LENGTH);
  }

  /**
   * A byte of a message's data. It takes no view, and so no memory.
   *
   * @param i - Which message, from 0 on.
   * @param at - Which byte: the first is 0.
   * @throws RangeError behind the message's end.
   */
  uint8(i: number, at: number): number {
    return this.#data[this.#find(i, at, 1)]!;
  }

  /**
   * A number of two bytes of a message's data, in network byte order; see {@link uint8}.
   *
   * @param i - Which message, from 0 on.
   * @param at - Where it begins.
   */
  uint16(i: number, at: number): number {
    const j = this.#find(i, at, 2);
    return (this.#data[j]! << 8) | this.#data[j + 1]!;
  }

  /**
   * A number of four bytes of a message's data, in network byte order; see {@link uint8}.
   *
   * @param i - Which message, from 0 on.
   * @param at - Where it begins.
   */
  uint32(i: number, at: number): number {
    const j = this.#find(i, at, 4);
    const data = this.#data;
    return ((data[j]! << 24) | (data[j + 1]! << 16) | (data[j + 2]! << 8) | data[j + 3]!) >>> 0;
  }

  /**
   * A message's data: a view, whose bytes are good until the batch is used again. They may be changed, and sent on.
   *
   * No memory is taken for it as long as what comes to this place is as long as what came before; {@link uint8} and its like
   * take none at all.
   *
   * @param i - Which message, from 0 on.
   */
  data(i: number): Buffer {
    const length = this.#message(i, LENGTH);
    const known = this.#views[i];
    if (known !== undefined && known.length === length) return known;
    if (this.#data.length === 0) throw detached();
    const at = i * this.#size;
    return (this.#views[i] = this.#data.subarray(at, at + length));
  }

  /** Who sent a message, or whom it shall go to; `null` where that is not said. It is decoded when it is asked for. */
  address(i: number): SenderOf<Name> {
    const length = this.#message(i, NAME_LENGTH);
    if (this.#addressTurns[i] !== this.#turn) {
      const { words, names } = this.#table!;
      const at = names + NAME_WORDS * i;
      ioWords[0] = length;
      for (let word = 0; word < length; word += 4) ioWords[IO_NAME_WORD + (word >> 2)] = words[at + (word >> 2)]!;
      this.#addresses[i] = decodeName(this.#from.proto, this.#from.fileno());
      this.#addressTurns[i] = this.#turn;
    }
    return this.#addresses[i] as SenderOf<Name>;
  }

  /** The flags that a message was received with: `MSG_TRUNC`, `MSG_CTRUNC`, `MSG_ERRQUEUE` … */
  flags(i: number): number {
    // Linux hands this flag back; who did not ask for it must not see it.
    return this.#message(i, FLAGS) & ~(MSG_CMSG_CLOEXEC ?? 0);
  }

  /** Whether a message was longer than there was room, and was cut. */
  truncated(i: number): boolean {
    return (this.#message(i, FLAGS) & MSG_TRUNC) !== 0;
  }

  /**
   * The control messages that came with a message, as `recvmsg` gives them: `decodeAncillary` of `berkeley-sockets/messages`
   * reads them. Once the message was sent on, it has none but how long the datagrams are that it goes as.
   *
   * Descriptors among them are the caller's from then on. Those that nobody asks for are closed when the batch is used
   * again.
   */
  ancillary(i: number): ReceivedAncillaryData[] {
    const end = this.#message(i, CONTROL_LENGTH);
    if (this.#unclaimed !== null) this.#unclaimed.fds[i] = undefined;
    const { view, controls } = this.#table!;
    const found: ReceivedAncillaryData[] = [];
    const first = controls + i * this.#controlSize;
    for (let at = first, n; (n = lengthAt(view, at, first + end)) >= 0; at += spaceOf(n)) {
      const data = Buffer.allocUnsafeSlow(n);
      data.set(new Uint8Array(view.buffer, dataAt(at), n));
      found.push([levelAt(view, at), typeAt(view, at), data]);
    }
    return found;
  }

  /**
   * When a message was received: `SO_TIMESTAMPNS`, `SO_TIMESTAMP`, or `SO_TIMESTAMPING` (the kernel's time where it was
   * recorded, otherwise the device's). The object is good until the batch is used again.
   *
   * @returns `null` where no time came with it. (Ticks, as of Windows, are no time since 1970: {@link ancillary} has them.)
   */
  timestamp(i: number): Timespec | null {
    const end = this.#message(i, CONTROL_LENGTH);
    const { view, controls } = this.#table!;
    const first = controls + i * this.#controlSize;
    for (let at = first, n; (n = lengthAt(view, at, first + end)) >= 0; at += spaceOf(n)) {
      if (levelAt(view, at) !== SOL_SOCKET || n < TIMESPEC) continue;
      const type = typeAt(view, at);
      let data = dataAt(at);
      let unit = times.get(type);
      if (unit === undefined && (type === SCM_TIMESTAMPING || type === SO_TIMESTAMPING_NEW)) {
        unit = 1;
        // Three times; the second is not used any more.
        if (n >= 3 * TIMESPEC && isZero(view, data)) data += 2 * TIMESPEC;
      }
      if (unit === undefined || isZero(view, data)) continue;
      const time = (this.#times[i] ??= { seconds: 0, nanoseconds: 0 });
      time.seconds = view.getInt32(data + 4, true) * 2 ** 32 + view.getUint32(data, true);
      time.nanoseconds = view.getInt32(data + 8, true) * unit;
      return time;
    }
    return null;
  }

  /**
   * How many datagrams a message is: 1, unless the socket has `UDP_GRO` and several came as one. That needs `ancbufsize` of
   * `CMSG_SPACE(4)`, and a `size` of 65535. Sent on, it is as many datagrams again: the kernel cuts it, or each is sent where
   * the kernel or the path does not.
   */
  segments(i: number): number {
    const length = this.#message(i, LENGTH);
    const size = this.#segmentSize(i);
    return size > 0 && size < length ? Math.ceil(length / size) : 1;
  }

  /**
   * One of the datagrams that a message is: a view, as {@link data}.
   *
   * @param i - Which message.
   * @param j - Which of its datagrams, from 0 to one less than {@link segments}.
   */
  segment(i: number, j: number): Buffer {
    const count = this.segments(i);
    if (!(Number.isInteger(j) && j >= 0 && j < count)) throw wrongIndex("j", j, count);
    if (count === 1) return this.data(i);
    const length = this.#message(i, LENGTH);
    const size = this.#segmentSizes[i]!;
    const parts = (this.#parts[i] ??= []);
    const known = parts[j];
    const at = i * this.#size + j * size;
    const end = Math.min(at + size, i * this.#size + length);
    if (known !== undefined && known.length === end - at && known.byteOffset === at) return known;
    return (parts[j] = this.#data.subarray(at, end));
  }

  // ---- What is to be sent ----

  /**
   * Adds a message to send; the data is copied.
   *
   * @param data - Bytes, or a string as UTF-8: at most {@link size} of them.
   * @param address - Where to; left out or `null` on a connected socket. A host's name is resolved here, and blocks: give a
   *   number.
   * @param ancdata - Control messages: `[level, type, data]`. Together they take at most `ancbufsize`.
   * @returns Which message it is.
   * @throws RangeError where the batch is full.
   */
  push(data: BytesLike, address?: AddressArgument<Name> | null, ancdata?: Iterable<AncillaryData>): number {
    const view = typeof data === "string" ? null : bytes(data, "data");
    const messages = ancdata === undefined ? null : readMessages(ancdata);
    const nameLength = this.#encode(address);
    // From here on nothing of the caller's runs.
    const table = this.#own();
    const i = this.#length;
    if (i === this.#capacity) throw new RangeError(`batch: it is full, with ${i} messages`);
    if (view !== null) present(view, "data");
    const length = view === null ? Buffer.byteLength(data as string) : byteLengthOf(view);
    if (length > this.#size) throw wrongValue("data", `at most the batch's ${this.#size} bytes`, `${length} bytes`);
    const controlLength = messages === null ? 0 : roomFor(messages, this.#controlSize);

    if (this.#isReceived) this.#becomeSendable();
    if (view === null) this.#data.write(data as string, i * this.#size);
    else this.#data.set(view instanceof Uint8Array ? view : bytesOf(view), i * this.#size);
    if (messages !== null) writeMessages(messages, table.view, table.controls + i * this.#controlSize);
    setMessage(table, i, length, controlLength);
    setName(table, i, nameLength);
    this.#addressTurns[i] = 0;
    this.#length++;
    return i;
  }

  /**
   * Says where messages shall go: what was received from one goes on to another. An error that the next `sendBatch` would
   * throw of the message whose turn it is, is forgotten.
   *
   * @param address - Where to; `null` on a connected socket.
   * @param i - Which message; left out, all of them.
   */
  setAddress(address: AddressArgument<Name> | null, i?: number): void {
    const length = this.#encode(address);
    const table = this.#own();
    if (i !== undefined) this.#message(i, LENGTH);
    const end = i === undefined ? this.#length : i + 1;
    const first = i ?? 0;
    for (let each = first; each < end; each++) {
      setName(table, each, length);
      this.#addressTurns[each] = 0;
    }
    if (first <= this.#sent && this.#sent < end) {
      this.#sendError = 0;
      this.#pieces = null;
    }
  }

  /** Passes over the message whose turn it would be to be sent, where the system does not take it. */
  skip(): void {
    this.#own();
    this.#sendError = 0;
    this.#pieces = null;
    if (this.#sent < this.#length) this.#sent++;
  }

  /** Takes all messages out. */
  clear(): void {
    this.#own();
    this.#empty();
    this.#isReceived = false;
  }

  /**
   * Gives the memory up, and closes descriptors that came and that nobody asked for. A call that waits with it is rejected, and
   * later ones fail.
   */
  [Symbol.dispose](): void {
    if (this.#table === null) return;
    this.#empty();
    this.#table = null;
    this.#data = Buffer.alloc(0);
    this.#views.length = this.#parts.length = this.#addresses.length = 0;
    this.#end?.(disposed());
  }

  // ---- What a socket does with it ----

  /** Of the sockets, as what follows. */
  [HOLD](end: ((reason: unknown) => void) | null): void {
    if (!(#isHeld in this)) throw wrongType("batch", "a MessageBatch", this);
    this.#own();
    this.#isHeld = true;
    this.#end = end;
  }

  [RELEASE](): void {
    this.#isHeld = false;
    this.#end = null;
  }

  [RECEIVE](sock: Socket, flags: number, timeout: number): number {
    const table = this.#usableBy(sock);
    const { words } = table;
    const fd = sock.fileno();
    if (fd < 0) throw systemError("recvmmsg", -EBADF);
    const kept = this.#receiveError;
    if (kept !== 0) {
      this.#receiveError = 0;
      throw systemError("recvmmsg", kept);
    }
    this.#empty();
    const isUnix = sock.family === AF_UNIX;
    const f = isUnix ? flags | (MSG_CMSG_CLOEXEC ?? 0) : flags;
    const n = shim.bs_recv_batch(fd, words, words, this.#data, this.#data, f, timeout);
    if (n < 0) return failed("recvmmsg", n);
    this.#receiveError = errorOf(table);
    this.#length = sock.type === SOCK_SEQPACKET && n === this.#capacity ? withOneEnd(table, n) : n;
    this.#isReceived = true;
    this.#from = sock;
    if (isUnix && this.#controlSize > 0) this.#findDescriptors();
    return this.#length;
  }

  [SEND](sock: Socket, flags: number, timeout: number, already: number, isPiece: boolean): number {
    this.#isLeft = false;
    const table = this.#usableBy(sock);
    const fd = sock.fileno();
    if (fd < 0) throw systemError("sendmmsg", -EBADF);
    // It would take a part of a message, and nobody would learn which.
    if (sock.type === SOCK_STREAM)
      throw wrongValue("batch", "one for a socket that keeps messages apart", "SOCK_STREAM");
    const kept = this.#sendError;
    if (kept !== 0) {
      this.#sendError = 0;
      throw systemError("sendmmsg", kept, this.address(this.#sent) ?? undefined);
    }
    if (this.#sent === this.#length) this.#sent = 0;
    if (this.#length === 0) return 0;
    if (this.#isReceived) this.#becomeSendable();
    const before = this.#sent;
    const due = timeout > 0 ? performance.now() + timeout * 1000 : 0;
    let left = timeout;
    const most = isPiece ? Math.min(PIECE_MESSAGES, Math.ceil(PIECE_BYTES / this.#size)) : this.#capacity;
    let failure: number;
    for (;;) {
      failure = this.#sendSome(table, fd, flags, left, most);
      this.#isLeft = isPiece && failure === 0 && this.#sent < this.#length;
      if (failure === 0 ? this.#isLeft || this.#sent === this.#length : !this.#isRefused(failure)) break;
      if (due > 0) left = Math.max((due - performance.now()) / 1000, 1e-9);
    }
    const n = this.#sent - before;
    if (n > 0 && (failure === -EAGAIN || failure === TIMED_OUT)) return n;
    if (n === 0 && failure !== 0) {
      const error = systemError("sendmmsg", failure, this.address(this.#sent) ?? undefined);
      if (already === 0) throw error;
    }
    this.#sendError = failure;
    return n;
  }

  /** One call, or the pieces of one message: what ended it before its end, a negative result, or 0. */
  #sendSome(table: Table, fd: number, flags: number, timeout: number, most: number): number {
    const pieces = this.#pieces;
    if (pieces !== null) {
      const failure = pieces.send(fd, flags, timeout);
      if (pieces.isSent) {
        this.#pieces = null;
        this.#sent++;
      }
      return failure;
    }
    const count = Math.min(this.#length - this.#sent, most);
    setRange(table, this.#sent, count);
    const n = shim.bs_send_batch(fd, table.words, table.words, this.#data, this.#data, flags, timeout);
    if (n < 0) return n;
    this.#sent += n;
    const failure = errorOf(table);
    if (failure !== 0 || n === count) return failure;
    return timeout > 0 ? TIMED_OUT : -EAGAIN; // no error: there was no time or no room for more
  }

  /** Whether what ended a send is that a message is not cut again on its way: then its pieces are sent, one by one. */
  #isRefused(failure: number): boolean {
    const i = this.#sent;
    if (this.#pieces !== null || !refusals.has(-failure) || this.segments(i) === 1) return false;
    const { words, names } = this.#table!;
    const name = new Uint8Array(words.buffer, 4 * (names + NAME_WORDS * i), this.#message(i, NAME_LENGTH)).slice();
    this.#pieces = new Segments(this.data(i), this.#segmentSizes[i]!, name, undefined, false);
    return true;
  }

  get [BLOCKED](): boolean {
    return this.#sent < this.#length && this.#sendError === 0;
  }

  get [LEFT](): boolean {
    return this.#isLeft;
  }

  // ---- Within ----

  /** A word of a message, whose number is looked at. */
  #message(i: number, what: number): number {
    const table = this.#table;
    if (table === null) throw disposed();
    if (!(Number.isInteger(i) && i >= 0 && i < this.#length)) throw wrongIndex("i", i, this.#length);
    return table.words[HEADER_WORDS + MESSAGE_WORDS * i + what]!;
  }

  /** Where so many bytes of a message's data lie. */
  #find(i: number, at: number, size: number): number {
    within(at, size, this.#message(i, LENGTH));
    if (this.#data.length === 0) throw detached();
    return i * this.#size + at;
  }

  /** The table, for a change: no call has it. */
  #own(): Table {
    if (this.#table === null) throw disposed();
    if (this.#isHeld) throw new TypeError("batch: another call is using it, and has not ended yet");
    if (this.#data.length === 0) throw detached();
    return this.#table;
  }

  /** The table, for a call on a socket. */
  #usableBy(sock: Socket): Table {
    if (this.#table === null) throw disposed();
    const { family } = this.#sock;
    if (sock.family !== family) {
      const name = (number: number) => AddressFamily[number] ?? `family ${number}`;
      throw wrongValue("batch", `one for sockets of ${name(sock.family)}`, `one for ${name(family)}`);
    }
    if (this.#data.length === 0) throw detached();
    return this.#table;
  }

  /** Encodes an address; the length of the name that is there then, 0 where there is none. */
  #encode(address: unknown): number {
    if (address === undefined || address === null) return 0;
    const { family, proto } = this.#sock;
    return familyOf(family).encode(address, "sendmmsg", proto, this.#sock.fileno());
  }

  #empty(): void {
    if (this.#unclaimed !== null) closeUnclaimed(this.#unclaimed);
    this.#length = 0;
    this.#sent = 0;
    this.#sendError = 0;
    this.#pieces = null;
    this.#turn = this.#turn === INT_MAX ? 1 : this.#turn + 1;
  }

  /**
   * What came as control messages does not go on with the data, but how long the datagrams are that came as one: the kernel
   * cuts it again, or where it refuses to, its pieces are sent.
   */
  #becomeSendable(): void {
    const table = this.#table!;
    if (this.#unclaimed !== null) closeUnclaimed(this.#unclaimed);
    for (let i = 0; i < this.#length; i++) {
      const at = HEADER_WORDS + MESSAGE_WORDS * i + CONTROL_LENGTH;
      if (table.words[at] === 0) continue;
      const size = this.segments(i) > 1 ? this.#segmentSizes[i]! : 0;
      table.words[at] = size > 0 ? putSegmentSize(table.view, table.controls + i * this.#controlSize, size) : 0;
    }
    this.#isReceived = false;
  }

  /** How long the datagrams are that a message came as; 0 where it is one. */
  #segmentSize(i: number): number {
    if (this.#controlSize === 0 || COALESCED === undefined) return 0;
    if (this.#segmentTurns[i] === this.#turn) return this.#segmentSizes[i]!;
    let size = 0;
    const { view, controls } = this.#table!;
    const first = controls + i * this.#controlSize;
    const end = first + this.#message(i, CONTROL_LENGTH);
    for (let at = first, n; (n = lengthAt(view, at, end)) >= 0; at += spaceOf(n)) {
      if (levelAt(view, at) === IPPROTO_UDP && typeAt(view, at) === COALESCED && n >= 4) {
        size = view.getInt32(dataAt(at), true);
      }
    }
    this.#segmentTurns[i] = this.#turn;
    return (this.#segmentSizes[i] = size);
  }

  /** Descriptors that came: they are this batch's until somebody asks for them. */
  #findDescriptors(): void {
    const { view, controls, words } = this.#table!;
    for (let i = 0; i < this.#length; i++) {
      const first = controls + i * this.#controlSize;
      const end = first + words[HEADER_WORDS + MESSAGE_WORDS * i + CONTROL_LENGTH]!;
      for (let at = first, n; (n = lengthAt(view, at, end)) >= 0; at += spaceOf(n)) {
        const type = typeAt(view, at);
        if (levelAt(view, at) !== SOL_SOCKET || (type !== SCM_RIGHTS && type !== SCM_PIDFD)) continue;
        if (this.#unclaimed === null) forgotten.register(this, (this.#unclaimed = { fds: [] }));
        const fds = (this.#unclaimed.fds[i] ??= []);
        for (let fd = dataAt(at); fd + 4 <= dataAt(at) + n; fd += 4) fds.push(view.getInt32(fd, true));
      }
    }
  }
}

/** How many messages there are: the end of a connection of records comes as empty ones, as many as there is room for. */
function withOneEnd({ words }: Table, count: number): number {
  const isEmpty = (i: number): boolean => {
    const at = HEADER_WORDS + MESSAGE_WORDS * i;
    return words[at + LENGTH] === 0 && words[at + CONTROL_LENGTH] === 0;
  };
  let n = count;
  while (n > 1 && isEmpty(n - 1) && isEmpty(n - 2)) n--;
  return n;
}

/** A control message to send, as it was when it was given. */
interface Message {
  level: number;
  type: number;
  data: Uint8Array;
}

function readMessages(ancdata: unknown): Message[] {
  return readControl(ancdata).map(([level, type, data], i) => {
    return { level, type, data: bytesOf(bytes(data, `ancdata[${i}][2]`)) };
  });
}

/** The room that control messages take, where there is so much. */
function roomFor(messages: readonly Message[], most: number): number {
  let length = 0;
  for (const { data } of messages) length += spaceOf(data.length);
  if (length <= most) return length;
  throw wrongValue("ancdata", `at most the batch's ancbufsize of ${most} bytes with its headers`, `${length} bytes`);
}

function writeMessages(messages: readonly Message[], view: DataView, to: number): void {
  let at = to;
  const all = new Uint8Array(view.buffer);
  for (const { level, type, data } of messages) {
    all.set(data, begin(view, at, level, type, data.length));
    at += spaceOf(data.length);
  }
}

function isZero(view: DataView, at: number): boolean {
  for (let i = 0; i < TIMESPEC; i += 4) if (view.getInt32(at + i, true) !== 0) return false;
  return true;
}

function disposed(): TypeError {
  return new TypeError("batch: it was disposed of");
}

function detached(): TypeError {
  return new TypeError("batch: its ArrayBuffer is detached");
}

function wrongIndex(name: string, value: unknown, length: number): Error {
  if (!Number.isInteger(value)) return wrongType(name, "an integer", value);
  return wrongValue(name, `less than ${length}, and not negative`, value);
}
