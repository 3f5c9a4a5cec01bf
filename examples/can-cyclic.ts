/**
 * Frames of a CAN bus at a steady rate, and changes of them, by the kernel's broadcast manager (CAN_BCM): it has the timers and
 * the filters, so that the rate is even and a program wakes up only for what is new.
 *
 *   bun examples/can-cyclic.ts send <interface> <seconds> <id> <data>…         several data: one after the other
 *   bun examples/can-cyclic.ts watch <interface> <id> <mask> [<seconds>]
 *
 * `watch` shows a frame whose data changed in a bit of the mask, and tells when none came for some seconds. Identifiers, data
 * and masks are hexadecimal; an identifier of eight digits is one of 29 bits. For Linux; `ip link add vcan0 type vcan && ip link
 * set vcan0 up` makes a bus in memory. Ctrl-C ends it, and with it the frames.
 *
 *   bun examples/can-cyclic.ts send vcan0 0.1 123 0000 0100
 *   bun examples/can-cyclic.ts watch vcan0 123 FF 1
 */
import {
  AF_CAN,
  CAN_BCM,
  CAN_BCM_RX_ANNOUNCE_RESUME,
  CAN_BCM_RX_CHANGED,
  CAN_BCM_RX_SETUP,
  CAN_BCM_RX_TIMEOUT,
  CAN_BCM_SETTIMER,
  CAN_BCM_STARTTIMER,
  CAN_BCM_TX_SETUP,
  CAN_EFF_FLAG,
  OSError,
  SOCK_DGRAM,
  Socket,
} from "berkeley-sockets";
import { bcm_msg_head } from "berkeley-sockets/messages";

function open(ifname: string): Socket<"AF_CAN"> {
  const sock = new Socket(AF_CAN, SOCK_DGRAM, CAN_BCM);
  sock.connect([ifname]); // not bind: the broadcast manager is who this socket speaks with
  return sock;
}

function send(ifname: string, id: number, seconds: number, data: Buffer[]): never {
  using sock = open(ifname);
  sock.send(
    bcm_msg_head.encode({
      opcode: CAN_BCM_TX_SETUP,
      flags: CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER,
      ival2: seconds, // ival1 would be for the first `count` frames
      id,
      frames: data.map((bytes) => ({ id, data: bytes })),
    }),
  );
  console.log(`sending every ${seconds} s`);
  for (;;) sock.recv(bcm_msg_head.size); // nothing comes: the kernel sends as long as the socket is open
}

function watch(ifname: string, id: number, mask: Buffer, seconds: number): never {
  using sock = open(ifname);
  const timer = seconds > 0 ? CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER | CAN_BCM_RX_ANNOUNCE_RESUME : 0;
  sock.send(
    bcm_msg_head.encode({
      opcode: CAN_BCM_RX_SETUP,
      flags: timer,
      ival1: seconds, // for how long there may be none
      id,
      frames: [{ id, data: mask }],
    }),
  );
  console.log("watching");
  for (;;) {
    const { opcode, frames } = bcm_msg_head.decode(sock.recv(1024));
    if (opcode === CAN_BCM_RX_CHANGED) console.log(frames[0]!.data.toString("hex").toUpperCase());
    if (opcode === CAN_BCM_RX_TIMEOUT) console.log(`none for ${seconds} s`);
  }
}

const [mode, ifname = "", ...args] = process.argv.slice(2);
const isSender = mode === "send" && args.length >= 3;
const isWatcher = mode === "watch" && (args.length === 2 || args.length === 3);
const [name = "", ...data] = isSender ? args.slice(1) : args.slice(0, 2);
const seconds = Number((isSender ? args[0] : args[2]) ?? 0);
const isHex = /^([\dA-F]{2}){1,8}$/i;
if (
  (!isSender && !isWatcher) ||
  !/^([\dA-F]{3}|[\dA-F]{8})$/i.test(name) ||
  !data.every((text) => isHex.test(text)) ||
  !(seconds >= 0)
) {
  console.error("usage: bun can-cyclic.ts send <interface> <seconds> <id> <data>…");
  console.error("       bun can-cyclic.ts watch <interface> <id> <mask> [<seconds>]");
  process.exit(2);
}

try {
  const id = parseInt(name, 16) | (name.length === 8 ? CAN_EFF_FLAG : 0);
  const bytes = data.map((text) => Buffer.from(text, "hex"));
  if (isSender) send(ifname, id, seconds, bytes);
  else watch(ifname, id, bytes[0]!, seconds);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
