/**
 * AF_XDP: frames that a program takes from an interface before the system's network stack sees them, into memory of this
 * process. See https://docs.kernel.org/networking/af_xdp.html. Linux.
 *
 * The memory (UMEM) consists of chunks, a frame each. Four rings tell of them: to the kernel go chunks to be filled (fill) and
 * frames to be sent (transmit), from it come frames that were received (receive) and chunks that were sent (completion). Half
 * of the chunks are for receiving, half for sending. Each ring has a count of what was put in and one of what was taken out,
 * which are read and written by Atomics, so that what they tell of is seen after them and left before them.
 */
import {
  type BytesLike,
  bytes,
  bytesOf,
  integer,
  lacking,
  options as optionsOf,
  seconds,
  wrongValue,
} from "../args.ts";
import { AF_XDP, EAGAIN, EBUSY, ENOBUFS, MSG_DONTWAIT, SOCK_RAW, SOL_XDP } from "../constants.ts";
import { OSError, systemError } from "../errors.ts";
import { interfaceIndex } from "../families/interface.ts";
import { type Mapping, mapMemory, READABLE, shim, slicesOf, WRITABLE } from "../native.ts";
import type { WaitOptions } from "../promises/names.ts";
import { signalOf } from "../promises/waits.ts";
import { Socket } from "../socket.ts";
import { detach, END, FrameBytes, released, Ring, signalIn, within } from "./common.ts";

// linux/if_xdp.h
const XDP_MMAP_OFFSETS = 1;
const XDP_RX_RING = 2;
const XDP_TX_RING = 3;
const XDP_UMEM_REG = 4;
const XDP_UMEM_FILL_RING = 5;
const XDP_UMEM_COMPLETION_RING = 6;
const XDP_STATISTICS = 7;
const XDP_COPY = 1 << 1;
const XDP_PGOFF_RX_RING = 0;
const XDP_PGOFF_TX_RING = 0x80000000;
const XDP_UMEM_PGOFF_FILL_RING = 0x100000000;
const XDP_UMEM_PGOFF_COMPLETION_RING = 0x180000000;

// linux/bpf.h
const BPF_MAP_CREATE = 0;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const BPF_MAP_TYPE_XSKMAP = 17;
const BPF_PROG_TYPE_XDP = 6;
const BPF_XDP = 37;
const BPF_FUNC_redirect_map = 51;
const XDP_PASS = 2;
const XDP_FLAGS_SKB_MODE = 1 << 1;

/** The most queues of an interface that the program knows. */
const QUEUES = 1024;

/** What an {@link XdpSocket} takes by name. */
export interface XdpSocketOptions {
  /** The interface's queue: 0 by default. What comes by others goes its usual way. */
  queue?: number;
  /** Bytes of a chunk, 2048 or 4096: 2048 by default. 256 of a received frame's are not for the frame. */
  frameSize?: number;
  /** How many chunks, half of them to receive and half to send: a power of two from 2 to 131072, 4096 by default. */
  frameCount?: number;
}

/** What an {@link XdpSocket} counted; see {@link XdpSocket.statistics}. */
export interface XdpStatistics {
  /** Frames that were dropped because no chunk was there to be filled, or because they are longer than one. */
  dropped: number;
  /** Frames that were dropped because the receive ring was full. */
  ringFull: number;
  /** How often no chunk was there to be filled. */
  noChunk: number;
  /** Chunks and frames that the kernel found invalid. */
  invalid: number;
}

/** One of the four rings. */
class Queue {
  readonly mapping: Mapping;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly #put: number;
  readonly #taken: number;
  /** Where the entries begin, by words. */
  readonly entries: number;
  readonly mask: number;

  /** @param offsets - `struct xdp_ring_offset`, from a byte of the answer to XDP_MMAP_OFFSETS on. */
  constructor(fd: number, at: number, offsets: Buffer, from: number, count: number, entrySize: number) {
    const desc = offsets.readUInt32LE(from + 16);
    const mapping = mapMemory(fd, at, desc + count * entrySize);
    if (typeof mapping === "number") throw systemError("mmap", mapping);
    this.mapping = mapping;
    this.words = new Uint32Array(mapping.whole);
    this.#put = offsets.readUInt32LE(from) / 4;
    this.#taken = offsets.readUInt32LE(from + 8) / 4;
    this.entries = desc / 4;
    this.mask = count - 1;
  }

  /** How many entries were put in, modulo 2³². */
  get put(): number {
    return Atomics.load(this.words, this.#put);
  }

  set put(count: number) {
    Atomics.store(this.words, this.#put, count >>> 0);
  }

  /** How many entries were taken out, modulo 2³². */
  get taken(): number {
    return Atomics.load(this.words, this.#taken);
  }

  set taken(count: number) {
    Atomics.store(this.words, this.#taken, count >>> 0);
  }
}

/** Where an iteration of a block is; see `Place` of ring.ts. */
class Place {
  /** The frame's first byte in the memory; -1 where there is none. */
  frame = -1;
  length = 0;
}

/**
 * A frame of an {@link XdpBlock}: one object for all frames of a block, which the loop moves from one to the next. Once its
 * block is released, every property throws a TypeError.
 */
export class XdpFrame extends FrameBytes {
  readonly #place: Place;
  readonly #bytes: Uint8Array;

  /** @internal */
  constructor(place: Place, bytes: Uint8Array) {
    super(bytes);
    this.#place = place;
    this.#bytes = bytes;
  }

  /** How long it is, in bytes. */
  get length(): number {
    if (this.#place.frame < 0) throw released();
    return this.#place.length;
  }

  /** The frame: a copy, which stays good. */
  get data(): Buffer {
    const { frame, length } = this.#place;
    if (frame < 0) throw released();
    return Buffer.copyBytesFrom(this.#bytes, frame, length);
  }

  protected find(at: number, size: number): number {
    within(at, size, this.length);
    return this.#place.frame + at;
  }
}

/** Ends a block: no frame of it is good any more. */
let endBlock: (block: XdpBlock) => void;

/**
 * What an {@link XdpSocket} has received, to be looked at once: as `Block` of a packet ring, the loop that has seen the last
 * frame releases it, and one that is left before keeps it.
 */
export class XdpBlock implements IterableIterator<XdpFrame, undefined> {
  /** How many frames it had. */
  readonly length: number;
  readonly #release: (block: XdpBlock) => void;
  readonly #received: Queue;
  readonly #place = new Place();
  readonly #result: IteratorYieldResult<XdpFrame>;
  #next: number;
  #left: number;

  /** @internal */
  constructor(received: Queue, length: number, bytes: Uint8Array, release: (block: XdpBlock) => void) {
    this.#received = received;
    this.#release = release;
    this.#left = this.length = length;
    this.#next = received.taken;
    this.#result = { done: false, value: new XdpFrame(this.#place, bytes) };
  }

  static {
    endBlock = (block) => {
      block.#left = 0;
      block.#place.frame = -1;
    };
  }

  /** The next frame; the block is released where there is none. */
  next(): IteratorResult<XdpFrame, undefined> {
    if (this.#left === 0) {
      this.#release(this);
      return END;
    }
    const { words, entries, mask } = this.#received;
    const entry = entries + 4 * (this.#next & mask); // struct xdp_desc: the address in 64 bits, the length, options
    this.#place.frame = words[entry]!;
    this.#place.length = words[entry + 2]!;
    this.#next++;
    this.#left--;
    return this.#result;
  }

  /** A loop was left: the block stays. */
  return(): IteratorResult<XdpFrame, undefined> {
    return END;
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** A descriptor of bpf(2), or its error. */
function bpf(syscall: string, command: number, attribute: Uint32Array): number {
  const r = shim.bs_bpf(command, attribute, attribute);
  if (r < 0) throw systemError(`bpf ${syscall}`, r);
  return r;
}

/** The program whose address the system is told just now: while it is here, its memory is not freed. */
const held = new Set<Uint8Array>();

/** bpf(2) with addresses of memory at some words of the attribute. */
function bpfWith(
  syscall: string,
  command: number,
  attribute: Uint32Array,
  memory: readonly (readonly [word: number, bytes: Uint8Array])[],
): number {
  for (const [, one] of memory) held.add(one);
  try {
    // Nothing of the caller's runs from the pointers to the call.
    const slices = slicesOf(memory.map(([, one]) => one));
    for (const [i, [word]] of memory.entries()) attribute.set(slices.subarray(4 * i, 4 * i + 2), word);
    return bpf(syscall, command, attribute);
  } finally {
    for (const [, one] of memory) held.delete(one);
  }
}

/** The program: a frame of a queue goes to the queue's socket in the map, where there is one, and else its usual way. */
function program(map: number): Uint8Array {
  const instructions: [code: number, registers: number, offset: number, immediate: number][] = [
    [0x61, 0x12, 16, 0], // r2 = context->rx_queue_index
    [0x18, 0x11, 0, map], // r1 = the map, in two instructions
    [0, 0, 0, 0],
    [0xb7, 0x03, 0, XDP_PASS], // r3 = what happens where the map has no socket
    [0x85, 0, 0, BPF_FUNC_redirect_map], // r0 = redirect(r1, r2, r3)
    [0x95, 0, 0, 0], // return r0
  ];
  const packed = Buffer.alloc(8 * instructions.length);
  for (const [i, [code, registers, offset, immediate]] of instructions.entries()) {
    packed.writeUInt8(code, 8 * i);
    packed.writeUInt8(registers, 8 * i + 1);
    packed.writeInt16LE(offset, 8 * i + 2);
    packed.writeInt32LE(immediate, 8 * i + 4);
  }
  return packed;
}

/** Has an interface give the frames of a queue to a socket: a descriptor, for as long as it does. */
function redirect(sock: Socket, ifindex: number, queue: number): number {
  const opened: number[] = [];
  try {
    const map = bpf("map_create", BPF_MAP_CREATE, Uint32Array.of(BPF_MAP_TYPE_XSKMAP, 4, 4, QUEUES, 0));
    opened.push(map);
    const load = new Uint32Array(12);
    const code = program(map);
    load.set([BPF_PROG_TYPE_XDP, code.length / 8]);
    const loaded = bpfWith("prog_load", BPF_PROG_LOAD, load, [
      [2, code],
      [4, Buffer.from("MIT\0")],
    ]);
    opened.push(loaded);
    const update = new Uint32Array(8);
    update[0] = map;
    bpfWith("map_update", BPF_MAP_UPDATE_ELEM, update, [
      [2, new Uint8Array(Uint32Array.of(queue).buffer)],
      [4, new Uint8Array(Uint32Array.of(sock.fileno()).buffer)],
    ]);
    return bpf("link_create", BPF_LINK_CREATE, Uint32Array.of(loaded, ifindex, BPF_XDP, XDP_FLAGS_SKB_MODE));
  } finally {
    for (const fd of opened) shim.bs_close(fd); // the link has what it needs
  }
}

/** How often, every millisecond, it is tried to bind a socket to a queue that is busy. */
const TRIES = 100;

/** Binds a socket to a queue. The kernel frees the queue of a socket that was closed a moment later. */
function bindTo(sock: Socket, name: Uint8Array, ifname: string): void {
  for (let tries = TRIES; ; tries--) {
    try {
      return sock.bind([AF_XDP as number, name] as never);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      // The name of AF_XDP is one that nobody could read.
      if (tries === 0 || error.errno !== EBUSY) throw systemError("bind", -error.errno, ifname);
      Bun.sleepSync(1);
    }
  }
}

/** Links whose sockets were collected without having been closed. */
const forgotten = new FinalizationRegistry<{ link: number }>(({ link }) => {
  if (link >= 0) shim.bs_close(link);
});

const none = new Uint8Array(0);

/**
 * A socket that takes the frames of an interface's queue before the network stack does, and sends frames past it. Linux 5.9
 * or later, with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF (as root).
 *
 * While it is open, what comes by its queue comes here alone: nothing else of the system sees it. It uses the interface's
 * generic mode, which every device has, and in which frames are copied once; an interface has one such program at a time.
 *
 * `block()` gives what was received without a system call; `wait` and `ready` wait for it. `put` fills chunks, `flush` sends
 * them; `waitToSend` and `readyToSend` wait for room.
 *
 * @see https://docs.kernel.org/networking/af_xdp.html and bpf(2)
 *
 * @example
 * ```ts
 * import { OSError } from "berkeley-sockets";
 * import { XdpSocket } from "berkeley-sockets/packets";
 * try {
 *   using sock = new XdpSocket("xdp0", { queue: 0 });
 *   while (sock.wait(1)) {
 *     for (const frame of sock.block()) {
 *       if (frame.uint16(12) === 0x88b5) sock.put(frame.data); // back to the wire
 *     }
 *     sock.flush();
 *   }
 * } catch (error) {
 *   if (!(error instanceof OSError)) throw error;
 *   console.log(error.code); // ENODEV
 * }
 * ```
 */
export class XdpSocket extends Ring implements AsyncIterable<XdpFrame> {
  /** How long a frame may be that is sent, in bytes; the interface's own limit (its MTU) may be less. */
  readonly maxLength: number;
  /** How many chunks there are to send. */
  readonly frameCount: number;
  readonly #memory: Mapping;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #fill: Queue;
  readonly #received: Queue;
  readonly #sent: Queue;
  readonly #completed: Queue;
  /** Chunks to send that are free: the first `#freeCount` of these. */
  readonly #free: Uint32Array;
  #freeCount: number;
  /** How many frames were filled, modulo 2³². */
  #filled = 0;
  readonly #handle: { link: number };
  readonly #empty: XdpBlock;
  #block: XdpBlock | null = null;

  /**
   * Opens a socket, and has the interface give it what comes.
   *
   * @param ifname - The interface.
   * @param options - See {@link XdpSocketOptions}.
   * @throws OSError: ENODEV where there is no such interface, EPERM without the rights, EBUSY where the interface has a
   *   program already or the queue a socket, EINVAL where there is no such queue, ENOBUFS where memory may not be locked
   *   (RLIMIT_MEMLOCK).
   */
  constructor(ifname: string, options?: XdpSocketOptions) {
    const named = optionsOf(options, "options", ["queue", "frameSize", "frameCount"]);
    const queue = named.queue === undefined ? 0 : integer(named.queue, "options.queue", 0, QUEUES - 1);
    const size = named.frameSize === undefined ? 2048 : integer(named.frameSize, "options.frameSize", 2048, 4096);
    if (size !== 2048 && size !== 4096) throw wrongValue("options.frameSize", "2048 or 4096", size);
    const all = named.frameCount === undefined ? 4096 : integer(named.frameCount, "options.frameCount", 2, 1 << 17);
    if ((all & (all - 1)) !== 0) throw wrongValue("options.frameCount", "a power of two", all);
    if (AF_XDP === undefined) throw lacking("XdpSocket", "on Linux only");
    const ifindex = interfaceIndex(ifname, "ifname", -1);
    if (ifindex === 0) throw wrongValue("ifname", "an interface", ifname);

    const half = all / 2;
    const sock = new Socket(AF_XDP as number, SOCK_RAW, 0);
    const opened: Mapping[] = [];
    let link: number;
    let queues: Queue[];
    try {
      sock.settimeout(null);
      const memory = mapMemory(-1, 0, all * size);
      if (typeof memory === "number") throw systemError("mmap", memory);
      opened.push(memory);
      const register = new Uint32Array(8); // struct xdp_umem_reg: address, length, size of a chunk, headroom, flags
      register.set([memory.address % 2 ** 32, Math.floor(memory.address / 2 ** 32), all * size, 0, size]);
      sock.setsockopt(SOL_XDP, XDP_UMEM_REG, register);
      for (const option of [XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING]) {
        sock.setsockopt(SOL_XDP, option, half);
      }
      const offsets = sock.getsockopt(SOL_XDP, XDP_MMAP_OFFSETS, 128);
      queues = (
        [
          [XDP_PGOFF_RX_RING, 0, 16],
          [XDP_PGOFF_TX_RING, 32, 16],
          [XDP_UMEM_PGOFF_FILL_RING, 64, 8],
          [XDP_UMEM_PGOFF_COMPLETION_RING, 96, 8],
        ] as const
      ).map(([at, from, entrySize]) => {
        const one = new Queue(sock.fileno(), at, offsets, from, half, entrySize);
        opened.push(one.mapping);
        return one;
      });
      const name = new Uint8Array(14); // struct sockaddr_xdp, without the family
      new DataView(name.buffer).setUint16(0, XDP_COPY, true);
      new DataView(name.buffer).setUint32(2, ifindex, true);
      new DataView(name.buffer).setUint32(6, queue, true);
      bindTo(sock, name, ifname);
      link = redirect(sock, ifindex, queue);
    } catch (error) {
      sock.close();
      for (const mapping of opened) detach(mapping.whole);
      throw error;
    }

    super(ifname, sock);
    [this.#received, this.#sent, this.#fill, this.#completed] = queues as [Queue, Queue, Queue, Queue];
    this.#memory = opened[0]!;
    this.#bytes = new Uint8Array(this.#memory.whole);
    this.#handle = { link };
    forgotten.register(this, this.#handle);
    this.maxLength = size;
    this.frameCount = half;
    this.#free = Uint32Array.from({ length: half }, (_, i) => (half + i) * size);
    this.#freeCount = half;
    const { words, entries } = this.#fill;
    for (let i = 0; i < half; i++) words[entries + 2 * i] = i * size;
    this.#fill.put = half;
    this.#empty = new XdpBlock(this.#received, 0, this.#bytes, this.#release);
  }

  readonly #release = (block: XdpBlock): void => {
    if (block === this.#block) this.release();
  };

  #isReady = (): boolean => this.#block !== null || this.#received.put !== this.#received.taken;

  /**
   * The block that was not looked at to its end, or all that was received since; an empty one where there is nothing. Does
   * not wait, and makes no system call.
   *
   * @throws OSError (EBADF) where the socket is closed.
   */
  block(): XdpBlock {
    this.open("recv");
    if (this.#block !== null) return this.#block;
    const count = (this.#received.put - this.#received.taken) >>> 0;
    if (count === 0) return this.#empty;
    return (this.#block = new XdpBlock(this.#received, count, this.#bytes, this.#release));
  }

  /** Gives the chunks of the block that is being looked at back to the kernel: frames that nobody saw are lost. */
  release(): void {
    if (this.#block === null) return;
    endBlock(this.#block);
    const { length } = this.#block;
    this.#block = null;
    const { taken } = this.#received;
    const { put } = this.#fill;
    for (let i = 0; i < length; i++) {
      const from = this.#received.entries + 4 * ((taken + i) & this.#received.mask);
      const to = this.#fill.entries + 2 * ((put + i) & this.#fill.mask);
      this.#fill.words[to] = this.#received.words[from]! & -this.maxLength; // where its chunk begins
      this.#fill.words[to + 1] = 0;
    }
    this.#received.taken = taken + length;
    this.#fill.put = put + length;
  }

  /**
   * Waits for frames, and blocks the thread meanwhile.
   *
   * @param timeout - At most so many seconds; `null` for as long as it takes.
   * @returns Whether there are some.
   * @throws OSError: ENETDOWN where the interface is gone; EBADF.
   */
  wait(timeout: number | null = null): boolean {
    const limit = seconds(timeout, "timeout");
    this.open("recv");
    return this.waitFor(READABLE, "recv", limit, this.#isReady);
  }

  /**
   * Waits for frames.
   *
   * @param options - `signal`, to give up.
   * @returns A promise that is rejected as {@link XdpSocket.wait} throws, with ECANCELED where the socket is closed meanwhile,
   *   or with the signal's reason.
   */
  async ready(options?: WaitOptions): Promise<void> {
    await this.whenReady(READABLE, "recv", signalIn(options), this.#isReady);
  }

  /**
   * The frames, as they come; see `PacketRing.frames`. The loop ends where the socket is closed.
   *
   * @throws What {@link XdpSocket.ready} is rejected with.
   */
  frames(options?: WaitOptions): AsyncGenerator<XdpFrame, undefined, undefined> {
    return this.framesBy(options, this.#isReady, () => this.block());
  }

  [Symbol.asyncIterator](): AsyncGenerator<XdpFrame, undefined, undefined> {
    return this.frames();
  }

  /** Takes back the chunks whose frames have left. */
  #reap(): void {
    const { taken, put, words, entries, mask } = this.#completed;
    const count = (put - taken) >>> 0;
    for (let i = 0; i < count; i++) this.#free[this.#freeCount++] = words[entries + 2 * ((taken + i) & mask)]!;
    if (count > 0) this.#completed.taken = taken + count;
  }

  /** How many frames were filled and have not left yet, handed over or not. */
  get pending(): number {
    this.open("send");
    this.#reap();
    return this.frameCount - this.#freeCount;
  }

  /**
   * Copies a frame to a free chunk.
   *
   * @param data - The frame, its link header with it.
   * @returns Whether there was one free.
   * @throws RangeError where it is longer than a chunk, or empty; OSError (EBADF).
   */
  put(data: BytesLike): boolean {
    const frame = bytesOf(bytes(data, "data"));
    const { length } = frame;
    if (length === 0 || length > this.maxLength) throw wrongValue("data", `1 to ${this.maxLength} bytes`, length);
    this.open("send");
    if (this.#freeCount === 0) this.#reap();
    if (this.#freeCount === 0) return false;
    const chunk = this.#free[--this.#freeCount]!;
    this.#bytes.set(frame, chunk);
    const { words, entries, mask } = this.#sent;
    const entry = entries + 4 * (this.#filled & mask);
    words[entry] = chunk;
    words[entry + 1] = 0;
    words[entry + 2] = length;
    words[entry + 3] = 0;
    this.#filled = (this.#filled + 1) >>> 0;
    return true;
  }

  /**
   * Hands what is filled over to the interface, without waiting.
   *
   * @returns How many frames it said that it took; less than there are where it is busy.
   * @throws OSError: EBUSY where the interface has dropped the next frame (it has no carrier, or cannot send it); ENETDOWN,
   *   ENXIO where it is down or gone.
   */
  flush(): number {
    this.open("send");
    this.#sent.put = this.#filled;
    const before = this.#sent.taken;
    let taken = before;
    // The kernel sends some dozens at a call. Older ones tell how many they took only once they have taken all, but each tells
    // what has left.
    for (let goesOn = taken !== this.#filled; goesOn;) {
      const last = taken;
      const left = this.#completed.put;
      const r = shim.bs_send(this.fileno(), none, none, MSG_DONTWAIT, 0);
      taken = this.#sent.taken;
      if (r === -EBUSY || (r < 0 && r !== -EAGAIN && r !== -ENOBUFS && taken === before)) throw systemError("send", r);
      goesOn = taken !== this.#filled && (taken !== last || this.#completed.put !== left);
    }
    return (taken - before) >>> 0;
  }

  /** Hands over what is filled, and tells whether so many chunks are free. */
  #hasRoom(free: number): boolean {
    if (this.#sent.taken !== this.#filled) this.flush();
    return this.frameCount - this.pending >= free;
  }

  /**
   * Hands over what is filled, and blocks the thread until chunks are free.
   *
   * @param timeout - At most so many seconds; `null` for as long as it takes.
   * @param free - How many: one by default. With all of them, `frameCount`, everything has left.
   * @returns Whether they are free.
   * @throws OSError as {@link XdpSocket.flush}.
   */
  waitToSend(timeout: number | null = null, free = 1): boolean {
    const limit = seconds(timeout, "timeout");
    const n = integer(free, "free", 1, this.frameCount);
    this.open("send");
    return this.waitFor(WRITABLE, "send", limit, () => this.#hasRoom(n));
  }

  /**
   * Hands over what is filled, and waits until chunks are free.
   *
   * @param options - `signal`, to give up; `free`: how many, as of {@link XdpSocket.waitToSend}.
   * @returns A promise that is rejected as {@link XdpSocket.flush} throws, with ECANCELED where the socket is closed
   *   meanwhile, or with the signal's reason.
   */
  async readyToSend(options?: WaitOptions & { free?: number }): Promise<void> {
    const named = optionsOf(options, "options", ["signal", "free"]);
    const signal = signalOf(named.signal, "options.signal");
    const n = named.free === undefined ? 1 : integer(named.free, "options.free", 1, this.frameCount);
    await this.whenReady(WRITABLE, "send", signal, () => this.#hasRoom(n));
  }

  /**
   * What was dropped since the socket was opened.
   *
   * @throws OSError (EBADF).
   */
  statistics(): XdpStatistics {
    const counted = this.getsockopt(SOL_XDP, XDP_STATISTICS, 48); // struct xdp_statistics
    const count = (i: number): number => counted.readUInt32LE(8 * i) + counted.readUInt32LE(8 * i + 4) * 2 ** 32;
    return { dropped: count(0), invalid: count(1) + count(2), ringFull: count(3), noChunk: count(4) };
  }

  override close(): void {
    if (this.#block !== null) endBlock(this.#block);
    this.#block = null;
    super.close();
  }

  protected unmap(): void {
    shim.bs_close(this.#handle.link); // the interface's frames go their usual way again
    this.#handle.link = -1;
    for (const { mapping } of [this.#received, this.#sent, this.#fill, this.#completed]) detach(mapping.whole);
    detach(this.#memory.whole);
  }

  /** poll(2) of such a socket tells of no error. */
  protected override get patience(): number {
    return 1;
  }

  /** It tells that it is down when it is gone, and not before. */
  protected isGone(): boolean {
    return true;
  }
}
