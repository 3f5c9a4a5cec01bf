/**
 * Shows what goes between this machine and its Bluetooth controllers, as btmon of BlueZ does: the monitor channel of HCI.
 *
 *   bun examples/hci-dump.ts [<controller>]      hci0 for example; without it, every controller
 *
 * It begins with the controllers that there are, and goes on until Ctrl-C: commands and data that are sent (<), events and
 * data that come (>), in hexadecimal. For Linux, with CAP_NET_RAW (as root).
 */
import {
  AF_BLUETOOTH,
  BTPROTO_HCI,
  CMSG_SPACE,
  HCI_CHANNEL_MONITOR,
  HCI_DEV_NONE,
  OSError,
  SO_TIMESTAMP,
  SOCK_RAW,
  Socket,
  SOL_SOCKET,
} from "berkeley-sockets";
import { decodeAncillary } from "berkeley-sockets/messages";

const EVENTS = new Map([
  [0x03, "connection complete"],
  [0x05, "disconnection complete"],
  [0x0e, "command complete"],
  [0x0f, "command status"],
  [0x13, "packets completed"],
  [0x3e, "low energy"],
]);

const digits = (value: number, count = 2): string => value.toString(16).padStart(count, "0");
const hex = (bytes: Buffer): string => Array.from(bytes, (byte) => digits(byte)).join(" ");

/** A packet in words, by the opcodes of <net/bluetooth/hci_mon.h>; null for those of other programs' sockets. */
function describe(opcode: number, data: Buffer): string | null {
  switch (opcode) {
    case 0: {
      // struct hci_mon_new_index: two bytes of its kind, the address with its last byte first.
      const address = [...data.subarray(2, 8)].reverse().map((byte) => digits(byte).toUpperCase());
      return `= new controller ${address.join(":")}`;
    }
    case 1:
      return "= the controller is gone";
    case 2:
      return `< command ${digits(data.readUInt16LE(0), 4)}: ${hex(data.subarray(3))}`;
    case 3:
      return `> event ${EVENTS.get(data[0]!) ?? digits(data[0]!)}: ${hex(data.subarray(2))}`;
    case 4:
    case 5:
      return `${opcode === 4 ? "<" : ">"} data, handle ${data.readUInt16LE(0) & 0xfff}: ${hex(data.subarray(4))}`;
    case 8:
      return "= the controller is turned on";
    case 9:
      return "= the controller is turned off";
    case 12:
      return `= ${data.toString("utf8").replace(/\0.*/s, "")}`;
    default:
      return null;
  }
}

const [only, ...more] = process.argv.slice(2);
if ((only !== undefined && !/^hci\d+$/.test(only)) || more.length > 0) {
  console.error("usage: bun hci-dump.ts [hci<number>]");
  process.exit(2);
}

try {
  using sock = new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI);
  sock.setsockopt(SOL_SOCKET, SO_TIMESTAMP, 1); // when the kernel saw each packet
  sock.bind([HCI_DEV_NONE, HCI_CHANNEL_MONITOR]);
  for (;;) {
    const [message, ancillary] = sock.recvmsg(70_000, CMSG_SPACE(16));
    // struct hci_mon_hdr: what it is, of which controller, how long.
    const [opcode, number] = [message.readUInt16LE(0), message.readUInt16LE(2)];
    const controller = number === HCI_DEV_NONE ? "system" : `hci${number}`;
    const text = describe(opcode, message.subarray(6));
    if (text === null || (only !== undefined && only !== controller)) continue;
    const stamp = decodeAncillary(ancillary).find(({ type }) => type === "timestamp");
    const time =
      stamp?.type === "timestamp" ? new Date(stamp.time.seconds * 1000 + stamp.time.nanoseconds / 1e6) : new Date();
    console.log(`${time.toISOString().slice(11, 23)} ${controller} ${text.trimEnd()}`);
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
