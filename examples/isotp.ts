/**
 * Messages of up to 4,095 bytes over a CAN bus, by ISO-TP (ISO 15765-2): how diagnostics (UDS) speak with a car's devices.
 *
 *   bun examples/isotp.ts ask <interface> <to> <from> <data>            sends a request, and shows the answer
 *   bun examples/isotp.ts send <interface> <to> <from> <data>           ends when the other end has it all
 *   bun examples/isotp.ts receive <interface> <to> <from>               shows what comes, until Ctrl-C
 *
 * `to` is the identifier to send with, `from` the one to receive with: a receiver needs both, since it has to say that it is
 * ready for more. All are hexadecimal; an identifier of eight digits is one of 29 bits. For Linux; `ip link add vcan0 type vcan
 * && ip link set vcan0 up` makes a bus in memory. The number of the car is asked for by
 *
 *   bun examples/isotp.ts ask can0 7E0 7E8 22F190
 */
import {
  AF_CAN,
  CAN_EFF_FLAG,
  CAN_ISOTP,
  CAN_ISOTP_OPTS,
  CAN_ISOTP_TX_PADDING,
  CAN_ISOTP_WAIT_TX_DONE,
  OSError,
  SOCK_DGRAM,
  Socket,
  SOL_CAN_ISOTP,
} from "berkeley-sockets";
import { can_isotp_options } from "berkeley-sockets/messages";

/** The first byte of a UDS answer that refuses, and its third where the device only needs more time. */
const NEGATIVE = 0x7f;
const PENDING = 0x78;

const [mode = "", ifname = "", to = "", from = "", ...rest] = process.argv.slice(2);
const isReceiver = mode === "receive" && rest.length === 0;
const isSender = (mode === "send" || mode === "ask") && rest.length === 1 && /^([\dA-F]{2}){1,4095}$/i.test(rest[0]!);
const isId = /^([\dA-F]{3}|[\dA-F]{8})$/i;
if ((!isReceiver && !isSender) || !isId.test(to) || !isId.test(from)) {
  console.error("usage: bun isotp.ts ask | send <interface> <to> <from> <data>");
  console.error("       bun isotp.ts receive <interface> <to> <from>");
  process.exit(2);
}

const idOf = (text: string): number => (parseInt(text, 16) | (text.length === 8 ? CAN_EFF_FLAG : 0)) >>> 0;
const show = (message: Buffer): void => console.log(message.toString("hex").toUpperCase());

try {
  using sock = new Socket(AF_CAN, SOCK_DGRAM, CAN_ISOTP);
  // Before bind. send() waits for the other end, and tells when that does not answer; many devices take full frames only.
  const flags = CAN_ISOTP_WAIT_TX_DONE | CAN_ISOTP_TX_PADDING;
  sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, can_isotp_options.encode({ flags, txpadContent: 0xcc }));
  sock.bind([ifname, idOf(from), idOf(to)]);
  if (isSender) sock.send(Buffer.from(rest[0]!, "hex"));
  if (mode === "ask") {
    sock.settimeout(5);
    let answer = sock.recv(4095);
    while (answer[0] === NEGATIVE && answer[2] === PENDING) answer = sock.recv(4095);
    show(answer);
    if (answer[0] === NEGATIVE) process.exitCode = 1;
  }
  if (isReceiver) {
    console.log(`receiving on ${ifname}`);
    for (;;) show(sock.recv(4095));
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
