/** Two networks with a wire between, and rings on its ends. */
import { readFileSync } from "node:fs";
import { AF_PACKET, SOCK_RAW, Socket } from "../../src/index.ts";
import {
  type Frame,
  PacketRing,
  type PacketRingOptions,
  TransmitRing,
  type TransmitRingOptions,
} from "../../src/packets.ts";
import { slowness } from "../help.ts";
import { join, Network } from "../networks.ts";

/** ETH_P_802_EX1: a number that is free for experiments. No program on the way knows it. */
export const PROTOCOL = 0x88b5;

export const MAC = Buffer.from("0200000000a0", "hex");
export const PEER = Buffer.from("0200000000b0", "hex");
export const ALL = Buffer.from("ffffffffffff", "hex");
export const GROUP = Buffer.from("01005e010203", "hex");
export const NOBODY = Buffer.from("0200000000c0", "hex");

/** For how many seconds a test waits for what has to come. */
export const PATIENCE = 5 * slowness;

const colons = (mac: Buffer): string => mac.toString("hex").match(/../g)!.join(":");

/** A network with `here0`, joined to one with `there0`. What is opened is closed with it. */
export class Wire implements Disposable {
  readonly here = new Network();
  readonly there = new Network();
  readonly #opened: Disposable[] = [];

  constructor() {
    join(this.here, "here0", this.there, "there0");
    this.here.ip(`link set here0 address ${colons(MAC)}`);
    this.there.ip(`link set there0 address ${colons(PEER)}`);
  }

  add<T extends Disposable>(one: T): T {
    this.#opened.push(one);
    return one;
  }

  /** A ring that receives at the other end. */
  ring(options: PacketRingOptions = {}): PacketRing {
    return this.add(this.there.inside(() => new PacketRing("there0", { protocol: PROTOCOL, ...options })));
  }

  /** A ring that sends at this end. */
  transmitRing(options?: TransmitRingOptions): TransmitRing {
    return this.add(this.here.inside(() => new TransmitRing("here0", options)));
  }

  /** A socket that sends at this end, and receives nothing. */
  sender(): Socket<"AF_PACKET"> {
    return this.here.inside(() => {
      const sock = this.add(new Socket(AF_PACKET, SOCK_RAW, 0));
      sock.bind(["here0", 0]);
      return sock;
    });
  }

  /** A socket that receives at the other end. */
  receiver(proto = PROTOCOL): Socket<"AF_PACKET"> {
    return this.there.inside(() => {
      const sock = this.add(new Socket(AF_PACKET, SOCK_RAW, 0));
      sock.settimeout(PATIENCE);
      sock.bind(["there0", proto]);
      return sock;
    });
  }

  [Symbol.dispose](): void {
    for (const one of this.#opened) one[Symbol.dispose]();
    this.here[Symbol.dispose]();
    this.there[Symbol.dispose]();
  }
}

/** An Ethernet frame with a text in it, as long as the shortest or as it has to be. */
export function frame(to: Buffer, from: Buffer, text: string, protocol = PROTOCOL): Buffer {
  const head = Buffer.concat([to, from, Buffer.from([protocol >> 8, protocol & 255])]);
  return Buffer.concat([head, Buffer.from(text), Buffer.alloc(Math.max(0, 46 - text.length))]);
}

/** What `look` makes of the next `count` frames of a ring. */
export function take<T>(ring: PacketRing, count: number, look: (frame: Frame) => T): T[] {
  const seen: T[] = [];
  while (seen.length < count) {
    if (!ring.wait(PATIENCE)) throw new Error(`${seen.length} frames came, not ${count}`);
    for (const one of ring.block()) seen.push(look(one));
  }
  return seen;
}

/** The frames' own bytes, copied. */
export const copies = (ring: PacketRing, count: number): Buffer[] => take(ring, count, ({ data }) => Buffer.from(data));

/** How many pieces of this process' memory are of packet rings. */
export function mappedRings(): number {
  return readFileSync("/proc/self/maps", "latin1")
    .split("\n")
    .filter((line) => line.includes("socket:[")).length;
}
