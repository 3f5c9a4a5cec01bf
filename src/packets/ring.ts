/**
 * Rings of AF_PACKET (TPACKET_V3): frames in memory that the kernel and this process both have, so that neither a call nor a
 * copy is made for each. See packet(7) and https://docs.kernel.org/networking/packet_mmap.html. Linux.
 *
 * The kernel fills a block of the ring and hands it over; here its frames are looked at, and it is given back. The word that
 * says whose a block is is read and written by Atomics, so that what lies in the block is seen after the word and left
 * before it.
 */
import {
  type BytesLike,
  bytes,
  bytesOf,
  flag,
  integer,
  lacking,
  options as optionsOf,
  seconds,
  wrongValue,
} from "../args.ts";
import {
  AF_PACKET,
  EAGAIN,
  ETH_P_ALL,
  MSG_DONTWAIT,
  PACKET_ADD_MEMBERSHIP,
  PACKET_FANOUT,
  PACKET_MR_PROMISC,
  PACKET_RX_RING,
  PACKET_STATISTICS,
  PACKET_TX_RING,
  PACKET_VERSION,
  SO_ATTACH_FILTER,
  SOCK_RAW,
  SOL_PACKET,
  TPACKET_V3,
} from "../constants.ts";
import { systemError } from "../errors.ts";
import { interfaceIndex } from "../families/interface.ts";
import { packet, type PacketAddress } from "../families/packet.ts";
import { attach, type FilterInstruction, pack } from "../messages/filter.ts";
import { packet_mreq } from "../messages/options.ts";
import { io, IO_NAME_WORD, ioWords, type Mapping, mapMemory, READABLE, shim, WRITABLE } from "../native.ts";
import type { WaitOptions } from "../promises/names.ts";
import { signalOf } from "../promises/waits.ts";
import { Socket } from "../socket.ts";
import { detach, END, FrameBytes, released, Ring, signalIn, within } from "./common.ts";

/** A block is made of pages; on machines with larger ones the kernel refuses what is no multiple of theirs. */
const PAGE = 4096;

/** The most bytes of a ring. */
const RING_MAX = 2 ** 32 - PAGE;

/** What the kernel is told of frames in a receive ring; they are as long as they are, up to a block. */
const FRAME_UNIT = 2048;

/** The longest time before a block is handed over, in seconds: some kernels keep milliseconds in 16 bits. */
const BLOCK_TIMEOUT_MAX = 65.535;

// struct tpacket_block_desc, by words.
const BLOCK_STATUS = 2;
const BLOCK_COUNT = 3;
const BLOCK_FIRST = 4;

// Whose a block is.
const TP_STATUS_KERNEL = 0;
const TP_STATUS_USER = 1;

// struct tpacket3_hdr, by words, and the struct sockaddr_ll behind it.
const NEXT = 0;
const SECONDS = 1;
const NANOSECONDS = 2;
const SNAP_LENGTH = 3;
const LENGTH = 4;
const STATUS = 5;
const MAC = 6;
const VLAN_TCI = 8;
const VLAN_PROTOCOL = 9;
const ADDRESS = 12;
const ADDRESS_PROTOCOL = 12;
const ADDRESS_INDEX = 13;
const ADDRESS_KIND = 14;

// Bits of a frame's status.
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const TP_STATUS_TS_RAW_HARDWARE = 0x80000000;

const ETH_P_8021Q = 0x8100;

/** How sockets of a group share what comes: see {@link PacketRing}. */
export interface Fanout {
  /** The group's number, 0 to 65535: all rings of a network that name it are in it. */
  group: number;
  /** `PACKET_FANOUT_HASH`, `PACKET_FANOUT_CPU`, `PACKET_FANOUT_ROLLOVER` … */
  type: number;
  /** `PACKET_FANOUT_FLAG_ROLLOVER`, `PACKET_FANOUT_FLAG_DEFRAG` … */
  flags?: number;
}

/** What a {@link PacketRing} takes by name. */
export interface PacketRingOptions {
  /** Which frames, `ETH_P_*`: `ETH_P_ALL` by default. */
  protocol?: number;
  /** Bytes of a block, a multiple of the system's page: 262,144 by default. No frame is longer than its block. */
  blockSize?: number;
  /** How many blocks: 64 by default. */
  blockCount?: number;
  /** After how many seconds a block that is not full is handed over, if there is a frame in it: 0.001 to 65.535, 0.01 by default. */
  blockTimeout?: number;
  /** A program that says which frames, and how much of each, from the first on; see `parseFilter`. */
  filter?: Iterable<FilterInstruction>;
  /** Whether the interface shall also take frames for others, for as long as the ring is open. */
  promiscuous?: boolean;
  /** A group whose members share what comes. */
  fanout?: Fanout;
}

/** What a ring counted since it was opened; see {@link PacketRing.statistics}. */
export interface PacketStatistics {
  /** Frames that came and passed the filter, with those that were dropped. */
  packets: number;
  /** Frames that found no room. */
  drops: number;
  /** How often the ring was full. */
  freezes: number;
}

/**
 * Where an iteration of a block is: what the block and its frame share. Each block has one of its own, so that who keeps a
 * frame of an earlier block finds nothing.
 */
class Place {
  /** The frame's header, by words of the ring; 0 where there is none. */
  frame = 0;
  /** The block as an ArrayBuffer of its own, once somebody asked for a view. */
  memory: ArrayBuffer | null = null;

  constructor(
    /** The ring. */
    readonly words: Uint32Array<ArrayBuffer>,
    readonly bytes: Uint8Array<ArrayBuffer>,
    readonly mapping: Mapping,
    /** The block's first byte in the ring. */
    readonly start: number,
    readonly size: number,
    /** The ring's descriptor: good as long as there is a frame. */
    readonly fd: number,
  ) {}

  /** The block's memory, for views that end with the block. */
  view(): ArrayBuffer {
    return (this.memory ??= this.mapping.part(this.start, this.size));
  }

  /** Ends the views of the block; whether it could. */
  end(): boolean {
    return this.memory === null || detach(this.memory);
  }
}

/**
 * A frame of a {@link Block}: one object for all frames of a block, which the loop moves from one to the next. Nothing is
 * copied: copy what shall stay.
 *
 * Once its block is released, every property throws a TypeError, and what `data` gave is detached: it reads as empty, or
 * throws.
 */
export class Frame extends FrameBytes {
  readonly #place: Place;
  readonly #words: Uint32Array;

  /** @internal */
  constructor(place: Place) {
    super(place.bytes);
    this.#place = place;
    this.#words = place.words;
  }

  #header(): number {
    const at = this.#place.frame;
    if (at === 0) throw released();
    return at;
  }

  /** How long the frame was, in bytes. */
  get length(): number {
    return this.#words[this.#header() + LENGTH]!;
  }

  /** How much of it is here: less than its length where the filter or the block has cut it. */
  get snapLength(): number {
    return this.#words[this.#header() + SNAP_LENGTH]!;
  }

  /** When it came: seconds since 1970. */
  get seconds(): number {
    return this.#words[this.#header() + SECONDS]!;
  }

  /** When it came: nanoseconds of the second. */
  get nanoseconds(): number {
    return this.#words[this.#header() + NANOSECONDS]!;
  }

  /**
   * Whether the device took the time: where it can, was told to (SIOCSHWTSTAMP), and the ring was asked for it by
   * `setsockopt(SOL_PACKET, PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE)`.
   */
  get isHardwareTime(): boolean {
    return (this.#words[this.#header() + STATUS]! & TP_STATUS_TS_RAW_HARDWARE) !== 0;
  }

  /** `TP_STATUS_*` as it is in the ring. */
  get status(): number {
    return this.#words[this.#header() + STATUS]!;
  }

  /** The tag that was taken out of the frame: priority and number of its VLAN (the TCI); `null` where it had none. */
  get vlan(): number | null {
    const at = this.#header();
    return this.#words[at + STATUS]! & TP_STATUS_VLAN_VALID ? this.#words[at + VLAN_TCI]! & 0xffff : null;
  }

  /** The protocol of that tag: 0x8100, or 0x88a8 of a provider; `null` where it had none. */
  get vlanProtocol(): number | null {
    const at = this.#header();
    const status = this.#words[at + STATUS]!;
    if (!(status & TP_STATUS_VLAN_VALID)) return null;
    return status & TP_STATUS_VLAN_TPID_VALID ? this.#words[at + VLAN_PROTOCOL]! & 0xffff : ETH_P_8021Q;
  }

  /** To whom it went, `PACKET_*`. */
  get packetType(): number {
    return (this.#words[this.#header() + ADDRESS_KIND]! >>> 16) & 0xff;
  }

  /** What it carries, `ETH_P_*`. */
  get protocol(): number {
    const field = this.#words[this.#header() + ADDRESS_PROTOCOL]!;
    return ((field >>> 8) & 0xff00) | (field >>> 24);
  }

  /** The number of the interface that it came by. */
  get interfaceIndex(): number {
    return this.#words[this.#header() + ADDRESS_INDEX]!;
  }

  /** The kind of that device, `ARPHRD_*`. */
  get hardwareType(): number {
    return this.#words[this.#header() + ADDRESS_KIND]! & 0xffff;
  }

  /** Its address, as `recvfrom` of a packet socket gives it: a copy, with the interface's name. */
  get address(): PacketAddress {
    const at = this.#header();
    const mac = this.#words[at + MAC]! & 0xffff;
    const name = new Uint8Array(this.#words.buffer, 4 * (at + ADDRESS), Math.max(0, mac - 4 * ADDRESS));
    return packet.decode(name, name.length, 0, this.#place.fd) as PacketAddress;
  }

  /**
   * The frame itself: `snapLength` bytes in the ring, good until the block is released.
   *
   * Give a copy to what goes on by itself, as `fs.write` with a callback or `zlib.deflate` do: the block cannot be released
   * before such an operation has ended. (Closed meanwhile, the ring leaves the memory to it.)
   */
  get data(): Buffer {
    const at = this.#header();
    const place = this.#place;
    return Buffer.from(place.view(), this.#start(at) - place.start, this.#words[at + SNAP_LENGTH]!);
  }

  /** The first byte in the ring. */
  #start(header: number): number {
    return 4 * header + (this.#words[header + MAC]! & 0xffff);
  }

  protected find(at: number, size: number): number {
    const header = this.#header();
    within(at, size, this.#words[header + SNAP_LENGTH]!);
    return this.#start(header) + at;
  }
}

/** Ends a block, so that no frame of it is good any more; whether it could. `always`: also where its memory is in use. */
let endBlock: (block: Block, always?: boolean) => boolean;

/**
 * A block of a {@link PacketRing}: its frames, to be looked at once.
 *
 * The loop that has seen the last frame releases the block. A loop that is left before keeps it: the next one goes on behind
 * the frame that was seen last.
 */
export class Block implements IterableIterator<Frame, undefined> {
  /** How many frames it had. */
  readonly length: number;
  readonly #release: (block: Block) => void;
  readonly #place: Place;
  readonly #result: IteratorYieldResult<Frame>;
  #left: number;
  /**
   * The headers of the next frame and of the one behind it. A header is read long before its frame is looked at, because
   * memory answers late: the processor does not wait for it then.
   */
  #ahead: number;
  #further: number;

  /** @internal */
  constructor(place: Place, release: (block: Block) => void) {
    this.#place = place;
    this.#release = release;
    this.#left = this.length = place.size === 0 ? 0 : place.words[place.start / 4 + BLOCK_COUNT]!;
    this.#result = { done: false, value: new Frame(place) };
    const { words } = place;
    const start = place.start / 4;
    this.#ahead = start + (words[start + BLOCK_FIRST]! >>> 2);
    this.#further = this.#ahead + (words[this.#ahead + NEXT]! >>> 2);
  }

  /**
   * The next frame; the block is released where there is none.
   *
   * @throws TypeError as {@link PacketRing.release}.
   */
  next(): IteratorResult<Frame, undefined> {
    if (this.#left === 0) {
      this.#release(this);
      return END;
    }
    const { words } = this.#place;
    this.#place.frame = this.#ahead;
    this.#ahead = this.#further;
    this.#further += words[this.#further + NEXT]! >>> 2; // 0 behind the last
    this.#left--;
    return this.#result;
  }

  /** A loop was left: the block stays. */
  return(): IteratorResult<Frame, undefined> {
    return END;
  }

  [Symbol.iterator](): this {
    return this;
  }

  static {
    endBlock = (block, always = false) => {
      if (!block.#place.end() && !always) return false;
      block.#place.frame = 0;
      block.#left = 0;
      return true;
    };
  }
}

/** A ring of a packet socket: its memory is one mapping. */
abstract class PacketSocketRing extends Ring {
  protected readonly mapping: Mapping;
  protected readonly words: Uint32Array<ArrayBuffer>;
  protected readonly bytes: Uint8Array<ArrayBuffer>;

  /** @internal */
  constructor(ifname: string, size: number, prepare: (sock: Socket<"AF_PACKET">) => void) {
    const sock = new Socket(AF_PACKET, SOCK_RAW, 0); // without a protocol nothing comes before all is ready
    let mapping;
    try {
      sock.settimeout(null);
      sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3);
      prepare(sock);
      mapping = mapMemory(sock.fileno(), 0, size);
      if (typeof mapping === "number") throw systemError("mmap", mapping);
    } catch (error) {
      sock.close();
      throw error;
    }
    super(ifname, sock);
    this.mapping = mapping;
    this.words = new Uint32Array(mapping.whole);
    this.bytes = new Uint8Array(mapping.whole);
  }

  protected unmap(): void {
    detach(this.mapping.whole);
  }

  protected isGone(): boolean {
    return shim.bs_getsockname(this.fileno(), io) >= 0 && ioWords[IO_NAME_WORD + 1] === -1; // sll_ifindex
  }
}

const none = new Uint8Array(0);

/** The members of `struct tpacket_req3` that a ring sets. */
function request(blockSize: number, blockCount: number, frameSize: number, blockTimeout: number): Uint32Array {
  const frames = (blockSize / frameSize) * blockCount;
  return Uint32Array.of(blockSize, blockCount, frameSize, frames, blockTimeout, 0, 0);
}

/** What PACKET_FANOUT is set to. */
function fanoutOf(value: unknown): number {
  const given = optionsOf(value, "options.fanout", ["group", "type", "flags"]);
  const group = integer(given.group, "options.fanout.group", 0, 0xffff);
  const type = integer(given.type, "options.fanout.type", 0, 0xff);
  const flags = given.flags === undefined ? 0 : integer(given.flags, "options.fanout.flags", 0, 0xffff);
  return group | ((type | flags) << 16);
}

/** Checks that a ring of that many pieces is not too large. */
function limited(count: number, name: string, size: number): void {
  const most = Math.floor(RING_MAX / size);
  if (count > most) throw wrongValue(name, `at most ${most} of ${size} bytes`, count);
}

/**
 * A ring that receives frames: every one that an interface receives or sends and a filter passes, without a call or a copy
 * for each. Linux, with CAP_NET_RAW.
 *
 * The kernel fills blocks with frames, and hands over each that is full, or old enough. `block()` gives the next one without
 * a system call; `wait` blocks until there is one, `ready` and `for await` wait on the event loop. What comes while every
 * block is handed over and not released is dropped, and counted.
 *
 * Rings in several Workers share what comes by `fanout`; until it is in its group, a moment after it was opened, a ring
 * hears everything. Close a ring before its Worker is terminated: that closes no descriptor, and the kernel would go on to
 * fill it.
 *
 * @see https://docs.kernel.org/networking/packet_mmap.html and packet(7)
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { PacketRing } from "berkeley-sockets/packets";
 * using ring = new PacketRing("lo");
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * sock.sendto("hello", ["127.0.0.1", 7]);
 * let seen = false;
 * while (!seen && ring.wait(5)) {
 *   for (const frame of ring.block()) seen ||= frame.data.includes("hello");
 * }
 * console.log(seen); // true
 * ```
 */
export class PacketRing extends PacketSocketRing implements AsyncIterable<Frame> {
  readonly #blockSize: number;
  readonly #blockCount: number;
  readonly #empty: Block;
  readonly #statistics: PacketStatistics = { packets: 0, drops: 0, freezes: 0 };
  readonly #release = (block: Block): void => {
    if (block === this.#block) this.release();
  };
  /** The number of the block that comes next, or is being looked at. */
  #index = 0;
  #block: Block | null = null;

  /**
   * Opens a ring.
   *
   * @param ifname - The interface; `""` is every one.
   * @param options - See {@link PacketRingOptions}.
   * @throws OSError: ENODEV where there is no such interface, EPERM without CAP_NET_RAW, ENOMEM for a ring that is too large
   *   for the machine, EINVAL for a group of another type.
   */
  constructor(ifname: string, options?: PacketRingOptions) {
    const named = optionsOf(options, "options", [
      "protocol",
      "blockSize",
      "blockCount",
      "blockTimeout",
      "filter",
      "promiscuous",
      "fanout",
    ]);
    const protocol = named.protocol === undefined ? ETH_P_ALL : integer(named.protocol, "options.protocol", 1, 0xffff);
    const size = named.blockSize === undefined ? 1 << 18 : integer(named.blockSize, "options.blockSize", PAGE, 1 << 30);
    if (size % PAGE !== 0) throw wrongValue("options.blockSize", `a multiple of ${PAGE}`, size);
    const count = named.blockCount === undefined ? 64 : integer(named.blockCount, "options.blockCount", 1);
    limited(count, "options.blockCount", size);
    const after = named.blockTimeout === undefined ? 0.01 : seconds(named.blockTimeout, "options.blockTimeout");
    if (after === null || after < 0.001 || after > BLOCK_TIMEOUT_MAX) {
      throw wrongValue("options.blockTimeout", `seconds from 0.001 to ${BLOCK_TIMEOUT_MAX}`, after);
    }
    const promiscuous = named.promiscuous === undefined ? false : flag(named.promiscuous, "options.promiscuous");
    const fanout = named.fanout === undefined ? null : fanoutOf(named.fanout);
    const filter = named.filter === undefined ? null : pack(named.filter, "options.filter");
    if (PACKET_RX_RING === undefined) throw lacking("PacketRing", "on Linux only");
    const ifindex = interfaceIndex(ifname, "ifname", -1);
    if (promiscuous && ifindex === 0) throw wrongValue("ifname", "one interface, to be promiscuous", ifname);

    super(ifname, size * count, (sock) => {
      sock.setsockopt(SOL_PACKET, PACKET_RX_RING, request(size, count, FRAME_UNIT, Math.round(after * 1000)));
      if (filter !== null) attach(sock, filter, SO_ATTACH_FILTER);
      sock.bind([ifname, protocol]);
      if (promiscuous) {
        const membership = packet_mreq.encode({ ifindex, type: PACKET_MR_PROMISC });
        sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership);
      }
      if (fanout !== null) sock.setsockopt(SOL_PACKET, PACKET_FANOUT, fanout);
    });
    this.#blockSize = size;
    this.#blockCount = count;
    this.#empty = new Block(new Place(this.words, this.bytes, this.mapping, 0, 0, -1), this.#release);
  }

  /** Whether there is a block to look at. */
  #isReady = (): boolean =>
    this.#block !== null ||
    (Atomics.load(this.words, (this.#index * this.#blockSize) / 4 + BLOCK_STATUS) & TP_STATUS_USER) !== 0;

  /**
   * The block that was not looked at to its end, or the next one; an empty one where there is none yet. Does not wait, and
   * makes no system call.
   *
   * @throws OSError (EBADF) where the ring is closed.
   */
  block(): Block {
    this.open("recv");
    if (this.#block !== null) return this.#block;
    while (this.#isReady()) {
      const start = this.#index * this.#blockSize;
      const place = new Place(this.words, this.bytes, this.mapping, start, this.#blockSize, this.fileno());
      this.#block = new Block(place, this.#release);
      if (this.#block.length > 0) return this.#block;
      this.release(); // whose time was up before a frame was in it
    }
    return this.#empty;
  }

  /**
   * Gives the block that is being looked at back to the kernel: frames of it that nobody saw are lost. A loop that has seen
   * the last one does that by itself.
   *
   * @throws TypeError where an operation that has not ended uses a frame's data: the kernel would write over it. The block
   *   stays as it is, for another try.
   */
  release(): void {
    if (this.#block === null) return;
    if (!endBlock(this.#block)) throw new TypeError("frame: its data is in use by an operation that has not ended");
    this.#block = null;
    Atomics.store(this.words, (this.#index * this.#blockSize) / 4 + BLOCK_STATUS, TP_STATUS_KERNEL);
    this.#index = (this.#index + 1) % this.#blockCount;
  }

  /**
   * Waits for a block, and blocks the thread meanwhile.
   *
   * @param timeout - At most so many seconds; `null` for as long as it takes.
   * @returns Whether there is one.
   * @throws OSError: ENETDOWN once where the interface was shut down, and always where it is gone; EBADF.
   */
  wait(timeout: number | null = null): boolean {
    const limit = seconds(timeout, "timeout");
    this.open("recv");
    return this.waitFor(READABLE, "recv", limit, this.#isReady);
  }

  /**
   * Waits for a block.
   *
   * @param options - `signal`, to give up.
   * @returns A promise that is rejected as {@link PacketRing.wait} throws, with ECANCELED where the ring is closed meanwhile,
   *   or with the signal's reason.
   */
  async ready(options?: WaitOptions): Promise<void> {
    await this.whenReady(READABLE, "recv", signalIn(options), this.#isReady);
  }

  /**
   * The frames, as they come: `for await (const frame of ring.frames({ signal }))`. The loop ends where the ring is closed.
   * Between two blocks everything else has its turn. Left, it leaves the ring as it is.
   *
   * A promise for each frame takes longer than the frame: `await ring.ready()` and a loop over `ring.block()` do without.
   *
   * @throws What {@link PacketRing.ready} is rejected with.
   */
  frames(options?: WaitOptions): AsyncGenerator<Frame, undefined, undefined> {
    return this.framesBy(options, this.#isReady, () => this.block());
  }

  [Symbol.asyncIterator](): AsyncGenerator<Frame, undefined, undefined> {
    return this.frames();
  }

  /**
   * What was received and dropped since the ring was opened. (The system itself counts from one question to the next: who
   * asks it by `getsockopt` takes that from here.)
   *
   * @throws OSError (EBADF).
   */
  statistics(): PacketStatistics {
    const counted = this.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12); // struct tpacket_stats_v3
    const all = this.#statistics;
    all.packets += counted.readUInt32LE(0);
    all.drops += counted.readUInt32LE(4);
    all.freezes += counted.readUInt32LE(8);
    return { ...all };
  }

  override close(): void {
    // What an operation uses stays mapped until that has ended.
    if (this.#block !== null) endBlock(this.#block, true);
    this.#block = null;
    super.close();
  }
}

// A frame to be sent: its status, whose it is.
const TP_STATUS_AVAILABLE = 0;
const TP_STATUS_SEND_REQUEST = 1;
const TP_STATUS_SENDING = 2;
const TP_STATUS_WRONG_FORMAT = 4;

/** Where a frame to be sent begins behind its header, in bytes. */
const DATA = 48;

/** A transmit ring is made of blocks of at least so many bytes. */
const TRANSMIT_BLOCK = 65536;

/** What a {@link TransmitRing} takes by name. */
export interface TransmitRingOptions {
  /** Bytes of a slot, a power of two from 256 to 65536: 2048 by default. 48 of them are not for the frame. */
  frameSize?: number;
  /** How many slots, as many as fill blocks of 64 KiB: 1024 by default. */
  frameCount?: number;
}

/**
 * A ring that sends frames: they are written to memory that the kernel has too, any number of them, and one call sends them
 * all. Linux, with CAP_NET_RAW.
 *
 * `put` copies a frame to the next free slot; `reserve` and `commit` let it be written there in place. `flush` hands over
 * what is filled. A slot is free again when its frame has left.
 *
 * @see https://docs.kernel.org/networking/packet_mmap.html and packet(7)
 *
 * @example
 * ```ts
 * import { TransmitRing } from "berkeley-sockets/packets";
 * using ring = new TransmitRing("lo");
 * const frame = Buffer.alloc(60);
 * frame.writeUInt16BE(0x88b5, 12); // a protocol for experiments
 * for (let i = 0; i < 3; i++) ring.put(frame);
 * console.log(ring.flush()); // 3
 * ring.wait(5, ring.frameCount); // until all of them have left
 * console.log(ring.pending); // 0
 * ```
 */
export class TransmitRing extends PacketSocketRing {
  /** How many slots there are. */
  readonly frameCount: number;
  /** How long a frame may be, in bytes; the interface's own limit (its MTU) may be less. */
  readonly maxLength: number;
  readonly #frameSize: number;
  /** Each slot's room, made when it is first wanted. */
  readonly #rooms: (Buffer | undefined)[] = [];
  /** Counts of frames, from the first on: filled, handed over, gone. A frame's slot is its count, modulo the slots. */
  #filled = 0;
  #handed = 0;
  #gone = 0;
  /** The error of a frame that was refused, after others that were not. */
  #refused = 0;
  /** The room that the caller fills: the next frame's, unless a frame was given up meanwhile. */
  #reserved: Buffer | null = null;

  /**
   * Opens a ring.
   *
   * @param ifname - The interface.
   * @param options - See {@link TransmitRingOptions}.
   * @throws OSError: ENODEV where there is no such interface, EPERM without CAP_NET_RAW, ENOMEM.
   */
  constructor(ifname: string, options?: TransmitRingOptions) {
    const named = optionsOf(options, "options", ["frameSize", "frameCount"]);
    const size = named.frameSize === undefined ? 2048 : integer(named.frameSize, "options.frameSize", 256, 65536);
    if ((size & (size - 1)) !== 0) throw wrongValue("options.frameSize", "a power of two", size);
    const count = named.frameCount === undefined ? 1024 : integer(named.frameCount, "options.frameCount", 1);
    limited(count, "options.frameCount", size);
    const perBlock = TRANSMIT_BLOCK / size;
    if (count % perBlock !== 0) throw wrongValue("options.frameCount", `a multiple of ${perBlock}`, count);
    if (PACKET_TX_RING === undefined) throw lacking("TransmitRing", "on Linux only");
    if (interfaceIndex(ifname, "ifname", -1) === 0) throw wrongValue("ifname", "an interface", ifname);

    super(ifname, size * count, (sock) => {
      sock.setsockopt(SOL_PACKET, PACKET_TX_RING, request(TRANSMIT_BLOCK, count / perBlock, size, 0));
      sock.bind([ifname, 0]); // which receives nothing
    });
    this.frameCount = count;
    this.maxLength = size - DATA;
    this.#frameSize = size;
  }

  protected override open(syscall: string): void {
    super.open(syscall);
    if (this.bytes.length === 0) throw new TypeError("ring: its ArrayBuffer is detached");
  }

  /** The header of a frame, by words of the ring. */
  #at(frame: number): number {
    return ((frame % this.frameCount) * this.#frameSize) / 4;
  }

  /** Whose a frame is. */
  #status(frame: number): number {
    const bits = TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT;
    return Atomics.load(this.words, this.#at(frame) + STATUS) & bits;
  }

  #room(frame: number): Buffer {
    const slot = frame % this.frameCount;
    return (this.#rooms[slot] ??= Buffer.from(this.mapping.whole, slot * this.#frameSize + DATA, this.maxLength));
  }

  /** How many frames were filled and have not left yet, handed over or not. */
  get pending(): number {
    this.open("send");
    while (this.#gone < this.#handed && this.#status(this.#gone) === TP_STATUS_AVAILABLE) this.#gone++;
    return this.#filled - this.#gone;
  }

  /** Whether every slot is taken. */
  #isFull(): boolean {
    // Who waits for slots one by one shall not look at the whole ring each time.
    return this.#filled - this.#gone === this.frameCount && this.pending === this.frameCount;
  }

  /**
   * The room of the next frame, `maxLength` bytes with whatever they held; `null` where no slot is free. It is the same until
   * `commit`, or until `put` takes the slot. From then on it is the kernel's: what is written there later may be sent, too.
   *
   * @throws OSError (EBADF) where the ring is closed.
   */
  reserve(): Buffer | null {
    this.open("send");
    if (this.#reserved === null && !this.#isFull()) this.#reserved = this.#room(this.#filled);
    return this.#reserved;
  }

  /**
   * Fills the slot that `reserve` gave.
   *
   * @param length - How long the frame is, its link header with it.
   * @throws OSError (EBADF); TypeError where no slot is reserved.
   */
  commit(length: number): void {
    const n = integer(length, "length", 1, this.maxLength);
    this.open("send");
    const reserved = this.#reserved;
    if (reserved === null) throw new TypeError("commit: no slot is reserved");
    const room = this.#room(this.#filled);
    if (room !== reserved) room.set(reserved.subarray(0, n));
    this.#fill(n);
  }

  /**
   * Copies a frame to the next slot.
   *
   * @param data - The frame, its link header with it.
   * @returns Whether there was a slot free.
   * @throws RangeError where it is longer than a slot, or empty; OSError (EBADF).
   */
  put(data: BytesLike): boolean {
    const frame = bytesOf(bytes(data, "data"));
    if (frame.length === 0 || frame.length > this.maxLength) {
      throw wrongValue("data", `1 to ${this.maxLength} bytes`, frame.length);
    }
    this.open("send");
    if (this.#isFull()) return false;
    this.#room(this.#filled).set(frame);
    this.#fill(frame.length);
    return true;
  }

  #fill(length: number): void {
    const at = this.#at(this.#filled);
    this.words[at + LENGTH] = length;
    Atomics.store(this.words, at + STATUS, TP_STATUS_SEND_REQUEST);
    this.#filled++;
    this.#reserved = null;
  }

  /**
   * Hands what is filled over to the interface, by one call that does not wait.
   *
   * @returns How many frames it took; less than there are where it is busy.
   * @throws OSError: EMSGSIZE where the next frame is longer than the interface takes, EINVAL where it is shorter than its
   *   header: that frame is given up, and those behind it are for the next call. ENETDOWN, ENXIO, ENOBUFS: nothing is given
   *   up.
   */
  flush(): number {
    this.open("send");
    const before = this.#handed;
    let r = this.#refused;
    this.#refused = 0;
    if (r === 0) {
      r = shim.bs_send(this.fileno(), none, none, MSG_DONTWAIT, 0);
      let status = TP_STATUS_AVAILABLE;
      while (this.#handed < this.#filled) {
        status = this.#status(this.#handed);
        if (status === TP_STATUS_SEND_REQUEST || status === TP_STATUS_WRONG_FORMAT) break;
        this.#handed++;
      }
      if (status === TP_STATUS_WRONG_FORMAT) {
        this.#giveUp();
        if (this.#handed > before) this.#refused = r;
      }
    }
    if (this.#handed === before && r < 0 && r !== -EAGAIN) throw systemError("send", r);
    return this.#handed - before;
  }

  /** Takes the next frame out: the kernel goes on with the slot that it is in, so that those behind it move up. */
  #giveUp(): void {
    for (let frame = this.#handed; frame < this.#filled - 1; frame++) {
      const length = this.words[this.#at(frame + 1) + LENGTH]!;
      this.#room(frame).set(this.#room(frame + 1).subarray(0, length));
      this.words[this.#at(frame) + LENGTH] = length;
      Atomics.store(this.words, this.#at(frame) + STATUS, TP_STATUS_SEND_REQUEST);
    }
    this.#filled--;
    Atomics.store(this.words, this.#at(this.#filled) + STATUS, TP_STATUS_AVAILABLE);
  }

  /** Hands over what is filled, and tells whether so many slots are free. */
  #hasRoom(free: number): boolean {
    if (this.#handed < this.#filled) this.flush();
    if (this.#refused !== 0) this.flush(); // it was the last one, of which no later call would tell
    return this.frameCount - this.pending >= free;
  }

  /**
   * Hands over what is filled, and blocks the thread until slots are free.
   *
   * @param timeout - At most so many seconds; `null` for as long as it takes.
   * @param free - How many: one by default. With all of them, `frameCount`, everything has left.
   * @returns Whether they are free.
   * @throws OSError as {@link TransmitRing.flush}.
   */
  wait(timeout: number | null = null, free = 1): boolean {
    const limit = seconds(timeout, "timeout");
    const n = integer(free, "free", 1, this.frameCount);
    this.open("send");
    return this.waitFor(WRITABLE, "send", limit, () => this.#hasRoom(n));
  }

  /**
   * Hands over what is filled, and waits until slots are free.
   *
   * @param options - `signal`, to give up; `free`: how many, as of {@link TransmitRing.wait}.
   * @returns A promise that is rejected as {@link TransmitRing.flush} throws, with ECANCELED where the ring is closed
   *   meanwhile, or with the signal's reason.
   */
  async ready(options?: WaitOptions & { free?: number }): Promise<void> {
    const named = optionsOf(options, "options", ["signal", "free"]);
    const signal = signalOf(named.signal, "options.signal");
    const n = named.free === undefined ? 1 : integer(named.free, "options.free", 1, this.frameCount);
    await this.whenReady(WRITABLE, "send", signal, () => this.#hasRoom(n));
  }
}
