/** AF_BLUETOOTH addresses, by real sockets; test/foreign/codecs.test.ts has those of every platform, byte by byte. */
import { expect } from "bun:test";
import {
  AF_BLUETOOTH,
  BDADDR_ANY,
  BTPROTO_HCI,
  BTPROTO_L2CAP,
  BTPROTO_RFCOMM,
  BTPROTO_SCO,
  HCI_CHANNEL_CONTROL,
  HCI_DEV_NONE,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
} from "../../src/index.ts";
import { codeOf, isLinux, needs, Sockets } from "../help.ts";

/** A test for which the kernel has to open such a socket. */
function has(what: string, type: number, proto: number): ReturnType<typeof needs> {
  let code = "no such constant";
  if (AF_BLUETOOTH !== undefined && proto !== undefined) {
    code = codeOf(() => new Socket(AF_BLUETOOTH, type, proto).close());
  }
  return needs(`${what} socket`, isLinux && code.startsWith("nothing thrown"));
}

const l2cap = has("L2CAP", SOCK_SEQPACKET, BTPROTO_L2CAP);
const rfcomm = has("RFCOMM", SOCK_STREAM, BTPROTO_RFCOMM);
const hci = has("HCI", SOCK_RAW, BTPROTO_HCI);
const sco = has("SCO", SOCK_SEQPACKET, BTPROTO_SCO);

l2cap("an L2CAP address has four fields, of which two may be left out", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP));
  expect(sock.getsockname()).toEqual([BDADDR_ANY, 0, 0, 0]);
  sock.bind([BDADDR_ANY, 0x1001]);
  expect(sock.getsockname()).toEqual([BDADDR_ANY, 0x1001, 0, 0]);
  const other = own.add(new Socket(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP));
  expect(codeOf(() => other.bind([BDADDR_ANY, 0x1001, 0, 0]))).toBe("EADDRINUSE");
});

rfcomm("an RFCOMM address is a device and a channel", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM));
  sock.bind([BDADDR_ANY, 29]);
  expect(sock.getsockname()).toEqual([BDADDR_ANY, 29]);
});

hci("an HCI address is a controller and a channel", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI));
  sock.bind([HCI_DEV_NONE]);
  const control = own.add(new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI));
  control.bind([HCI_DEV_NONE, HCI_CHANNEL_CONTROL]);
  expect(codeOf(() => own.add(new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI)).bind([0, HCI_CHANNEL_CONTROL]))).toBe(
    "EINVAL", // this channel has no controller
  );
});

sco("a SCO address is a device", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_SCO));
  sock.bind(BDADDR_ANY);
  expect(sock.getsockname()).toBe(BDADDR_ANY);
});

/** The addresses of the controllers that are up (HCIGETDEVINFO), by their numbers. */
function controllers(): string[] {
  const found: string[] = [];
  try {
    using sock = new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI);
    for (;;) {
      // struct hci_dev_info: the number, a name of eight bytes, the address, flags of which the first is HCI_UP …
      const info = Buffer.alloc(128);
      info.writeUInt16LE(found.length);
      sock.ioctl(0x800448d3, info);
      if ((info.readUInt32LE(16) & 1) === 0) return found;
      found.push(
        [...info.subarray(10, 16).toReversed()]
          .map((byte) => byte.toString(16).toUpperCase().padStart(2, "0"))
          .join(":"),
      );
    }
  } catch {
    return found; // there are no more, or no Bluetooth at all
  }
}

const [one, two] = isLinux && AF_BLUETOOTH !== undefined ? controllers() : [];
const pair = needs("pair of Bluetooth controllers", one !== undefined && two !== undefined);

pair("L2CAP: each end of a connection has the other's address", () => {
  using own = new Sockets();
  const server = own.add(new Socket(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP));
  server.bind([one!, 0x1003]);
  server.listen();
  server.settimeout(20);
  const client = own.add(new Socket(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP));
  client.settimeout(20);
  client.bind([two!.toLowerCase(), 0]);
  client.connect([one!, 0x1003]);
  const [conn, address] = server.accept();
  own.add(conn);
  const channel = expect.any(Number) as unknown as number; // which the kernel chose
  expect(address).toEqual([two!, 0x1003, channel, 0]);
  expect(client.getsockname()[0]).toBe(two!);
  expect(client.getpeername()).toEqual([one!, 0x1003, channel, 0]);
  expect(conn.getsockname()).toEqual([one!, 0x1003, channel, 0]);
  client.send("by radio");
  conn.settimeout(20);
  expect(conn.recv(100).toString()).toBe("by radio");
});

pair("RFCOMM: each end of a connection has the other's address", () => {
  using own = new Sockets();
  const server = own.add(new Socket(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM));
  server.bind([one!, 7]);
  server.listen();
  server.settimeout(20);
  const client = own.add(new Socket(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM));
  client.settimeout(20);
  client.bind([two!, 0]);
  client.connect([one!, 7]);
  const [conn, address] = server.accept();
  own.add(conn);
  expect(address).toEqual([two!, 7]);
  expect(client.getpeername()).toEqual([one!, 7]);
  expect(conn.getsockname()).toEqual([one!, 7]);
  conn.send("by radio");
  expect(client.recv(100).toString()).toBe("by radio");
});

pair("HCI: a socket that is bound to a controller tells its number", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI));
  sock.bind([1]);
  expect(sock.getsockname()).toEqual([1, 0]);
});
