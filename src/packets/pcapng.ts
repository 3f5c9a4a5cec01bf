/**
 * Captures as files: the pcapng format of Wireshark, tcpdump and their like. See
 * https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html.
 *
 * A file is a row of blocks, each a type, its length, its content padded to four bytes, and its length again.
 */
import {
  bytes,
  byteLengthOf,
  bytesOf,
  integer,
  options as optionsOf,
  text,
  UINT_MAX,
  wrongType,
  wrongValue,
} from "../args.ts";
import { EBADF } from "../constants.ts";
import { systemError } from "../errors.ts";
import { ofFile } from "../sendfile.ts";
import type { PacketStatistics } from "./ring.ts";

/** `node:fs`, when a file is written: as in sendfile.ts. */
const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** What a {@link PcapngWriter} takes of a frame: one of a `PacketRing`, or any object like it. */
export interface CapturedFrame {
  /** The bytes that were captured. */
  readonly data: NodeJS.ArrayBufferView;
  /** How long the frame was, not less than its data: as long as that by default. */
  readonly length?: number;
  /** When it came: seconds since 1970. */
  readonly seconds: number;
  /** When it came: nanoseconds of the second. */
  readonly nanoseconds: number;
  /** The VLAN tag that the system took out of the frame; it is put back. `null` or nothing where there was none. */
  readonly vlan?: number | null;
  /** The protocol of that tag: 0x8100 by default. */
  readonly vlanProtocol?: number | null;
  /** To whom it went, `PACKET_*`: the file tells it as direction and kind of reception. */
  readonly packetType?: number;
}

/** What {@link PcapngWriter.addInterface} takes by name. */
export interface PcapngInterface {
  /** What a frame begins with, `LINKTYPE_*` of https://www.tcpdump.org/linktypes.html: 1, Ethernet, by default. */
  linkType?: number;
  /** The most bytes of a frame that are captured, with its VLAN's tag: what is longer is cut. 0, no limit, by default. */
  snapLength?: number;
}

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const STATISTICS = 5;
const PACKET = 6;

// Options of a section, of an interface, of a packet, of statistics.
const END_OF_OPTIONS = 0;
const USER_APPLICATION = 4;
const INTERFACE_NAME = 2;
const TIME_RESOLUTION = 9;
const PACKET_FLAGS = 2;
const RECEIVED = 4;
const DROPPED = 5;

/** The bytes of an Enhanced Packet Block without its data: the block's frame, five fields, the flags, the end. */
const PACKET_SIZE = 12 + 20 + 8 + 4;

const LINKTYPE_ETHERNET = 1;
const ETH_P_8021Q = 0x8100;

/** Where the tag of a VLAN stands in an Ethernet frame: behind both addresses. */
const TAG = 12;
const TAG_SIZE = 4;

const BUFFER = 1 << 18;

const padded = (n: number): number => Math.ceil(n / 4) * 4;

// Whence a frame came, and what it was: bits 0-1 and 2-4 of a packet's flags.
const INBOUND = 1;
const OUTBOUND = 2;
const UNICAST = 1 << 2;
const MULTICAST = 2 << 2;
const BROADCAST = 3 << 2;
const PROMISCUOUS = 4 << 2;
/** By `PACKET_HOST`, `_BROADCAST`, `_MULTICAST`, `_OTHERHOST`, `_OUTGOING`: the numbers 0 to 4. */
const kinds = [INBOUND | UNICAST, INBOUND | BROADCAST, INBOUND | MULTICAST, INBOUND | PROMISCUOUS, OUTBOUND];

/**
 * Writes captured frames to a pcapng file, which Wireshark, tshark and tcpdump read. Times are of nanoseconds.
 *
 * It collects what it writes, and writes by large pieces: `flush` and `close` write the rest.
 *
 * @example
 * ```ts
 * import { rmSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { PcapngWriter } from "berkeley-sockets/packets";
 * const path = join(tmpdir(), `example-${process.pid}.pcapng`);
 * {
 *   using file = new PcapngWriter(path);
 *   const lo = file.addInterface("lo");
 *   file.write({ data: Buffer.alloc(60), seconds: 1_700_000_000, nanoseconds: 5 }, lo);
 * }
 * console.log(Bun.file(path).size > 60); // true
 * rmSync(path);
 * ```
 */
export class PcapngWriter implements Disposable {
  #fd: number;
  readonly #isOwn: boolean;
  /** The link type of each interface, and the most bytes of its frames. */
  readonly #links: number[] = [];
  readonly #snaps: number[] = [];
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER);
  #length = 0;
  /** How much of that is written already: where a file takes a part only. */
  #written = 0;
  /** Whether the last try to write failed. */
  #isStuck = false;

  /**
   * Begins a file.
   *
   * @param file - A path, whose file is made or emptied, or a descriptor that is open for writing; that stays the caller's.
   * @throws OSError: ENOENT, EACCES, EISDIR.
   */
  constructor(file: string | number) {
    this.#isOwn = typeof file === "string";
    if (typeof file === "string") {
      const path = text(file, "file");
      this.#fd = ofFile("open", () => fs().openSync(path, "w"), path);
    } else if (typeof file === "number") {
      this.#fd = integer(file, "file", 0);
    } else {
      throw wrongType("file", "a path or a descriptor", file);
    }
    const application = Buffer.from("berkeley-sockets");
    const start = this.#begin(SECTION, 28 + 4 + application.length + 4);
    this.#u32(0x1a2b3c4d); // in the byte order of what follows
    this.#u32(1); // version 1.0
    this.#u32(UINT_MAX); // as long as the file
    this.#u32(UINT_MAX);
    this.#option(USER_APPLICATION, application);
    this.#end(start);
  }

  /**
   * Adds an interface: each frame is of one.
   *
   * @param name - Its name.
   * @param options - See {@link PcapngInterface}.
   * @returns Its number in the file, 0 for the first.
   */
  addInterface(name: string, options?: PcapngInterface): number {
    const bytes = Buffer.from(text(name, "name"));
    if (bytes.length > 0xffff) throw wrongValue("name", "at most 65535 bytes", name);
    const given = optionsOf(options, "options", ["linkType", "snapLength"]);
    const link =
      given.linkType === undefined ? LINKTYPE_ETHERNET : integer(given.linkType, "options.linkType", 0, 0xffff);
    const snap = given.snapLength === undefined ? 0 : integer(given.snapLength, "options.snapLength", 0, UINT_MAX);
    const start = this.#begin(INTERFACE, 20 + 4 + padded(bytes.length) + 8 + 4);
    this.#u32(link);
    this.#u32(snap);
    this.#option(INTERFACE_NAME, bytes);
    this.#option(TIME_RESOLUTION, Buffer.of(9)); // nanoseconds
    this.#end(start);
    this.#snaps.push(snap === 0 ? Infinity : snap);
    return this.#links.push(link) - 1;
  }

  /**
   * Writes a frame.
   *
   * @param frame - The frame: one of a `PacketRing`, or an object like it.
   * @param index - The interface that it came by, as `addInterface` numbered it.
   * @throws OSError: EBADF where the file is closed, ENOSPC, EPIPE; EAGAIN where the descriptor is non-blocking and full: the
   *   frame is not written then, and nothing before it is lost.
   */
  write(frame: CapturedFrame, index = 0): void {
    if (typeof frame !== "object" || frame === null) throw wrongType("frame", "a frame", frame);
    const link = this.#links[this.#interface(index)];
    const snap = this.#snaps[index]!;
    const { data: view, length, vlan, vlanProtocol, packetType, seconds, nanoseconds } = frame;
    if (!ArrayBuffer.isView(view)) throw wrongType("frame.data", "an ArrayBufferView", view);
    const data = bytesOf(bytes(view, "frame.data"));
    const here = byteLengthOf(data);
    const whole = length === undefined ? here : integer(length, "frame.length", here, UINT_MAX - TAG_SIZE);
    const s = integer(seconds, "frame.seconds", 0, UINT_MAX);
    const ns = integer(nanoseconds, "frame.nanoseconds", 0, 999_999_999);
    const tci = vlan === undefined || vlan === null ? -1 : integer(vlan, "frame.vlan", 0, 0xffff);
    const tpid =
      vlanProtocol === undefined || vlanProtocol === null
        ? ETH_P_8021Q
        : integer(vlanProtocol, "frame.vlanProtocol", 0, 0xffff);

    const hasPlace = link === LINKTYPE_ETHERNET && here >= TAG && snap >= TAG + TAG_SIZE;
    const tag = tci >= 0 && hasPlace ? TAG_SIZE : 0;
    const captured = Math.min(here + tag, snap);
    const start = this.#begin(PACKET, PACKET_SIZE + padded(captured));
    this.#u32(index);
    this.#time(s, ns);
    this.#u32(captured);
    this.#u32(whole + tag);
    const at = this.#length;
    if (tag > 0) {
      this.#buffer.set(data.subarray(0, TAG), at);
      this.#buffer.writeUInt16BE(tpid, at + TAG);
      this.#buffer.writeUInt16BE(tci, at + TAG + 2);
      this.#buffer.set(data.subarray(TAG, captured - TAG_SIZE), at + TAG + TAG_SIZE);
    } else {
      this.#buffer.set(captured < here ? data.subarray(0, captured) : data, at);
    }
    this.#pad(captured);
    this.#u16(PACKET_FLAGS);
    this.#u16(4);
    this.#u32(kinds[packetType ?? -1] ?? 0);
    this.#end(start);
  }

  /**
   * Writes how many frames an interface had, at the end as a rule: `file.statistics(ring.statistics())`.
   *
   * @param counts - What `PacketRing.statistics` returned.
   * @param index - The interface.
   * @throws OSError as {@link PcapngWriter.write}.
   */
  statistics(counts: Pick<PacketStatistics, "packets" | "drops">, index = 0): void {
    if (typeof counts !== "object" || counts === null) throw wrongType("counts", "an object of counts", counts);
    this.#interface(index);
    const { packets, drops } = counts;
    const received = integer(packets, "counts.packets", 0, Number.MAX_SAFE_INTEGER);
    const dropped = integer(drops, "counts.drops", 0, Number.MAX_SAFE_INTEGER);
    const now = Date.now();
    const start = this.#begin(STATISTICS, 24 + 12 + 12 + 4);
    this.#u32(index);
    this.#time(Math.floor(now / 1000), (now % 1000) * 1e6);
    for (const [option, count] of [
      [RECEIVED, received],
      [DROPPED, dropped],
    ] as const) {
      this.#u16(option);
      this.#u16(8);
      this.#u32(count % 2 ** 32);
      this.#u32(Math.floor(count / 2 ** 32));
    }
    this.#end(start);
  }

  /** Writes what was collected. @throws OSError as {@link PcapngWriter.write}. */
  flush(): void {
    this.#open();
    this.#isStuck = true;
    while (this.#written < this.#length) {
      const left = this.#length - this.#written;
      this.#written += ofFile("write", () => fs().writeSync(this.#fd, this.#buffer, this.#written, left));
    }
    this.#written = this.#length = 0;
    this.#isStuck = false;
  }

  /**
   * Writes the rest, and closes the file unless it was a descriptor. Twice is nothing.
   *
   * @throws OSError as {@link PcapngWriter.write}; the file is closed all the same.
   */
  close(): void {
    if (this.#fd < 0) return;
    try {
      this.flush();
    } finally {
      const fd = this.#fd;
      this.#fd = -1;
      if (this.#isOwn) ofFile("close", () => fs().closeSync(fd));
    }
  }

  /** As {@link PcapngWriter.close}; what could not be written, of which that call told, is not tried again. */
  [Symbol.dispose](): void {
    if (this.#isStuck) this.#written = this.#length = 0;
    this.close();
  }

  #open(): void {
    if (this.#fd < 0) throw systemError("write", -EBADF);
  }

  #interface(index: unknown): number {
    this.#open();
    const n = integer(index, "index", 0, UINT_MAX);
    if (n >= this.#links.length) throw wrongValue("index", "an interface that was added", index);
    return n;
  }

  /** Begins a block of so many bytes, and makes room for it. */
  #begin(type: number, size: number): number {
    this.#open();
    if (this.#length + size > this.#buffer.length) this.flush();
    if (size > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(size);
    const start = this.#length;
    this.#u32(type);
    this.#u32(size);
    return start;
  }

  #end(start: number): void {
    this.#u16(END_OF_OPTIONS);
    this.#u16(0);
    this.#u32(this.#buffer.readUInt32LE(start + 4));
  }

  #u16(value: number): void {
    this.#length = this.#buffer.writeUInt16LE(value, this.#length);
  }

  #u32(value: number): void {
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  /** A time in nanoseconds, 64 bits: the upper half, then the lower. */
  #time(seconds: number, nanoseconds: number): void {
    // 10⁹ is 15258 × 2¹⁶ + 51712: each product is less than 2⁵³.
    const upper = seconds * 15258;
    const lower = (upper % 65536) * 65536 + seconds * 51712 + nanoseconds;
    this.#u32(Math.floor(upper / 65536) + Math.floor(lower / 2 ** 32));
    this.#u32(lower % 2 ** 32);
  }

  #option(code: number, value: Buffer): void {
    this.#u16(code);
    this.#u16(value.length);
    this.#buffer.set(value, this.#length);
    this.#pad(value.length);
  }

  /** Goes over so many bytes that were written, and what pads them. */
  #pad(length: number): void {
    const end = this.#length + padded(length);
    this.#buffer.fill(0, this.#length + length, end);
    this.#length = end;
  }
}
