/** Frames, filters, jobs and options of CAN, as the kernel takes and gives them. */
import { expect, test } from "bun:test";
import {
  AF_CAN,
  CAN_BCM,
  CAN_BCM_CAN_FD_FRAME,
  CAN_BCM_RX_CHANGED,
  CAN_BCM_RX_FILTER_ID,
  CAN_BCM_RX_SETUP,
  CAN_BCM_RX_TIMEOUT,
  CAN_BCM_SETTIMER,
  CAN_BCM_STARTTIMER,
  CAN_BCM_TX_READ,
  CAN_BCM_TX_SETUP,
  CAN_BCM_TX_STATUS,
  CAN_EFF_FLAG,
  CAN_ISOTP,
  CAN_ISOTP_LL_OPTS,
  CAN_ISOTP_OPTS,
  CAN_ISOTP_RECV_FC,
  CAN_ISOTP_TX_PADDING,
  CAN_J1939,
  CAN_RAW,
  CAN_RAW_FD_FRAMES,
  CAN_RAW_FILTER,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  if_nameindex,
  J1939_NO_NAME,
  J1939_NO_PGN,
  SO_BROADCAST,
  SO_J1939_FILTER,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_CAN_ISOTP,
  SOL_CAN_J1939,
  SOL_CAN_RAW,
  SOL_SOCKET,
} from "../../src/index.ts";
import {
  bcm_msg_head,
  can_filter,
  can_frame,
  can_isotp_fc_options,
  can_isotp_ll_options,
  can_isotp_options,
  canfd_frame,
  decodeAncillary,
  j1939_filter,
} from "../../src/messages.ts";
import { codeOf, needs, Sockets } from "../help.ts";

/** Whether there is such a socket, and a bus that exists in memory only. */
function have(type: number, proto: number): boolean {
  if (AF_CAN === undefined || !if_nameindex().some(([, name]) => name === "vcan0")) return false;
  return codeOf(() => new Socket(AF_CAN, type, proto).close()).startsWith("nothing thrown");
}
const raws = needs("AF_CAN with vcan0", have(SOCK_RAW, CAN_RAW));
const bcms = needs("CAN_BCM with vcan0", have(SOCK_DGRAM, CAN_BCM));
const isotps = needs("CAN_ISOTP with vcan0", have(SOCK_DGRAM, CAN_ISOTP));
const j1939s = needs("CAN_J1939 with vcan0", have(SOCK_DGRAM, CAN_J1939));

function can(own: Sockets, type: number, proto: number): Socket<"AF_CAN"> {
  const sock = own.add(new Socket(AF_CAN, type, proto));
  sock.settimeout(5);
  return sock;
}

function raw(own: Sockets, fd = false): Socket<"AF_CAN"> {
  const sock = can(own, SOCK_RAW, CAN_RAW);
  if (fd) sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1);
  sock.bind(["vcan0"]);
  return sock;
}

const bytes = (...all: number[]) => Buffer.from(all);

raws("frames arrive as they were sent, with identifiers of 11 and of 29 bits", () => {
  using own = new Sockets();
  const [a, b] = [raw(own), raw(own)];
  for (const frame of [
    { id: 0x123, data: bytes(1, 2, 3), len8Dlc: 0 },
    { id: (0x1234_5678 | CAN_EFF_FLAG) >>> 0, data: bytes(1, 2, 3, 4, 5, 6, 7, 8), len8Dlc: 9 },
    { id: 0x7ff, data: Buffer.alloc(0), len8Dlc: 0 },
    { id: 0x123 | CAN_RTR_FLAG, data: Buffer.alloc(4), len8Dlc: 0 },
  ]) {
    const sent = can_frame.encode(frame);
    a.send(sent);
    const received = b.recv(100);
    expect(received).toEqual(sent);
    expect(can_frame.decode(received)).toEqual(frame);
  }
  a.send(can_frame.encode({ id: 0x1234_5678 | CAN_EFF_FLAG, data: "neg" }));
  expect(can_frame.decode(b.recv(100))).toMatchObject({ id: 0x9234_5678, data: Buffer.from("neg") });
});

raws("frames of CAN FD arrive beside the others", () => {
  using own = new Sockets();
  const [a, b] = [raw(own, true), raw(own, true)];
  const data = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
  a.send(canfd_frame.encode({ id: 0x123, data, flags: 1 }));
  a.send(can_frame.encode({ id: 0x124, data: "short" }));
  const [first, second] = [b.recv(100), b.recv(100)];
  expect([first.length, second.length]).toEqual([canfd_frame.size, can_frame.size]);
  expect(canfd_frame.decode(first)).toEqual({ id: 0x123, data, flags: 1 | 4 }); // the kernel says that it is FD
  expect(can_frame.decode(second).data.toString()).toBe("short");
});

raws("filters let through what they say, and are given back", () => {
  using own = new Sockets();
  const [a, b] = [raw(own), raw(own)];
  const filters = can_filter.encodeAll([
    { id: 0x123, mask: CAN_SFF_MASK },
    { id: 0x200, mask: 0x700 },
  ]);
  b.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters);
  expect(can_filter.decodeAll(b.getsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, 800))).toEqual(can_filter.decodeAll(filters));
  for (const id of [0x122, 0x123, 0x1ff, 0x2ab, 0x300, 0x200]) a.send(can_frame.encode({ id, data: "" }));
  const seen = [0, 1, 2].map(() => can_frame.decode(b.recv(100)).id);
  expect(seen).toEqual([0x123, 0x2ab, 0x200]);
  b.settimeout(0);
  expect(codeOf(() => b.recv(100))).toBe("EAGAIN");
});

bcms("a job sends its frames in turn, and says what it is", () => {
  using own = new Sockets();
  const job = can(own, SOCK_DGRAM, CAN_BCM);
  job.connect(["vcan0"]);
  const listener = raw(own);
  const setup = {
    opcode: CAN_BCM_TX_SETUP,
    flags: CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER,
    count: 0,
    ival1: 0,
    ival2: 0.05,
    id: 0x123,
    frames: [
      { id: 0x123, data: bytes(1), len8Dlc: 0 },
      { id: 0x123, data: bytes(2, 2), len8Dlc: 0 },
    ],
  };
  job.send(bcm_msg_head.encode(setup));
  const came = [0, 1, 2, 3].map(() => can_frame.decode(listener.recv(100)).data.length);
  expect([came.join(), came.toSorted().join()]).toEqual([came[0] === 1 ? "1,2,1,2" : "2,1,2,1", "1,1,2,2"]);
  job.send(bcm_msg_head.encode({ opcode: CAN_BCM_TX_READ, id: 0x123 }));
  const status = bcm_msg_head.decode(job.recv(1000));
  expect(status).toMatchObject({ opcode: CAN_BCM_TX_STATUS, ival1: 0, ival2: 0.05, id: 0x123, frames: setup.frames });
});

bcms("a job tells when a frame changes or stays away, with frames of CAN FD too", () => {
  using own = new Sockets();
  const sender = raw(own, true);
  for (const fd of [false, true]) {
    const job = can(own, SOCK_DGRAM, CAN_BCM);
    job.connect(["vcan0"]);
    const kind = fd ? CAN_BCM_CAN_FD_FRAME : 0;
    const setup = {
      opcode: CAN_BCM_RX_SETUP,
      flags: CAN_BCM_SETTIMER | CAN_BCM_RX_FILTER_ID | kind,
      ival1: 0.1,
      id: 0x321,
    };
    job.send(bcm_msg_head.encode(setup));
    const data = Buffer.alloc(fd ? 48 : 8, 7);
    sender.send(fd ? canfd_frame.encode({ id: 0x321, data }) : can_frame.encode({ id: 0x321, data }));
    const changed = bcm_msg_head.decode(job.recv(1000));
    expect(changed).toMatchObject({ opcode: CAN_BCM_RX_CHANGED, id: 0x321, frames: [{ id: 0x321, data }] });
    expect(bcm_msg_head.decode(job.recv(1000))).toMatchObject({ opcode: CAN_BCM_RX_TIMEOUT, id: 0x321, frames: [] });
    job.close();
  }
});

isotps("options of ISO-TP are kept, and transfers go by them", () => {
  using own = new Sockets();
  const [a, b] = [can(own, SOCK_DGRAM, CAN_ISOTP), can(own, SOCK_DGRAM, CAN_ISOTP)];
  const options = {
    ...{ flags: CAN_ISOTP_TX_PADDING, frameTxtime: 1000 },
    ...{ extAddress: 0, txpadContent: 0xaa, rxpadContent: 0, rxExtAddress: 0 },
  };
  const flow = { bs: 8, stmin: 0, wftmax: 1 };
  const link = { mtu: 72, txDl: 64, txFlags: 0 };
  for (const sock of [a, b]) {
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, can_isotp_options.encode(options));
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RECV_FC, can_isotp_fc_options.encode(flow));
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_LL_OPTS, can_isotp_ll_options.encode(link));
  }
  const get = (option: number, size: number) => a.getsockopt(SOL_CAN_ISOTP, option, size);
  expect(can_isotp_options.decode(get(CAN_ISOTP_OPTS, can_isotp_options.size))).toEqual(options);
  expect(can_isotp_fc_options.decode(get(CAN_ISOTP_RECV_FC, can_isotp_fc_options.size))).toEqual(flow);
  expect(can_isotp_ll_options.decode(get(CAN_ISOTP_LL_OPTS, can_isotp_ll_options.size))).toEqual(link);
  a.bind(["vcan0", 0x111, 0x222]);
  b.bind(["vcan0", 0x222, 0x111]);
  const listener = raw(own, true);
  const data = Buffer.alloc(20, "x");
  a.send(data);
  expect(b.recv(5000)).toEqual(data);
  const frame = canfd_frame.decode(listener.recv(100));
  expect(frame.id).toBe(0x222);
  expect([...frame.data.subarray(22)]).toEqual([0xaa, 0xaa]); // padded to 24 bytes, as the options say
});

/** A J1939 socket with an address of its own on the bus. */
function j1939(own: Sockets, addr: number): Socket<"AF_CAN"> {
  const sock = can(own, SOCK_DGRAM, CAN_J1939);
  sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  sock.bind(["vcan0", J1939_NO_NAME, J1939_NO_PGN, addr]);
  return sock;
}
const toReceiver = ["vcan0", BigInt(J1939_NO_NAME ?? 0), 0x1_2300, 0x20] as const;

j1939s("filters of J1939 let through what they say", () => {
  using own = new Sockets();
  const [receiver, wanted, other] = [j1939(own, 0x20), j1939(own, 0x30), j1939(own, 0x40)];
  receiver.setsockopt(SOL_CAN_J1939, SO_J1939_FILTER, j1939_filter.encodeAll([{ addr: 0x30, addrMask: 0xff }]));
  other.sendto("other", toReceiver);
  wanted.sendto("wanted", toReceiver);
  expect(receiver.recv(100).toString()).toBe("wanted");
});

j1939s("what comes with a message of J1939", () => {
  using own = new Sockets();
  const [receiver, sender] = [j1939(own, 0x20), j1939(own, 0x30)];
  sender.sendto("x", toReceiver);
  const [, ancdata] = receiver.recvmsg(100, 512);
  expect(decodeAncillary(ancdata)).toEqual([
    { type: "j1939Address", value: 0x20 },
    { type: "j1939Priority", value: 6 },
  ]);
});

test("sizes are those of CAN_MTU and CANFD_MTU", () => {
  expect([can_frame.size, canfd_frame.size, bcm_msg_head.size]).toEqual([16, 72, 56]);
});
