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
