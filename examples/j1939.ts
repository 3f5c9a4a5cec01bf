/**
 * SAE J1939, the CAN bus of trucks, tractors and ships: shows what is on it, sends, and claims an address.
 *
 *   bun examples/j1939.ts listen <interface> [<group>]
 *   bun examples/j1939.ts send <interface> <from> <to> <group> <data>
 *   bun examples/j1939.ts claim <interface> <address> <name>
 *
 * Addresses (FF is everybody), parameter groups, data and names (64 bits) are hexadecimal. `claim` keeps an address until
 * somebody with a lower name wants it, or until Ctrl-C, as `listen` does. For Linux, with the kernel's module
 * (`modprobe can-j1939`); `ip link add vcan0 type vcan && ip link set vcan0 up` makes a bus in memory.
 *
 *   bun examples/j1939.ts listen vcan0 FEF1
 *   bun examples/j1939.ts send vcan0 80 FF FEF1 0102030405060708
 */
import {
  AF_CAN,
  CAN_J1939,
  type CanJ1939Address,
  CMSG_SPACE,
  J1939_NO_ADDR,
  J1939_NO_NAME,
  J1939_NO_PGN,
  J1939_PGN_ADDRESS_CLAIMED,
  J1939_PGN_REQUEST,
  OSError,
  SO_BROADCAST,
  SO_J1939_FILTER,
  SO_J1939_PROMISC,
  SOCK_DGRAM,
  Socket,
  SOL_CAN_J1939,
  SOL_SOCKET,
} from "berkeley-sockets";
import { decodeAncillary, j1939_filter } from "berkeley-sockets/messages";

const hex = (value: number | bigint, digits: number): string => value.toString(16).toUpperCase().padStart(digits, "0");

function open(ifname: string, name: number | bigint, address: number): Socket<"AF_CAN"> {
  const sock = new Socket(AF_CAN, SOCK_DGRAM, CAN_J1939);
  sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1); // to hear and to send what is for everybody
  sock.bind([ifname, BigInt(name), J1939_NO_PGN, address]);
  return sock;
}

function listen(ifname: string, group: number | undefined): never {
  using sock = open(ifname, J1939_NO_NAME, J1939_NO_ADDR);
  sock.setsockopt(SOL_CAN_J1939, SO_J1939_PROMISC, 1); // what is for others, too
  if (group !== undefined) {
    sock.setsockopt(SOL_CAN_J1939, SO_J1939_FILTER, j1939_filter.encode({ pgn: group, pgnMask: 0x3ffff }));
  }
  console.log("group  from   to  priority  data");
  for (;;) {
    const [data, ancillary, , sender] = sock.recvmsg(1785, CMSG_SPACE(1) + CMSG_SPACE(8) + CMSG_SPACE(1));
    const [, , pgn, from] = sender as CanJ1939Address;
    let [to, priority] = [J1939_NO_ADDR, 0];
    for (const item of decodeAncillary(ancillary)) {
      if (item.type === "j1939Address") to = item.value;
      if (item.type === "j1939Priority") priority = item.value;
    }
    const bytes = data.toString("hex").toUpperCase().replaceAll(/../g, " $&");
    console.log(`${hex(pgn, 5)}    ${hex(from, 2)}   ${hex(to, 2)}         ${priority} ${bytes}`);
  }
}

function send(ifname: string, from: number, to: number, group: number, data: Buffer): void {
  using sock = open(ifname, J1939_NO_NAME, from);
  // More than 8 bytes go in many frames; the kernel makes them, and close() waits until they are out or nobody took them.
  sock.sendto(data, [ifname, BigInt(J1939_NO_NAME), group, to]);
}

function claim(ifname: string, address: number, name: bigint): void {
  using sock = open(ifname, name, address);
  const claiming = Buffer.alloc(8);
  claiming.writeBigUInt64LE(name);
  const everybody: CanJ1939Address = [ifname, BigInt(J1939_NO_NAME), J1939_PGN_ADDRESS_CLAIMED, J1939_NO_ADDR];
  sock.sendto(claiming, everybody);
  console.log(`claimed ${hex(address, 2)}`);
  for (;;) {
    const [data, sender] = sock.recvfrom(1785);
    const [, , pgn, from] = sender as CanJ1939Address;
    if (pgn === J1939_PGN_REQUEST && data.length === 3 && data.readUIntLE(0, 3) === J1939_PGN_ADDRESS_CLAIMED) {
      sock.sendto(claiming, everybody); // somebody asks who is here
    } else if (pgn === J1939_PGN_ADDRESS_CLAIMED && data.length === 8 && from === address) {
      const other = data.readBigUInt64LE(0);
      if (other < name) {
        console.log(`lost it to ${hex(other, 16)}`);
        return;
      }
      sock.sendto(claiming, everybody); // the lower name stays
      console.log(`kept it from ${hex(other, 16)}`);
    }
  }
}

const [mode, ifname = "", ...args] = process.argv.slice(2);
const [a = NaN, b = NaN, c = NaN] = args.map((text) => (/^[\dA-F]+$/i.test(text) ? parseInt(text, 16) : NaN));
const isAddress = (value: number): boolean => value <= 0xff;
const isGroup = (value: number): boolean => value <= 0x3ffff;
try {
  if (mode === "listen" && ifname !== "" && (args.length === 0 || (args.length === 1 && isGroup(a)))) {
    listen(ifname, args.length === 0 ? undefined : a);
  } else if (mode === "claim" && args.length === 2 && isAddress(a) && /^[\dA-F]{1,16}$/i.test(args[1]!)) {
    claim(ifname, a, BigInt(`0x${args[1]}`));
  } else if (
    mode === "send" &&
    args.length === 4 &&
    [a, b].every(isAddress) &&
    isGroup(c) &&
    /^([\dA-F]{2})+$/i.test(args[3]!)
  ) {
    send(ifname, a, b, c, Buffer.from(args[3]!, "hex"));
  } else {
    console.error("usage: bun j1939.ts listen <interface> [<group>]");
    console.error("       bun j1939.ts send <interface> <from> <to> <group> <data>");
    console.error("       bun j1939.ts claim <interface> <address> <name>");
    process.exit(2);
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
