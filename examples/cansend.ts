/**
 * Sends a frame on a CAN bus, as cansend of can-utils does.
 *
 *   bun examples/cansend.ts <interface> <frame>
 *
 * A frame is `<id>#<data>` in hexadecimal, `<id>#R<length>` for a remote request, or `<id>##<flags><data>` for CAN FD (flag 1:
 * the second bit rate). An identifier of more than three digits is one of 29 bits. For Linux; without a bus in reach,
 * `ip link add vcan0 type vcan && ip link set vcan0 mtu 72 up` makes one in memory.
 *
 *   bun examples/cansend.ts vcan0 123#DEADBEEF
 *   bun examples/cansend.ts vcan0 18FEF100##1112233445566778899AABBCC
 */
import {
  AF_CAN,
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_RAW,
  CAN_RAW_FD_FRAMES,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  OSError,
  SOCK_RAW,
  Socket,
  SOL_CAN_RAW,
} from "berkeley-sockets";
import { can_frame, canfd_frame } from "berkeley-sockets/messages";

const PATTERN =
  /^(?<name>[\dA-F]{3}|[\dA-F]{8})(?:##(?<flags>[\dA-F])(?<fd>(?:[\dA-F]{2}){0,64})|#R(?<asked>[0-8]?)|#(?<data>(?:[\dA-F]{2}){0,8}))$/i;

/** The bytes of a frame; null where the text is none. */
function parse(text: string): Buffer | null {
  const { name, flags, fd, asked, data } = PATTERN.exec(text)?.groups ?? {};
  if (name === undefined) return null;
  const isLong = name.length > 3;
  const number = parseInt(name, 16);
  if (number > (isLong ? CAN_EFF_MASK : CAN_SFF_MASK)) return null;
  const id = isLong ? number | CAN_EFF_FLAG : number;
  if (flags !== undefined) return canfd_frame.encode({ id, data: Buffer.from(fd!, "hex"), flags: parseInt(flags, 16) });
  if (data !== undefined) return can_frame.encode({ id, data: Buffer.from(data, "hex") });
  return can_frame.encode({ id: id | CAN_RTR_FLAG, data: Buffer.alloc(Number(asked)) }); // as many bytes as are asked for
}

const [ifname, text = ""] = process.argv.slice(2);
if (ifname === undefined || process.argv.length !== 4 || !PATTERN.test(text)) {
  console.error("usage: bun cansend.ts <interface> <id>#<data> | <id>#R<length> | <id>##<flags><data>");
  process.exit(2);
}

try {
  const frame = parse(text);
  if (frame === null) {
    console.error(`${text}: the identifier has more bits than there are`);
    process.exit(2);
  }
  using sock = new Socket(AF_CAN, SOCK_RAW, CAN_RAW);
  sock.bind([ifname]);
  if (frame.length === canfd_frame.size) sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1);
  sock.send(frame);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
