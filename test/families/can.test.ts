/**
 * AF_CAN: raw frames, the broadcast manager, ISO-TP and J1939 on virtual buses, with their addresses, options and flags.
 * (test/messages/can.test.ts has the structures, test/foreign/codecs.test.ts the addresses byte by byte.)
 *
 * Peers: can-utils, CPython.
 */
import { afterEach, expect, setDefaultTimeout } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AF_CAN,
  type AnyCanAddress,
  type AnyCanAddressLike,
  CAN_BCM,
  CAN_BCM_CAN_FD_FRAME,
  CAN_BCM_RX_ANNOUNCE_RESUME,
  CAN_BCM_RX_CHANGED,
  CAN_BCM_RX_CHECK_DLC,
  CAN_BCM_RX_DELETE,
  CAN_BCM_RX_FILTER_ID,
  CAN_BCM_RX_NO_AUTOTIMER,
  CAN_BCM_RX_READ,
  CAN_BCM_RX_RTR_FRAME,
  CAN_BCM_RX_SETUP,
  CAN_BCM_RX_STATUS,
  CAN_BCM_RX_TIMEOUT,
  CAN_BCM_SETTIMER,
  CAN_BCM_STARTTIMER,
  CAN_BCM_TX_ANNOUNCE,
  CAN_BCM_TX_COUNTEVT,
  CAN_BCM_TX_CP_CAN_ID,
  CAN_BCM_TX_DELETE,
  CAN_BCM_TX_EXPIRED,
  CAN_BCM_TX_READ,
  CAN_BCM_TX_RESET_MULTI_IDX,
  CAN_BCM_TX_SEND,
  CAN_BCM_TX_SETUP,
  CAN_BCM_TX_STATUS,
  CAN_EFF_FLAG,
  CAN_ERR_ACK,
  CAN_ERR_BUSOFF,
  CAN_ERR_CRTL,
  CAN_ERR_FLAG,
  CAN_ERR_MASK,
  CAN_INV_FILTER,
  CAN_ISOTP,
  CAN_ISOTP_CHK_PAD_DATA,
  CAN_ISOTP_EXTEND_ADDR,
  CAN_ISOTP_FORCE_TXSTMIN,
  CAN_ISOTP_OPTS,
  CAN_ISOTP_RECV_FC,
  CAN_ISOTP_RX_PADDING,
  CAN_ISOTP_RX_STMIN,
  CAN_ISOTP_SF_BROADCAST,
  CAN_ISOTP_TX_PADDING,
  CAN_ISOTP_TX_STMIN,
  CAN_ISOTP_WAIT_TX_DONE,
  CAN_J1939,
  CAN_RAW,
  CAN_RAW_ERR_FILTER,
  CAN_RAW_FD_FRAMES,
  CAN_RAW_FILTER,
  CAN_RAW_JOIN_FILTERS,
  CAN_RAW_LOOPBACK,
  CAN_RAW_RECV_OWN_MSGS,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  CANFD_BRS,
  CANFD_FDF,
  CANFD_MTU,
  CMSG_SPACE,
  if_nameindex,
  if_nametoindex,
  J1939_EE_INFO_TX_ABORT,
  J1939_NO_ADDR,
  J1939_NO_NAME,
  J1939_NO_PGN,
  J1939_PGN_ADDRESS_CLAIMED,
  J1939_PGN_REQUEST,
  MSG_CONFIRM,
  MSG_DONTROUTE,
  MSG_ERRQUEUE,
  MSG_TRUNC,
  OSError,
  SCM_J1939_DEST_ADDR,
  SCM_J1939_DEST_NAME,
  SCM_J1939_PRIO,
  SCM_TSTAMP_ACK,
  SO_BROADCAST,
  SO_EE_ORIGIN_LOCAL,
  SO_EE_ORIGIN_TIMESTAMPING,
  SO_J1939_ERRQUEUE,
  SO_J1939_FILTER,
  SO_J1939_PROMISC,
  SO_J1939_SEND_PRIO,
  SO_TIMESTAMP,
  SO_TIMESTAMPING,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOF_TIMESTAMPING_OPT_CMSG,
  SOF_TIMESTAMPING_OPT_ID,
  SOF_TIMESTAMPING_OPT_TSONLY,
  SOF_TIMESTAMPING_SOFTWARE,
  SOF_TIMESTAMPING_TX_ACK,
  SOL_CAN_ISOTP,
  SOL_CAN_J1939,
  SOL_CAN_RAW,
  SOL_SOCKET,
} from "../../src/index.ts";
import {
  type Ancillary,
  bcm_msg_head,
  type BcmMsg,
  can_filter,
  can_frame,
  can_isotp_fc_options,
  can_isotp_options,
  canfd_frame,
  decodeAncillary,
  j1939_filter,
} from "../../src/messages.ts";
import { codeOf, needs, python, pythonPeer, slowness, Sockets, thrown } from "../help.ts";
import { Program } from "../program.ts";

setDefaultTimeout(30_000 * slowness);

/** Whether there is such a socket, and two buses that exist in memory only. */
function have(type: number, proto: number): boolean {
  const names = AF_CAN === undefined ? [] : if_nameindex().map(([, name]) => name);
  if (!names.includes("vcan0") || !names.includes("vcan1")) return false;
  return codeOf(() => new Socket(AF_CAN, type, proto).close()).startsWith("nothing thrown");
}
const [hasRaw, hasBcm] = [have(SOCK_RAW, CAN_RAW), have(SOCK_DGRAM, CAN_BCM)];
const [hasIsotp, hasJ1939] = [have(SOCK_DGRAM, CAN_ISOTP), have(SOCK_DGRAM, CAN_J1939)];
const raws = needs("AF_CAN with vcan0 and vcan1", hasRaw);
const bcms = needs("CAN_BCM with vcan0 and vcan1", hasBcm);
const isotps = needs("CAN_ISOTP with vcan0 and vcan1", hasIsotp);
const j1939s = needs("CAN_J1939 with vcan0 and vcan1", hasJ1939);
/** The same with a program of Debian's can-utils, or with Python. */
const withTool = (tool: string, has: boolean) => needs(`CAN with ${tool}`, has && Bun.which(tool) !== null);
const withPython = (has: boolean) => needs("CAN with python3", has && python !== null);

afterEach(async () => {
  for (const program of Program.running) await program.kill();
});

/** How long what is not expected may take to come, in seconds: so long that what is sent twice is seen. */
const QUIET = 0.05 * slowness;

const bytes = (...all: number[]) => Buffer.from(all);

function can(own: Sockets, type: number, proto: number): Socket<"AF_CAN"> {
  const sock = own.add(new Socket(AF_CAN, type, proto));
  sock.settimeout(5 * slowness);
  return sock;
}

function raw(own: Sockets, ifname = "vcan0", fd = false): Socket<"AF_CAN"> {
  const sock = can(own, SOCK_RAW, CAN_RAW);
  if (fd) sock.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1);
  sock.bind([ifname]);
  return sock;
}

/** What the system says to a call that it refuses. */
const errnoOf = (call: () => unknown): number => thrown(call).errno;

/** Nothing more comes. */
function expectQuiet(sock: Socket): void {
  sock.settimeout(QUIET);
  expect(codeOf(() => sock.recv(5000))).toBe("ETIMEDOUT");
  sock.settimeout(5 * slowness);
}

/** What comes until there is quiet. */
function receiveUntilQuiet(sock: Socket): Buffer[] {
  const all: Buffer[] = [];
  for (sock.settimeout(QUIET); ;) {
    const code = codeOf(() => all.push(sock.recv(5000)));
    if (code === "ETIMEDOUT") break;
    expect(code).toStartWith("nothing thrown");
  }
  sock.settimeout(5 * slowness);
  return all;
}

/** A frame in the words of candump's log: `123#DEADBEEF`, `123##1DEADBEEF` for CAN FD. */
function words(frame: Buffer): string {
  const isFd = frame.length === CANFD_MTU;
  const { id, data, ...rest } = isFd ? canfd_frame.decode(frame) : can_frame.decode(frame);
  const isWide = (id & (CAN_EFF_FLAG | CAN_ERR_FLAG)) !== 0;
  const name = (isWide ? (id & ~CAN_EFF_FLAG & ~CAN_RTR_FLAG) >>> 0 : id & CAN_SFF_MASK).toString(16);
  const hex = data.toString("hex").toUpperCase();
  const content = (id & CAN_RTR_FLAG) !== 0 ? `R${data.length || ""}` : hex;
  const flags = "flags" in rest ? `#${(rest.flags & 3).toString(16).toUpperCase()}` : "";
  return `${name.toUpperCase().padStart(isWide ? 8 : 3, "0")}#${flags}${content}`;
}

/** How many receivers of a kind the kernel knows: those of `/proc/net/can/rcvlist_*`, by their last word. */
function receivers(kind: string): number {
  const files = readdirSync("/proc/net/can").filter((name) => name.startsWith("rcvlist_"));
  const lines = files.flatMap((name) => readFileSync(`/proc/net/can/${name}`, "utf8").split("\n"));
  return lines.filter((line) => line.trimEnd().endsWith(` ${kind}`)).length;
}

/** Waits until a program listens that was started when there were `before` receivers. */
async function listens(kind: string, before: number): Promise<void> {
  for (let tries = 0; receivers(kind) <= before; tries++) {
    if (tries > 500) throw new Error(`no new receiver of ${kind}`);
    await Bun.sleep(10 * slowness);
  }
}

// Raw frames

raws("a raw socket's address is an interface, or all of them", () => {
  using own = new Sockets();
  const sock = can(own, SOCK_RAW, CAN_RAW);
  expect(sock.getsockname()).toEqual([""]);
  sock.bind(["vcan1"]);
  expect(sock.getsockname()).toEqual(["vcan1"]);
  sock.bind(["vcan0"]);
  expect(sock.getsockname()).toEqual(["vcan0"]);
  sock.bind([""]);
  expect(sock.getsockname()).toEqual([""]);
  expect(codeOf(() => sock.getpeername())).toBe("EOPNOTSUPP");
  expect(codeOf(() => sock.connect(["vcan0"]))).toBe("EOPNOTSUPP");
});

raws("a socket of all interfaces is told by which one a frame came, and says by which one it goes", () => {
  using own = new Sockets();
  const [all, zero, one] = [raw(own, ""), raw(own, "vcan0"), raw(own, "vcan1")];
  for (const [sock, name] of [
    [zero, "vcan0"],
    [one, "vcan1"],
    [zero, "vcan0"],
  ] as const) {
    sock.send(can_frame.encode({ id: 1, data: name }));
    const [frame, from] = all.recvfrom(100);
    expect([can_frame.decode(frame).data.toString(), from]).toEqual([name, [name]]);
    all.sendto(can_frame.encode({ id: 2, data: "back" }), [name]);
    expect(can_frame.decode(sock.recv(100)).id).toBe(2);
    sock.send(can_frame.encode({ id: 3, data: "" }));
    expect(all.recvfromInto(Buffer.alloc(16))).toEqual([16, [name]]);
  }
  expect(codeOf(() => all.send(can_frame.encode({ id: 2, data: "" })))).toBe("ENXIO"); // by none of them
  expectQuiet(zero);
  expectQuiet(one);
});

raws("an interface that is not there, or is no bus, is refused", () => {
  using own = new Sockets();
  const sock = raw(own);
  const gone = thrown(() => sock.bind(["vcan-none"]));
  expect([gone.code, gone.message]).toEqual(["ENODEV", expect.stringMatching(/^if_nametoindex ENODEV vcan-none: /)]);
  expect(codeOf(() => sock.sendto(can_frame.encode({ id: 1, data: "" }), ["vcan-none"]))).toBe("ENODEV");
  const other = thrown(() => sock.bind(["lo"]));
  expect([other.code, other.message]).toEqual(["ENODEV", expect.stringMatching(/^bind ENODEV lo: /)]);
  expect(other.address).toEqual(["lo"]);
  expect(sock.getsockname()).toEqual(["vcan0"]);
});

raws("what is no address is refused before anything is sent", () => {
  using own = new Sockets();
  const [a, b] = [raw(own), raw(own)];
  const frame = can_frame.encode({ id: 1, data: "" });
  for (const [address, error] of [
    [undefined, /^address: /],
    ["vcan0", /^address: /],
    [[], /^address: /],
    [["vcan0", 1], /^address: /],
    [[1], /^address\[0\]: /],
    [[Buffer.from("vcan0")], /^address\[0\]: /],
    [["vcan0\0"], /^address\[0\]: /],
    [["v".repeat(16)], /^address\[0\]: /],
  ] as const) {
    const wrong = address as unknown as AnyCanAddress;
    for (const call of [
      () => a.bind(wrong),
      () => a.connect(wrong),
      () => a.sendto(frame, wrong),
      () => a.sendmsg([frame], [], 0, wrong ?? 5),
    ]) {
      expect(call).toThrow(error);
      expect(call).not.toThrow(OSError);
    }
  }
  expect(a.getsockname()).toEqual(["vcan0"]);
  expectQuiet(b);
});

raws("frames that are none are the system's to refuse", () => {
  using own = new Sockets();
  const sock = raw(own);
  const frame = can_frame.encode({ id: 1, data: "12345678" });
  for (const wrong of [frame.subarray(0, 15), Buffer.concat([frame, frame]), Buffer.alloc(72), Buffer.alloc(0)]) {
    expect(codeOf(() => sock.send(wrong))).toBe("EINVAL"); // 72 bytes are a frame only for who has CAN_RAW_FD_FRAMES
  }
  frame[4] = 9; // more bytes than there are
  expect(codeOf(() => sock.send(frame))).toBe("EINVAL");
});

raws("what goes over a receiver's room is cut, and MSG_TRUNC says so", () => {
  using own = new Sockets();
  const [a, b] = [raw(own), raw(own)];
  a.send(can_frame.encode({ id: 0x123, data: "12345678" }));
  const [data, , flags, from] = b.recvmsg(10);
  expect([data.length, flags & MSG_TRUNC, from]).toEqual([10, MSG_TRUNC, ["vcan0"]]);
});

raws("filters: inverted, several, and joined", () => {
  using own = new Sockets();
  const [a, b] = [raw(own), raw(own)];
  const seen = (filters: { id: number; mask: number }[]): number[] => {
    b.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, can_filter.encodeAll(filters));
    for (const id of [0x101, 0x102, 0x201, 0x7ff]) a.send(can_frame.encode({ id, data: "" }));
    return receiveUntilQuiet(b).map((frame) => can_frame.decode(frame).id);
  };
  const [ones, ends] = [
    { id: 0x100, mask: 0x700 },
    { id: 0x001, mask: 0x00f },
  ];
  expect(seen([ones])).toEqual([0x101, 0x102]);
  expect(seen([{ id: ones.id | CAN_INV_FILTER, mask: ones.mask }])).toEqual([0x201, 0x7ff]);
  expect(seen([ones, ends])).toEqual([0x101, 0x102, 0x201]);
  expect(seen([])).toEqual([]); // a socket that only sends
  expect(b.getsockopt(SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS)).toBe(0);
  b.setsockopt(SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS, 1);
  expect(b.getsockopt(SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS)).toBe(1);
  expect(seen([ones, ends])).toEqual([0x101]);
  expect(can_filter.decodeAll(b.getsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, 100))).toEqual([ones, ends]);
});

raws("error frames come to who asks for their class", () => {
  using own = new Sockets();
  const [a, b, none] = [raw(own), raw(own), raw(own)];
  expect(b.getsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER)).toBe(0);
  b.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, CAN_ERR_CRTL | CAN_ERR_BUSOFF);
  expect(b.getsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER)).toBe(CAN_ERR_CRTL | CAN_ERR_BUSOFF);
  const error = (kind: number): Buffer => can_frame.encode({ id: CAN_ERR_FLAG | kind, data: Buffer.alloc(8) });
  for (const kind of [CAN_ERR_ACK, CAN_ERR_BUSOFF, CAN_ERR_CRTL | CAN_ERR_ACK, CAN_ERR_ACK]) a.send(error(kind));
  const kinds = [0, 1].map(() => can_frame.decode(b.recv(100)).id);
  expect(kinds).toEqual([CAN_ERR_FLAG | CAN_ERR_BUSOFF, CAN_ERR_FLAG | CAN_ERR_CRTL | CAN_ERR_ACK]);
  b.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, CAN_ERR_MASK);
  a.send(error(CAN_ERR_ACK));
  expect(can_frame.decode(b.recv(100)).id).toBe(CAN_ERR_FLAG | CAN_ERR_ACK);
  expectQuiet(none);
});

raws(
  "who hears what: others by default, nobody without CAN_RAW_LOOPBACK, the sender with CAN_RAW_RECV_OWN_MSGS",
  () => {
    using own = new Sockets();
    const [a, b] = [raw(own), raw(own)];
    const frame = can_frame.encode({ id: 0x42, data: "hear" });
    expect([CAN_RAW_LOOPBACK, CAN_RAW_RECV_OWN_MSGS].map((option) => a.getsockopt(SOL_CAN_RAW, option))).toEqual([
      1, 0,
    ]);
    a.send(frame);
    const [heard, , flags, from] = b.recvmsg(100);
    expect([heard, from]).toEqual([frame, ["vcan0"]]);
    expect(flags & (MSG_DONTROUTE | MSG_CONFIRM)).toBe(MSG_DONTROUTE); // it was sent on this machine
    expectQuiet(a);

    a.setsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, 1);
    expect(a.getsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS)).toBe(1);
    a.send(frame);
    const [echo, , ownFlags] = a.recvmsg(100);
    expect(echo).toEqual(frame);
    expect(ownFlags & (MSG_DONTROUTE | MSG_CONFIRM)).toBe(MSG_DONTROUTE | MSG_CONFIRM); // even by this socket
    expect(b.recv(100)).toEqual(frame);

    a.setsockopt(SOL_CAN_RAW, CAN_RAW_LOOPBACK, 0);
    a.send(frame);
    expectQuiet(b);
    expectQuiet(a);
  },
);

raws("frames of CAN FD come to who asks for them", () => {
  using own = new Sockets();
  const [a, b, old] = [raw(own, "vcan0", true), raw(own, "vcan0", true), raw(own)];
  expect([a, old].map((sock) => sock.getsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES))).toEqual([1, 0]);
  const data = Buffer.from(Array.from({ length: 48 }, (_, i) => 255 - i));
  const id = (0x1ab_cdef | CAN_EFF_FLAG) >>> 0;
  a.send(canfd_frame.encode({ id, data, flags: CANFD_BRS }));
  expect(canfd_frame.decode(b.recv(100))).toEqual({ id, data, flags: CANFD_BRS | CANFD_FDF });
  a.send(can_frame.encode({ id: 5, data: "" }));
  expect(can_frame.decode(old.recv(100)).id).toBe(5); // and not the other
});

const log = ["123#DEADBEEF", "123#", "1FFFFFFF#1122334455667788", "7FF#R", "00000001#R4"];
const logFd = [...log, "123##0", `345##1${"A5".repeat(64)}`, "10203040##3AABBCC"];

/** The bytes of each frame of {@link logFd}, by hand. */
function frameOf(text: string): Buffer {
  const [, name = "", separator, flags, content = ""] = /^(\w+)(##(\w)|#)(\w*)$/.exec(text)!.map((part) => part ?? "");
  const isRemote = content.startsWith("R");
  const id = (parseInt(name, 16) | (name.length > 3 ? CAN_EFF_FLAG : 0) | (isRemote ? CAN_RTR_FLAG : 0)) >>> 0;
  const data = isRemote ? Buffer.alloc(Number(content.slice(1))) : Buffer.from(content, "hex");
  if (separator === "#") return can_frame.encode({ id, data });
  return canfd_frame.encode({ id, data, flags: parseInt(flags!, 16) });
}

withTool("candump", hasRaw)("candump logs what is sent", async () => {
  using own = new Sockets();
  const before = receivers("raw");
  const candump = new Program(["candump", "-L", "-n", String(logFd.length), "vcan1"]);
  await listens("raw", before);
  const sock = raw(own, "vcan1", true);
  for (const text of logFd) sock.send(frameOf(text));
  const { status, stdout } = await candump.end();
  // CANFD_FDF, which newer kernels set, is shown where candump is older.
  const unmarked = (_: string, flags: string) => `##${Number(flags) & ~CANFD_FDF}`;
  const seen = stdout.split("\n").map((line) => line.replace(/^\(\d+\.\d+\) vcan1 /, "").replace(/##(\d)/, unmarked));
  expect(seen).toEqual(logFd);
  expect(status).toBe(0);
});

withTool("cansend", hasRaw)("what cansend sends comes as it was written", async () => {
  using own = new Sockets();
  const sock = raw(own, "vcan1", true);
  for (const text of logFd) {
    expect(await new Program(["cansend", "vcan1", text]).end()).toEqual({ status: 0, stdout: "", stderr: "" });
    const [frame, from] = sock.recvfrom(100);
    const expected = frameOf(text);
    if (frame.length === CANFD_MTU) expected[5]! |= CANFD_FDF; // the kernel says so
    expect([frame, words(frame), from]).toEqual([expected, text, ["vcan1"]]);
  }
});

const example = (name: string, ...args: string[]) =>
  new Program([process.execPath, join(import.meta.dir, "..", "..", "examples", name), ...args]);

raws("examples/cansend.ts sends what examples/candump.ts shows, and says what it cannot", async () => {
  using own = new Sockets();
  const sock = raw(own, "vcan1", true);
  const before = receivers("raw");
  const shown = example("candump.ts", "-n", "4", "any,123:7FF,0F000000:0F000000,#1FFFFFFF");
  await listens("raw", before + 2); // a receiver for each filter
  for (const text of ["123#DEADBEEF", "124#", "1FFFFFFF#1122334455667788", "12345678##1AABBCC", "123#R4"]) {
    expect(await example("cansend.ts", "vcan1", text).end()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(words(sock.recv(100))).toBe(text);
  }
  sock.send(can_frame.encode({ id: CAN_ERR_FLAG | CAN_ERR_BUSOFF, data: Buffer.alloc(8) }));
  const { status, stdout } = await shown.end();
  expect(stdout.split("\n").map((line) => line.trim().split(/ +/).join(" "))).toEqual([
    "vcan1 123 [4] DE AD BE EF",
    "vcan1 1FFFFFFF [8] 11 22 33 44 55 66 77 88",
    "vcan1 123 [4] remote request",
    "vcan1 20000040 [8] 00 00 00 00 00 00 00 00 ERRORFRAME",
  ]);
  expect(status).toBe(0);
  for (const name of ["cansend.ts", "candump.ts"]) {
    const args = name === "cansend.ts" ? ["vcan-none", "123#"] : ["vcan-none"];
    const { status, stderr } = await example(name, ...args).end();
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^if_nametoindex ENODEV vcan-none: /)]);
  }
  expect((await example("cansend.ts", "vcan1", "800#").end()).status).toBe(2); // twelve bits
});

withTool("candump", hasRaw)("examples/candump.ts shows what candump shows, with the same filters", async () => {
  using own = new Sockets();
  const sock = raw(own, "vcan1", true);
  const ids = [0x001, 0x101, 0x123, 0x1ff, 0x223, 0x7ff];
  for (const filters of ["", ",123:7FF", ",100:700,023:0FF", ",100:700,023:0FF,j", ",100~700", ",00000123:1FFFFFFF"]) {
    const before = receivers("raw");
    const each = Math.max(filters.match(/[:~]/g)?.length ?? 0, 1); // a receiver for each filter
    const ours = example("candump.ts", `vcan1${filters}`);
    await listens("raw", before + each - 1);
    const theirs = new Program(["candump", "-T", String(200 * slowness), `vcan1${filters}`]); // last: its time runs
    await listens("raw", before + 2 * each - 1);
    for (const id of ids) sock.send(can_frame.encode({ id, data: bytes(id & 0xff, 1) }));
    sock.send(canfd_frame.encode({ id: 0x123, data: Buffer.alloc(12, 7) }));
    sock.send(can_frame.encode({ id: 0x123 | CAN_EFF_FLAG, data: "" }));
    const expected = (await theirs.end()).stdout; // it ends some time after the last frame
    await ours.kill();
    const got = (await ours.end()).stdout;
    const plain = (text: string) => text.split("\n").map((line) => line.trim().split(/ +/).join(" "));
    expect([filters, plain(got)]).toEqual([filters, plain(expected)]);
    expect(plain(got).length).toBeGreaterThan(filters.includes("j") ? 0 : 1);
  }
});

withPython(hasRaw)("CPython: raw frames both ways, the same addresses and errors", async () => {
  using own = new Sockets();
  const sock = raw(own, "vcan1");
  using peer = pythonPeer(`
s = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
print(s.getsockname())
s.bind(("vcan1",))
s.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", 0x124, socket.CAN_SFF_MASK))
s.send(struct.pack("=IB3x8s", 0x123, 2, b"hi"))
frame, address = s.recvfrom(16)
print(frame.hex(), address, s.getsockname())
for call in [lambda: s.bind(("lo",)), lambda: s.bind(("vcan-none",)), s.getpeername, lambda: s.send(b"short"),
             lambda: s.connect(("vcan0",))]:
    try: print(call())
    except OSError as e: print(e.errno)`);
  const [frame, from] = sock.recvfrom(100);
  expect([words(frame), from]).toEqual(["123#6869", ["vcan1"]]);
  const answer = can_frame.encode({ id: 0x124, data: "to you" });
  sock.send(answer);
  const mine = can(own, SOCK_RAW, CAN_RAW);
  const unbound = mine.getsockname();
  mine.bind(["vcan1"]);
  const errors = [
    errnoOf(() => mine.bind(["lo"])),
    errnoOf(() => mine.bind(["vcan-none"])),
    errnoOf(() => mine.getpeername()),
    errnoOf(() => mine.send("short")),
    errnoOf(() => mine.connect(["vcan0"])),
  ];
  const tuple = ([name]: AnyCanAddress) => `('${name}',)`;
  const lines = (await peer.output()).split("\n");
  expect(lines[0]).toBe(tuple(unbound));
  expect(lines[1]).toBe(`${answer.toString("hex")} ${tuple(from)} ${tuple(sock.getsockname())}`);
  expect(lines.slice(2).map(Number)).toEqual(errors);
});

// The broadcast manager

function bcm(own: Sockets, ifname = "vcan0"): Socket<"AF_CAN"> {
  const sock = can(own, SOCK_DGRAM, CAN_BCM);
  sock.connect([ifname]);
  return sock;
}

type Job = Parameters<typeof bcm_msg_head.encode>[0];
const give = (sock: Socket<"AF_CAN">, job: Job): number => sock.send(bcm_msg_head.encode(job));
const take = (sock: Socket<"AF_CAN">): BcmMsg => bcm_msg_head.decode(sock.recv(5000));
/** The data of the next frame. */
const next = (sock: Socket<"AF_CAN">): string => can_frame.decode(sock.recv(100)).data.toString();

bcms("the broadcast manager's address is the interface of its jobs", () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own, "")];
  expect(codeOf(() => job.connect(["vcan1"]))).toBe("EISCONN");
  expect(codeOf(() => job.getsockname())).toBe("EOPNOTSUPP");
  expect(codeOf(() => can(own, SOCK_DGRAM, CAN_BCM).send(Buffer.alloc(72)))).toBe("ENOTCONN");
  expect(codeOf(() => can(own, SOCK_DGRAM, CAN_BCM).connect(["vcan-none"]))).toBe("ENODEV");
  expect(codeOf(() => can(own, SOCK_DGRAM, CAN_BCM).connect(["lo"]))).toBe("ENODEV");

  // One of all interfaces says for each job which it is, and is told by which a frame came.
  const all = bcm(own, "");
  const send = bcm_msg_head.encode({ opcode: CAN_BCM_TX_SEND, id: 0, frames: [{ id: 0x55, data: "one" }] });
  expect(all.sendto(send, ["vcan1"])).toBe(send.length);
  const [frame, from] = listener.recvfrom(100);
  expect([words(frame), from]).toEqual(["055#6F6E65", ["vcan1"]]);
  give(all, { opcode: CAN_BCM_RX_SETUP, flags: CAN_BCM_RX_FILTER_ID, id: 0x56 });
  for (const name of ["vcan1", "vcan0"]) {
    raw(own, name).send(can_frame.encode({ id: 0x56, data: name }));
    const [message, came] = all.recvfrom(5000);
    expect([bcm_msg_head.decode(message).frames[0]?.data.toString(), came]).toEqual([name, [name]]);
  }
});

bcms("TX_SEND sends one frame, once", () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own, "vcan0", true)];
  give(job, { opcode: CAN_BCM_TX_SEND, id: 0, frames: [{ id: 0x101, data: "once" }] });
  expect(words(listener.recv(100))).toBe("101#6F6E6365");
  const data = Buffer.alloc(64, 3);
  give(job, { opcode: CAN_BCM_TX_SEND, flags: CAN_BCM_CAN_FD_FRAME, id: 0, frames: [{ id: 0x102, data }] });
  expect(canfd_frame.decode(listener.recv(100))).toMatchObject({ id: 0x102, data });
  expectQuiet(listener);
  expect(codeOf(() => give(job, { opcode: CAN_BCM_TX_SEND, id: 1 }))).toBe("EINVAL"); // no frame
});

bcms("TX_SETUP sends at its rate until TX_DELETE; TX_READ tells of it by TX_STATUS", () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own)];
  listener.setsockopt(SOL_SOCKET, SO_TIMESTAMP, 1);
  const interval = 0.04;
  const flags = CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER;
  const frames = [{ id: 0x123, data: "tick" }];
  give(job, { opcode: CAN_BCM_TX_SETUP, flags, ival2: interval, id: 0x123, frames });
  const times = Array.from({ length: 12 }, () => {
    const [frame, ancdata] = listener.recvmsg(100, CMSG_SPACE(16));
    expect(can_frame.decode(frame).data.toString()).toBe("tick");
    const [stamp] = decodeAncillary(ancdata);
    if (stamp?.type !== "timestamp") throw new Error(`no time, but ${Bun.inspect(ancdata)}`);
    return stamp.time.seconds + stamp.time.nanoseconds / 1e9; // by the kernel's clock, when it was sent
  });
  // The kernel keeps the rate over time, though a frame may be late where the machine is busy.
  const mean = (times.at(-1)! - times[0]!) / (times.length - 1);
  expect(mean).toBeGreaterThan(interval * 0.8);
  expect(mean).toBeLessThan(interval * 1.5);

  give(job, { opcode: CAN_BCM_TX_READ, id: 0x123 });
  expect(take(job)).toMatchObject({
    ...{ opcode: CAN_BCM_TX_STATUS, id: 0x123, count: 0, ival1: 0, ival2: interval },
    frames: [{ id: 0x123, data: Buffer.from("tick") }],
  });
  give(job, { opcode: CAN_BCM_TX_DELETE, id: 0x123 });
  const rest = receiveUntilQuiet(listener); // what was sent until then
  expectQuiet(listener);
  expect(rest.length).toBeLessThan(1000);
  for (const opcode of [CAN_BCM_TX_READ, CAN_BCM_TX_DELETE]) {
    expect(codeOf(() => give(job, { opcode, id: 0x123 }))).toBe("EINVAL"); // it is gone
  }
});

bcms("TX_COUNTEVT: TX_EXPIRED tells that the count is over; the second interval follows", () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own)];
  const flags = CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER | CAN_BCM_TX_COUNTEVT;
  const frames = [{ id: 0x130, data: "count" }];
  give(job, { opcode: CAN_BCM_TX_SETUP, flags, count: 3, ival1: 0.01, id: 0x130, frames });
  expect(take(job)).toMatchObject({ opcode: CAN_BCM_TX_EXPIRED, id: 0x130, frames: [] });
  expect([next(listener), next(listener), next(listener)]).toEqual(["count", "count", "count"]);
  expectQuiet(listener); // there is no second interval
  give(job, { opcode: CAN_BCM_TX_SETUP, flags, count: 2, ival1: 0.01, ival2: 0.02, id: 0x130, frames });
  expect(take(job)).toMatchObject({ opcode: CAN_BCM_TX_EXPIRED, ival1: 0.01, ival2: 0.02 });
  expect([1, 2, 3, 4].map(() => next(listener))).toEqual(["count", "count", "count", "count"]);
});

bcms("TX_ANNOUNCE sends new data at once, TX_CP_CAN_ID writes the identifier, TX_RESET_MULTI_IDX begins anew", () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own)];
  const update = (flags: number, ...data: string[]) =>
    give(job, { opcode: CAN_BCM_TX_SETUP, flags, id: 0x140, frames: data.map((one) => ({ id: 0, data: one })) });
  give(job, {
    ...{ opcode: CAN_BCM_TX_SETUP, flags: CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER | CAN_BCM_TX_CP_CAN_ID },
    ...{ ival2: 1000, id: 0x140, frames: [{ id: 0, data: "first" }] },
  });
  expect(words(listener.recv(100))).toBe("140#6669727374"); // a timer that starts sends, and then not for long
  update(CAN_BCM_TX_CP_CAN_ID, "silent");
  expectQuiet(listener);
  update(CAN_BCM_TX_CP_CAN_ID | CAN_BCM_TX_ANNOUNCE, "loud");
  expect(words(listener.recv(100))).toBe("140#6C6F7564");

  // A job of several frames sends them in turn: each announcement one.
  const both = CAN_BCM_TX_CP_CAN_ID | CAN_BCM_TX_ANNOUNCE;
  give(job, { opcode: CAN_BCM_TX_DELETE, id: 0x140 });
  update(both, "a", "b");
  update(both, "c", "d");
  expect([next(listener), next(listener)]).toEqual(["a", "d"]);
  update(both, "e", "f");
  update(both | CAN_BCM_TX_RESET_MULTI_IDX, "g", "h");
  expect([next(listener), next(listener)]).toEqual(["e", "g"]);
});

bcms("RX_SETUP with a content filter: RX_CHANGED tells of the bits that matter; RX_READ, RX_STATUS, RX_DELETE", () => {
  using own = new Sockets();
  const [job, sender] = [bcm(own), raw(own)];
  const mask = bytes(0xff, 0x0f);
  const setup = { opcode: CAN_BCM_RX_SETUP, id: 0x150, frames: [{ id: 0x150, data: mask }] };
  give(job, setup);
  const send = (...data: number[]) => sender.send(can_frame.encode({ id: 0x150, data: bytes(...data) }));
  const changed = (...data: number[]) =>
    expect(take(job)).toMatchObject({ opcode: CAN_BCM_RX_CHANGED, id: 0x150, frames: [{ data: bytes(...data) }] });
  send(1, 2, 3);
  changed(1, 2, 3); // the first one always
  send(1, 2, 4); // not in the mask
  send(1, 0xf2, 3); // nor is that half of a byte
  send(1, 3, 3);
  changed(1, 3, 3);
  send(2, 3, 3);
  changed(2, 3, 3);
  expectQuiet(job);

  give(job, { opcode: CAN_BCM_RX_READ, id: 0x150 });
  expect(take(job)).toMatchObject({ opcode: CAN_BCM_RX_STATUS, id: 0x150, frames: [{ data: mask }] });
  give(job, { opcode: CAN_BCM_RX_DELETE, id: 0x150 });
  send(9, 9, 9);
  expectQuiet(job);
  for (const opcode of [CAN_BCM_RX_READ, CAN_BCM_RX_DELETE]) {
    expect(codeOf(() => give(job, { opcode, id: 0x150 }))).toBe("EINVAL");
  }
});

bcms("RX_FILTER_ID hears every change of a frame, RX_CHECK_DLC one of its length", () => {
  using own = new Sockets();
  const [job, sender] = [bcm(own), raw(own)];
  const send = (id: number, ...data: number[]) => sender.send(can_frame.encode({ id, data: bytes(...data) }));
  give(job, { opcode: CAN_BCM_RX_SETUP, flags: CAN_BCM_RX_FILTER_ID, id: 0x160 });
  send(0x160, 1);
  send(0x161, 2); // another identifier
  send(0x160, 1);
  expect([take(job), take(job)].map(({ frames }) => frames[0]?.data)).toEqual([bytes(1), bytes(1)]);
  expectQuiet(job);
  const frames = [{ id: 0x162, data: bytes(0xff) }];
  give(job, { opcode: CAN_BCM_RX_SETUP, flags: CAN_BCM_RX_CHECK_DLC, id: 0x162, frames });
  send(0x162, 1);
  send(0x162, 1, 2);
  send(0x162, 1, 3);
  expect([take(job), take(job)].map(({ frames }) => frames[0]?.data)).toEqual([bytes(1), bytes(1, 2)]);
  expectQuiet(job);
});

bcms("RX_TIMEOUT tells that frames stay away, RX_ANNOUNCE_RESUME that they are back", () => {
  using own = new Sockets();
  const [job, sender] = [bcm(own), raw(own)];
  const send = (id: number) => sender.send(can_frame.encode({ id, data: "same" }));
  const frames = (id: number) => [{ id, data: Buffer.alloc(8, 0xff) }];
  const setup = (id: number, more: number) => {
    const flags = CAN_BCM_SETTIMER | more;
    give(job, { opcode: CAN_BCM_RX_SETUP, flags, ival1: 0.03, id, frames: frames(id) });
  };
  const opcodes = (count: number) =>
    Array.from({ length: count }, () => {
      const { opcode, id } = take(job);
      return [opcode, id];
    });
  setup(0x170, CAN_BCM_STARTTIMER | CAN_BCM_RX_ANNOUNCE_RESUME);
  expect(opcodes(1)).toEqual([[CAN_BCM_RX_TIMEOUT, 0x170]]); // the time began with the setup
  send(0x170);
  expect(opcodes(2)).toEqual([
    [CAN_BCM_RX_CHANGED, 0x170],
    [CAN_BCM_RX_TIMEOUT, 0x170],
  ]);
  send(0x170); // the same data
  expect(opcodes(2)).toEqual([
    [CAN_BCM_RX_CHANGED, 0x170],
    [CAN_BCM_RX_TIMEOUT, 0x170],
  ]);
  setup(0x171, 0);
  expectQuiet(job); // its time begins with the first frame
  send(0x171);
  expect(opcodes(2)).toEqual([
    [CAN_BCM_RX_CHANGED, 0x171],
    [CAN_BCM_RX_TIMEOUT, 0x171],
  ]);
  send(0x171); // not announced: the data is what it was
  expect(opcodes(1)).toEqual([[CAN_BCM_RX_TIMEOUT, 0x171]]);
  setup(0x172, CAN_BCM_RX_NO_AUTOTIMER);
  send(0x172);
  expect(opcodes(1)).toEqual([[CAN_BCM_RX_CHANGED, 0x172]]);
  expectQuiet(job); // nothing began
});

bcms("the second interval of a receiver is the least time between two messages", () => {
  using own = new Sockets();
  const [job, sender] = [bcm(own), raw(own)];
  const [flags, interval] = [CAN_BCM_SETTIMER | CAN_BCM_RX_FILTER_ID, 0.1];
  give(job, { opcode: CAN_BCM_RX_SETUP, flags, ival2: interval, id: 0x180 });
  for (const data of ["1", "2", "3"]) sender.send(can_frame.encode({ id: 0x180, data }));
  const data = () => take(job).frames[0]?.data.toString();
  expect([data(), data()]).toEqual(["1", "3"]); // "2" came too early, and was written over
  expectQuiet(job);
});

bcms("RX_RTR_FRAME answers remote requests by itself", () => {
  using own = new Sockets();
  const [job, asker] = [bcm(own), raw(own)];
  const id = 0x190 | CAN_RTR_FLAG;
  const answer = { id: 0x190, data: "answer" };
  give(job, { opcode: CAN_BCM_RX_SETUP, flags: CAN_BCM_RX_RTR_FRAME, id, frames: [answer] });
  asker.send(can_frame.encode({ id, data: "" }));
  expect(can_frame.decode(asker.recv(100))).toMatchObject({ id: 0x190, data: Buffer.from("answer") });
  const wrong = { opcode: CAN_BCM_RX_SETUP, flags: CAN_BCM_RX_RTR_FRAME, id: 0x190, frames: [answer] };
  expect(codeOf(() => give(job, wrong))).toBe("EINVAL"); // no remote request has that identifier
});

bcms("jobs of CAN FD are apart from the others", () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own, "vcan0", true)];
  const flags = CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER | CAN_BCM_TX_COUNTEVT;
  const common = { opcode: CAN_BCM_TX_SETUP, count: 2, ival1: 0.01, id: 0x1a0 };
  const data = Buffer.alloc(12, "x");
  give(job, { ...common, flags: flags | CAN_BCM_CAN_FD_FRAME, frames: [{ id: 0x1a0, data }] });
  const { opcode, flags: got } = take(job);
  expect([opcode, got & CAN_BCM_CAN_FD_FRAME]).toEqual([CAN_BCM_TX_EXPIRED, CAN_BCM_CAN_FD_FRAME]);
  expect(canfd_frame.decode(listener.recv(100)).data).toEqual(data);
  expect(codeOf(() => give(job, { opcode: CAN_BCM_TX_READ, id: 0x1a0 }))).toBe("EINVAL"); // not of that kind
  give(job, { opcode: CAN_BCM_TX_READ, flags: CAN_BCM_CAN_FD_FRAME, id: 0x1a0 });
  expect(take(job)).toMatchObject({ opcode: CAN_BCM_TX_STATUS, frames: [{ id: 0x1a0, data }] });
});

withTool("candump", hasBcm)("candump sees a job's frames", async () => {
  using own = new Sockets();
  const before = receivers("raw");
  const candump = new Program(["candump", "-L", "-n", "4", "vcan0"]);
  await listens("raw", before);
  const frames = [
    { id: 0x1b0, data: "a" },
    { id: 0x1b0, data: "b" },
  ];
  const flags = CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER | CAN_BCM_TX_RESET_MULTI_IDX;
  give(bcm(own), { opcode: CAN_BCM_TX_SETUP, flags, ival2: 0.02, id: 0x1b0, frames });
  const { stdout } = await candump.end();
  expect(stdout.split("\n").map((line) => line.split(" ").at(-1)!)).toEqual([
    ...["1B0#61", "1B0#62", "1B0#61", "1B0#62"],
  ]);
});

withTool("candump", hasBcm)("examples/can-cyclic.ts: candump sees its frames, one after the other", async () => {
  const before = receivers("raw");
  const candump = new Program(["candump", "-L", "-n", "6", "vcan0,12345678:1FFFFFFF,1B1:7FF"]);
  await listens("raw", before + 1);
  const narrow = example("can-cyclic.ts", "send", "vcan0", "0.05", "1B1", "01", "0202", "1122334455667788");
  await narrow.line(/^sending every 0\.05 s$/);
  const { stdout } = await candump.end();
  const seen = stdout.split("\n").map((line) => line.split(" ").at(-1)!);
  const cycle = ["1B1#01", "1B1#0202", "1B1#1122334455667788"];
  expect(seen).toEqual([...cycle, ...cycle]);
  await narrow.kill();
  using own = new Sockets();
  const listener = raw(own);
  expectQuiet(listener); // they end with the program
  const wide = example("can-cyclic.ts", "send", "vcan0", "0.05", "12345678", "FF");
  expect([words(listener.recv(100)), words(listener.recv(100))]).toEqual(["12345678#FF", "12345678#FF"]);
  await wide.kill();
  const nowhere = await example("can-cyclic.ts", "send", "vcan-none", "1", "123", "00").end();
  expect(nowhere).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/ENODEV/) });
});

withTool("cansend", hasBcm)("examples/can-cyclic.ts shows what changes of cansend's frames, and silence", async () => {
  const watcher = example("can-cyclic.ts", "watch", "vcan0", "1B2", "FF0F", String(slowness));
  await watcher.line(/^watching$/);
  for (const frame of ["1B2#0102", "1B2#0112", "1B3#0203", "1B2#0103"]) {
    expect((await new Program(["cansend", "vcan0", frame]).end()).status).toBe(0);
  }
  await watcher.line(new RegExp(`^none for ${slowness} s$`));
  await new Program(["cansend", "vcan0", "1B2#0103"]).end(); // back again, and what it was
  await watcher.line(/^0103$/);
  expect(watcher.output.filter((line) => !line.startsWith("none"))).toEqual(["watching", "0102", "0103", "0103"]);
});

withPython(hasBcm)("CPython: a job there is heard here, and the other way round", async () => {
  using own = new Sockets();
  const [job, listener] = [bcm(own), raw(own)];
  using peer = pythonPeer(`
s = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_BCM)
s.connect(("vcan0",))
head = struct.Struct("@IIIqqqqII") # opcode, flags, count, two struct timeval, can_id, nframes
s.send(head.pack(socket.CAN_BCM_RX_SETUP, socket.CAN_BCM_RX_FILTER_ID, 0, 0, 0, 0, 0, 0x1c1, 0))
flags = socket.CAN_BCM_SETTIMER | socket.CAN_BCM_STARTTIMER
s.send(head.pack(socket.CAN_BCM_TX_SETUP, flags, 0, 0, 0, 0, 20000, 0x1c0, 1) + struct.pack("=IB3x8s", 0x1c0, 2, b"py"))
message, address = s.recvfrom(1000)
print(head.unpack(message[:head.size])[0], message[head.size:].hex(), address)`);
  expect([next(listener), next(listener)]).toEqual(["py", "py"]);
  const frame = { id: 0x1c1, data: "here" };
  give(job, { opcode: CAN_BCM_TX_SEND, id: 0, frames: [frame] });
  expect(await peer.output()).toBe(`${CAN_BCM_RX_CHANGED} ${can_frame.encode(frame).toString("hex")} ('vcan0',)`);
});

// ISO-TP

function isotp(own: Sockets, rx: number, tx: number, flags = 0, options: object = {}): Socket<"AF_CAN"> {
  const sock = can(own, SOCK_DGRAM, CAN_ISOTP);
  sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, can_isotp_options.encode({ flags, ...options }));
  sock.bind(["vcan0", rx, tx]);
  return sock;
}

const message = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 7) % 251));
/** A message as isotpsend reads it, and isotprecv writes it. */
const spaced = (data: Buffer): string => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

isotps("an ISO-TP address has the identifiers to receive and to send with", () => {
  using own = new Sockets();
  const sock = can(own, SOCK_DGRAM, CAN_ISOTP);
  expect(sock.getsockname()).toEqual(["", 0, 0]);
  sock.bind(["vcan0", 0x123, 0x1234_5678 | CAN_EFF_FLAG]);
  expect(sock.getsockname()).toEqual(["vcan0", 0x123, 0x9234_5678]);
  expect(codeOf(() => sock.getpeername())).toBe("EOPNOTSUPP");
  expect(codeOf(() => sock.connect(["vcan0", 1, 2]))).toBe("EOPNOTSUPP");
  for (const [address, code] of [
    [["vcan-none", 1, 2], "ENODEV"],
    [["lo", 1, 2], "ENODEV"],
    [["", 1, 2], "ENODEV"],
    [["vcan0", 5, 5], "EADDRNOTAVAIL"],
  ] as const) {
    expect([address, codeOf(() => can(own, SOCK_DGRAM, CAN_ISOTP).bind(address))]).toEqual([address, code]);
  }
  for (const wrong of [["vcan0"], ["vcan0", 1], ["vcan0", 1, 2, 3], ["vcan0", 1, "2"], ["vcan0", 2 ** 32, 1]]) {
    expect(() => sock.bind(wrong as unknown as AnyCanAddress)).toThrow(/^address/);
  }
});

isotps("4,095 bytes go in many frames, both ways", () => {
  using own = new Sockets();
  const [a, b] = [isotp(own, 0x111, 0x222, CAN_ISOTP_WAIT_TX_DONE), isotp(own, 0x222, 0x111, CAN_ISOTP_WAIT_TX_DONE)];
  const listener = raw(own);
  const all = message(4095);
  // With CAN_ISOTP_WAIT_TX_DONE, send returns when the other end has it all.
  expect(a.send(all)).toBe(4095);
  b.setblocking(false);
  const [data, from] = b.recvfrom(5000);
  expect(data.equals(all)).toBe(true);
  expect(from[0]).toBe("vcan0");
  // The first frame has the length in twelve bits, then the other end says: go on.
  const [first, control, second] = [0, 1, 2].map(() => can_frame.decode(listener.recv(100)));
  expect([first?.id, first?.data]).toEqual([0x222, Buffer.concat([bytes(0x1f, 0xff), all.subarray(0, 6)])]);
  expect([control?.id, control?.data]).toEqual([0x111, bytes(0x30, 0, 0)]);
  expect([second?.id, second?.data]).toEqual([0x222, Buffer.concat([bytes(0x21), all.subarray(6, 13)])]);
  expect(b.send(all.subarray(1))).toBe(4094);
  expect(a.recv(5000).equals(all.subarray(1))).toBe(true);
});

isotps("options: block size, padding, an address in the data, times", () => {
  using own = new Sockets();
  const flags = CAN_ISOTP_EXTEND_ADDR | CAN_ISOTP_TX_PADDING | CAN_ISOTP_RX_PADDING | CAN_ISOTP_CHK_PAD_DATA;
  const options = { extAddress: 0x99, rxExtAddress: 0x99, txpadContent: 0x55, rxpadContent: 0x55 };
  const both = [can(own, SOCK_DGRAM, CAN_ISOTP), can(own, SOCK_DGRAM, CAN_ISOTP)] as const;
  const [a, b] = both;
  for (const sock of both) {
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, can_isotp_options.encode({ flags, ...options }));
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RECV_FC, can_isotp_fc_options.encode({ bs: 2, stmin: 1 }));
    for (const [option, time] of [
      [CAN_ISOTP_TX_STMIN, 1_000_000],
      [CAN_ISOTP_RX_STMIN, 2_000_000],
    ] as const) {
      sock.setsockopt(SOL_CAN_ISOTP, option, Uint32Array.of(time));
      expect(sock.getsockopt(SOL_CAN_ISOTP, option)).toBe(time);
    }
  }
  a.bind(["vcan0", 0x111, 0x222]);
  b.bind(["vcan0", 0x222, 0x111]);
  const listener = raw(own);
  const data = message(40);
  a.send(data);
  expect(b.recv(100)).toEqual(data);
  const frames = Array.from({ length: 10 }, () => can_frame.decode(listener.recv(100)));
  expect(frames.map(({ data }) => data[0])).toEqual(Array(10).fill(0x99));
  const controls = frames.filter(({ id }) => id === 0x111);
  expect(controls.map(({ data }) => data)).toEqual(Array(3).fill(bytes(0x99, 0x30, 2, 1, 0x55, 0x55, 0x55, 0x55)));
  // 5 bytes in the first frame, then 6 in each: 5 + 5 * 6 + 5, and one of padding
  expect(frames.at(-1)?.data).toEqual(Buffer.concat([bytes(0x99, 0x26), data.subarray(35), bytes(0x55)]));
  expect(codeOf(() => a.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, can_isotp_options.encode({})))).toBe("EISCONN");

  // Padding that is wrong is an error of who receives.
  const other = isotp(own, 0x333, 0x222, CAN_ISOTP_EXTEND_ADDR | CAN_ISOTP_TX_PADDING, { extAddress: 0x99 });
  other.send("x");
  expect(codeOf(() => b.recv(100))).toBe("EBADMSG");
});

isotps("a message for many fits one frame, and nobody answers it", () => {
  using own = new Sockets();
  const sender = isotp(own, 0x7f0, 0x7df, CAN_ISOTP_SF_BROADCAST);
  const [one, two] = [isotp(own, 0x7df, 0x7e8), isotp(own, 0x7df, 0x7e9)];
  expect(sender.send("1234567")).toBe(7);
  expect([one.recv(100).toString(), two.recv(100).toString()]).toEqual(["1234567", "1234567"]);
  expect(codeOf(() => sender.send("12345678"))).toBe("EINVAL");
});

isotps("where nobody answers, a sender that waits is told; what is too long or empty is refused", () => {
  using own = new Sockets();
  const sock = isotp(own, 0x111, 0x222, CAN_ISOTP_WAIT_TX_DONE | CAN_ISOTP_FORCE_TXSTMIN);
  expect(codeOf(() => sock.send(message(100)))).toBe("ECOMM");
  expect(codeOf(() => sock.send(Buffer.alloc(0)))).toBe("EINVAL");
  expect(codeOf(() => sock.send(Buffer.alloc(0x10_0000)))).toMatch(/^(EINVAL|EMSGSIZE)$/); // by the kernel's version
  expect(codeOf(() => can(own, SOCK_DGRAM, CAN_ISOTP).send("x"))).toBe("EADDRNOTAVAIL");
});

withTool("isotpsend", hasIsotp)("what isotpsend sends comes whole", async () => {
  using own = new Sockets();
  const sock = isotp(own, 0x222, 0x111);
  const wide = isotp(own, 0x1abbccdd | CAN_EFF_FLAG, 0x1addccbb | CAN_EFF_FLAG);
  for (const [receiver, from, to] of [
    [sock, "222", "111"],
    [wide, "1ABBCCDD", "1ADDCCBB"],
  ] as const) {
    const data = message(4095);
    const sender = new Program(["isotpsend", "-s", from, "-d", to, "-b", "vcan0"], {}, spaced(data));
    expect(receiver.recv(5000).equals(data)).toBe(true);
    expect(await sender.end()).toEqual({ status: 0, stdout: "", stderr: "" });
  }
});

withTool("isotprecv", hasIsotp)("isotprecv receives what is sent", async () => {
  using own = new Sockets();
  const before = receivers("isotp");
  const receiver = new Program(["isotprecv", "-s", "111", "-d", "222", "-b", "10", "vcan0"]);
  await listens("isotp", before);
  const data = message(4095);
  expect(isotp(own, 0x111, 0x222, CAN_ISOTP_WAIT_TX_DONE).send(data)).toBe(4095);
  expect((await receiver.end()).stdout.trim().toLowerCase()).toBe(spaced(data));
});

withTool("isotprecv", hasIsotp)("examples/isotp.ts: isotprecv gets what it sends", async () => {
  const data = message(300);
  const before = receivers("isotp");
  const receiver = new Program(["isotprecv", "-s", "7E8", "-d", "7E0", "vcan0"]);
  await listens("isotp", before);
  const sent = await example("isotp.ts", "send", "vcan0", "7E0", "7E8", data.toString("hex")).end();
  expect(sent).toEqual({ status: 0, stdout: "", stderr: "" });
  expect((await receiver.end()).stdout.trim().toLowerCase()).toBe(spaced(data));
  const nobody = await example("isotp.ts", "send", "vcan0", "7E0", "7E8", data.toString("hex")).end();
  expect(nobody).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^send ECOMM/) });
});

withTool("isotpsend", hasIsotp)("examples/isotp.ts shows what isotpsend sends", async () => {
  const receiver = example("isotp.ts", "receive", "vcan0", "1ABBCCDD", "1ADDCCBB");
  await receiver.line(/^receiving on vcan0$/);
  for (const data of [message(5), message(1000)]) {
    const sender = new Program(["isotpsend", "-s", "1ADDCCBB", "-d", "1ABBCCDD", "vcan0"], {}, spaced(data));
    expect(await sender.end()).toEqual({ status: 0, stdout: "", stderr: "" });
    await receiver.line(new RegExp(`^${data.toString("hex").toUpperCase()}$`));
  }
});

isotps("examples/isotp.ts asks a device that needs time, and one that refuses", async () => {
  using own = new Sockets();
  const listener = raw(own);
  const device = isotp(own, 0x7e0, 0x7e8);
  const answers = async (...all: Buffer[]) => {
    const asking = example("isotp.ts", "ask", "vcan0", "7E0", "7E8", "22F190");
    expect(device.recv(100)).toEqual(bytes(0x22, 0xf1, 0x90));
    for (const answer of all) device.send(answer);
    return await asking.end();
  };
  const vin = Buffer.concat([bytes(0x62, 0xf1, 0x90), Buffer.from("WVWZZZ1KZAW000000")]);
  const answered = await answers(bytes(0x7f, 0x22, 0x78), bytes(0x7f, 0x22, 0x78), vin);
  expect(answered).toEqual({ status: 0, stdout: vin.toString("hex").toUpperCase(), stderr: "" });
  expect(await answers(bytes(0x7f, 0x22, 0x31))).toEqual({ status: 1, stdout: "7F2231", stderr: "" });
  expect(words(listener.recv(100))).toBe("7E0#0322F190CCCCCCCC"); // a full frame
});

withPython(hasIsotp)("CPython: ISO-TP both ways, the same addresses and errors", async () => {
  using own = new Sockets();
  const sock = isotp(own, 0x222, 0x8000_0111);
  using peer = pythonPeer(`
s = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
print(s.getsockname())
s.bind(("vcan0", 0x80000111, 0x222))
s.send(bytes(i * 7 % 251 for i in range(4095)))
data, address = s.recvfrom(5000)
print(data.decode(), address, s.getsockname())
for call in [lambda: s.bind(("vcan0", 1, 2)), s.getpeername, lambda: s.send(b""), lambda: s.connect(("vcan0", 1, 2))]:
    try: print(call())
    except OSError as e: print(e.errno)`);
  const [data, from] = sock.recvfrom(5000);
  expect(data.equals(message(4095))).toBe(true);
  sock.send("a message that is longer than a frame");
  const tuple = ([name, ...ids]: AnyCanAddress) => `('${name}', ${ids.join(", ")})`;
  const errors = [
    errnoOf(() => sock.bind(["vcan0", 1, 2])),
    errnoOf(() => sock.getpeername()),
    errnoOf(() => sock.send(Buffer.alloc(0))),
    errnoOf(() => sock.connect(["vcan0", 1, 2])),
  ];
  const mine = ["vcan0", 0x8000_0111, 0x222] as const;
  const lines = (await peer.output()).split("\n");
  expect(lines.slice(0, 2)).toEqual([
    tuple(["", 0, 0]),
    `a message that is longer than a frame ${tuple(from)} ${tuple(mine)}`,
  ]);
  expect(lines.slice(2).map(Number)).toEqual(errors);
});

// J1939

const NO_NAME = BigInt(J1939_NO_NAME ?? 0);
type J1939 = readonly [ifname: string, name: bigint, pgn: number, addr: number];

function j1939(own: Sockets, addr: number, name = NO_NAME, pgn: number = J1939_NO_PGN): Socket<"AF_CAN"> {
  const sock = can(own, SOCK_DGRAM, CAN_J1939);
  sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  sock.bind(["vcan0", name, pgn, addr]);
  return sock;
}
const PGN = 0x1_2300; // to one address, as its second byte is below 240
const at = (addr: number, name = NO_NAME, pgn = PGN): J1939 => ["vcan0", name, pgn, addr];

j1939s("a J1939 address has a name, a parameter group, and an address on the bus", () => {
  using own = new Sockets();
  const sock = can(own, SOCK_DGRAM, CAN_J1939);
  sock.bind(["vcan0", NO_NAME, J1939_NO_PGN, 0x20]);
  expect(sock.getsockname()).toEqual(["vcan0", NO_NAME, J1939_NO_PGN, 0x20]);
  expect(codeOf(() => sock.getpeername())).toBe("EADDRNOTAVAIL");
  sock.connect(["vcan0", 0, PGN, 0x30]); // a name may be a number
  expect(sock.getpeername()).toEqual(["vcan0", 0n, PGN, 0x30]);
  const named = can(own, SOCK_DGRAM, CAN_J1939);
  const name = 0xfedc_ba98_7654_3210n;
  named.bind(["vcan0", name, J1939_NO_PGN, J1939_NO_ADDR]);
  expect(named.getsockname()).toEqual(["vcan0", name, J1939_NO_PGN, J1939_NO_ADDR]);
  for (const [address, code] of [
    [["vcan-none", 0n, 0, 0], "ENODEV"],
    [["lo", 0n, 0, 0], "ENODEV"],
    [["", 0n, 0, 0], "ENODEV"],
    [["vcan0", 0n, 0x1_2301, 0], "EINVAL"], // an address where a group to one has none
  ] as const) {
    expect([address, codeOf(() => can(own, SOCK_DGRAM, CAN_J1939).bind(address))]).toEqual([address, code]);
  }
  for (const wrong of [
    ...[["vcan0"], ["vcan0", 0n, 0], ["vcan0", "0", 0, 0], ["vcan0", -1n, 0, 0], ["vcan0", 2n ** 64n, 0, 0]],
    ...[
      ["vcan0", 0n, -1, 0],
      ["vcan0", 0n, 0, 256],
    ],
  ]) {
    expect(() => sock.bind(wrong as unknown as AnyCanAddressLike)).toThrow(/^address/);
  }
});

j1939s("a datagram tells who sent it, to whom, and with what priority", () => {
  using own = new Sockets();
  const [a, b, listener] = [j1939(own, 0x30), j1939(own, 0x20), raw(own)];
  expect(a.getsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO)).toBe(6);
  a.setsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO, 3);
  expect(a.getsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO)).toBe(3);
  expect(codeOf(() => a.setsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO, 8))).toBe("EDOM");
  a.sendto("hi", at(0x20));
  // Three bits of priority, eighteen of the group, in whose place for it stands the receiver; eight of the sender.
  expect(words(listener.recv(100))).toBe("0D232030#6869");
  const [data, ancdata, , from] = b.recvmsg(100, CMSG_SPACE(1) + CMSG_SPACE(8) + CMSG_SPACE(1));
  expect([data.toString(), from]).toEqual(["hi", ["vcan0", NO_NAME, PGN, 0x30]]);
  expect(decodeAncillary(ancdata)).toEqual([
    { type: "j1939Address", value: 0x20 },
    { type: "j1939Priority", value: 3 },
  ]);
  expect(ancdata.map(([level, type]) => [level, type])).toEqual([
    [SOL_CAN_J1939, SCM_J1939_DEST_ADDR],
    [SOL_CAN_J1939, SCM_J1939_PRIO],
  ]);
  // A connected socket has its peer, and hears nobody else.
  b.connect(at(0x30));
  b.send("back");
  expect(a.recvfrom(100)).toEqual([Buffer.from("back"), ["vcan0", NO_NAME, PGN, 0x20]]);
  j1939(own, 0x40).sendto("from a stranger", at(0x20));
  expectQuiet(b);
});

j1939s("an address claim gives a name its address, and then names are enough", () => {
  using own = new Sockets();
  const [one, two] = [0x8000_0000_1234_5678n, 0x8000_0000_1234_5679n];
  const claimAt = (name: bigint, addr: number): Socket<"AF_CAN"> => {
    const sock = j1939(own, addr, name);
    const claim = Buffer.alloc(8);
    claim.writeBigUInt64LE(name);
    sock.sendto(claim, ["vcan0", NO_NAME, J1939_PGN_ADDRESS_CLAIMED, J1939_NO_ADDR]);
    return sock;
  };
  const listener = raw(own);
  const [a, b] = [claimAt(one, 0x30), claimAt(two, 0x20)];
  expect([0, 1].map(() => words(listener.recv(100)))).toEqual([
    "18EEFF30#7856341200000080",
    "18EEFF20#7956341200000080",
  ]);
  // Others have 250 ms to object; until then the address cannot be used.
  expect(codeOf(() => a.sendto("early", at(J1939_NO_ADDR, two)))).toBe("EADDRNOTAVAIL");
  let code = "";
  for (let tries = 0; tries < 100 && code !== "sent"; tries++) {
    Bun.sleepSync(20 * slowness);
    code = codeOf(() => a.sendto("by name", at(J1939_NO_ADDR, two))).replace(/^nothing thrown.*/, "sent");
  }
  expect(code).toBe("sent");
  const room = CMSG_SPACE(1) + CMSG_SPACE(8) + CMSG_SPACE(1);
  let [data, ancdata, , from] = b.recvmsg(100, room);
  for (let claims = 0; from[2] === J1939_PGN_ADDRESS_CLAIMED; claims++) {
    expect(claims).toBeLessThan(2);
    [data, ancdata, , from] = b.recvmsg(100, room);
  }
  expect([data.toString(), from]).toEqual(["by name", ["vcan0", one, PGN, 0x30]]);
  expect(decodeAncillary(ancdata)).toEqual([
    { type: "j1939Address", value: 0x20 },
    { type: "j1939Name", name: two },
    { type: "j1939Priority", value: 6 },
  ]);
  expect(ancdata[1]?.[1]).toBe(SCM_J1939_DEST_NAME);
  expect(words(listener.recv(100))).toBe("19232030#6279206E616D65");
});

j1939s("a message above 8 bytes goes by the transport protocol, to one with handshakes, to all without", () => {
  using own = new Sockets();
  const [a, b, listener] = [j1939(own, 0x30), j1939(own, 0x20), raw(own)];
  const data = message(100);
  a.sendto(data, at(0x20));
  const [received, from] = b.recvfrom(2000);
  expect([received, from]).toEqual([data, ["", NO_NAME, PGN, 0x30]]); // the kernel does not tell the interface
  // Request to send: 100 bytes in 15 packets; the group is at the end.
  const request = can_frame.decode(listener.recv(100));
  expect([request.id.toString(16), [...request.data]]).toEqual(["98ec2030", [16, 100, 0, 15, 15, 0, 0x23, 1]]);
  expect(can_frame.decode(listener.recv(100)).data[0]).toBe(17); // clear to send

  // The group that many hear has no receiver in it; the packets come 50 ms apart.
  const toAll = at(J1939_NO_ADDR, NO_NAME, 0xff12);
  const short = message(20);
  a.sendto(short, toAll);
  expect(b.recvfrom(2000)).toEqual([short, ["", NO_NAME, 0xff12, 0x30]]);
  // Above 1,785 bytes it is the extended transport protocol.
  const long = message(5000);
  a.sendto(long, at(0x20));
  expect(b.recv(10_000).equals(long)).toBe(true);
});

j1939s("filters by address, group and name; SO_J1939_PROMISC hears what is for others", () => {
  using own = new Sockets();
  const [receiver, sender, other] = [j1939(own, 0x20), j1939(own, 0x30), j1939(own, 0x40)];
  const heard = (...filters: Parameters<typeof j1939_filter.encode>[0][]): string[] => {
    receiver.setsockopt(SOL_CAN_J1939, SO_J1939_FILTER, j1939_filter.encodeAll(filters));
    sender.sendto("sender", at(0x20));
    other.sendto("other", at(0x20));
    sender.sendto("group", at(0x20, NO_NAME, 0x1_2400));
    return receiveUntilQuiet(receiver).map(String);
  };
  expect(heard({ addr: 0x30, addrMask: 0xff })).toEqual(["sender", "group"]);
  expect(heard({ pgn: PGN, pgnMask: 0x3ffff })).toEqual(["sender", "other"]);
  expect(heard({ pgn: PGN, pgnMask: 0x3ffff, addr: 0x40, addrMask: 0xff })).toEqual(["other"]);
  expect(heard({ name: 5n, nameMask: 0xffn })).toEqual([]);
  expect(heard()).toEqual(["sender", "other", "group"]); // no filter
  sender.sendto("another", at(0x50));
  expectQuiet(receiver);
  receiver.setsockopt(SOL_CAN_J1939, SO_J1939_PROMISC, 1);
  expect(receiver.getsockopt(SOL_CAN_J1939, SO_J1939_PROMISC)).toBe(1);
  sender.sendto("another", at(0x50));
  expect(receiver.recv(100).toString()).toBe("another");
});

j1939s("to all is for who has SO_BROADCAST", () => {
  using own = new Sockets();
  const sock = can(own, SOCK_DGRAM, CAN_J1939);
  sock.bind(["vcan0", NO_NAME, J1939_NO_PGN, 0x21]);
  const request = bytes(0, 0xee, 0);
  const toAll: J1939 = ["vcan0", NO_NAME, J1939_PGN_REQUEST, J1939_NO_ADDR];
  expect(codeOf(() => sock.sendto(request, toAll))).toBe("EACCES");
  sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  expect(sock.sendto(request, toAll)).toBe(3);
});

j1939s("SO_J1939_ERRQUEUE tells how a transfer ended", () => {
  using own = new Sockets();
  const [a, b] = [j1939(own, 0x30), j1939(own, 0x20)];
  const flags = SOF_TIMESTAMPING_OPT_CMSG | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
  a.setsockopt(SOL_CAN_J1939, SO_J1939_ERRQUEUE, 1);
  expect(a.getsockopt(SOL_CAN_J1939, SO_J1939_ERRQUEUE)).toBe(1);
  a.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flags | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_TX_ACK);
  const notice = (): Ancillary => {
    for (let tries = 0; tries < 1000; tries++) {
      const code = codeOf(() => {
        const [, ancdata] = a.recvmsg(100, 512, MSG_ERRQUEUE);
        items.push(...decodeAncillary(ancdata).filter(({ type }) => type === "error"));
      });
      if (code !== "EAGAIN") expect(code).toStartWith("nothing thrown");
      if (items.length > 0) return items.shift()!;
      Bun.sleepSync(10);
    }
    throw new Error("no notice came");
  };
  const items: Ancillary[] = [];
  a.sendto(message(50), at(0x20));
  expect(b.recv(1000).length).toBe(50);
  expect(notice()).toMatchObject({ code: "ENOMSG", origin: SO_EE_ORIGIN_TIMESTAMPING, info: SCM_TSTAMP_ACK, data: 0 });
  a.sendto(message(50), at(0x77)); // there is nobody, and the request to send is not answered
  expect(notice()).toMatchObject({
    origin: SO_EE_ORIGIN_LOCAL,
    info: J1939_EE_INFO_TX_ABORT,
    code: "EHOSTUNREACH",
    data: 1,
  });
});

withTool("testj1939", hasJ1939)("testj1939 sends and receives, short messages and long ones", async () => {
  using own = new Sockets();
  const sock = j1939(own, 0x20);
  for (const length of [8, 100]) {
    const sender = new Program(["testj1939", `-s${length}`, "vcan0:0x80", "vcan0:0x20,0x12300"]);
    const [data, from] = sock.recvfrom(1000);
    // Its bytes count up, each digit twice: 01 23 45 67 89 ab cd ef, and again.
    expect([data.length, data.toString("hex", 0, 8), from]).toEqual([
      length,
      "0123456789abcdef",
      [length > 8 ? "" : "vcan0", NO_NAME, PGN, 0x80],
    ]);
    expect((await sender.end()).status).toBe(0);
  }
  const before = receivers("j1939");
  const receiver = new Program(["testj1939", "-r", "-w10", "vcan0:0x81"]);
  // The stack listens once for a bus, so that a listener more is not seen there: the message is sent until it is heard.
  expect(before).toBeGreaterThan(0);
  const sending = setInterval(() => sock.sendto(Buffer.from("cafe0102", "hex"), at(0x81)), 100);
  try {
    expect(await receiver.line(/^20 12300: (.*)$/)).toEqual([expect.stringMatching(/^ca fe 01 02/)]);
  } finally {
    clearInterval(sending);
  }
});

withTool("testj1939", hasJ1939)("examples/j1939.ts shows what testj1939 sends, to all and to others", async () => {
  const shown = example("j1939.ts", "listen", "vcan0");
  const one = example("j1939.ts", "listen", "vcan0", "12400");
  for (const program of [shown, one]) await program.line(/^group/);
  const sends = async (to: string) => {
    const sender = new Program(["testj1939", "-B", "-s8", "-p3", "vcan0:0x80", `vcan0:${to}`]);
    expect((await sender.end()).status).toBe(0);
  };
  for (const to of ["0x21,0x12300", "0xff,0xfef1", "0x21,0x12400"]) await sends(to);
  const data = "01 23 45 67 89 AB CD EF";
  await shown.line(new RegExp(`^12300    80   21         3  ${data}$`));
  await shown.line(new RegExp(`^0FEF1    80   FF         3  ${data}$`));
  for (const program of [shown, one]) await program.line(new RegExp(`^12400    80   21         3  ${data}$`));
  expect(one.output.length).toBe(2);
});

j1939s("examples/j1939.ts sends, short messages and long ones", async () => {
  using own = new Sockets();
  const [sock, listener] = [j1939(own, 0x20), raw(own)];
  for (const data of [bytes(1, 2, 3), message(100)]) {
    const sender = example("j1939.ts", "send", "vcan0", "80", "20", "12300", data.toString("hex"));
    expect(sock.recvfrom(1000)).toEqual([data, [data.length > 8 ? "" : "vcan0", NO_NAME, PGN, 0x80]]);
    expect(await sender.end()).toEqual({ status: 0, stdout: "", stderr: "" });
  }
  expect(words(listener.recv(100))).toBe("19232080#010203");
  const toAll = await example("j1939.ts", "send", "vcan0", "80", "FF", "FEF1", message(20).toString("hex")).end();
  expect(toAll.status).toBe(0); // it ends once all is out
  sock.settimeout(QUIET);
  expect(sock.recv(100)).toEqual(message(20));
  const wrong = await example("j1939.ts", "send", "vcan0", "80", "20", "12301", "00").end();
  expect(wrong).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^sendto EINVAL/) });
});

withTool("j1939acd", hasJ1939)("examples/j1939.ts claims an address, which j1939acd then leaves alone", async () => {
  using own = new Sockets();
  const listener = raw(own);
  const claimed = example("j1939.ts", "claim", "vcan0", "81", "1000");
  await claimed.line(/^claimed 81$/);
  expect(words(listener.recv(100))).toBe("18EEFF81#0010000000000000");
  // It asks who is there, and takes another address of its range.
  const other = new Program(["j1939acd", "-r", "0x81-0x82", "8000000000000001", "vcan0"]);
  const seen: string[] = [];
  while (!seen.includes("18EEFF82#0100000000000080")) seen.push(words(listener.recv(100)));
  expect(seen).toContain("18EEFF81#0010000000000000"); // the answer
  expect(seen).not.toContain("18EEFF81#0100000000000080");
  await other.kill();

  const claim = (name: bigint): void => {
    const sock = j1939(own, 0x81, name);
    const data = Buffer.alloc(8);
    data.writeBigUInt64LE(name);
    sock.sendto(data, ["vcan0", NO_NAME, J1939_PGN_ADDRESS_CLAIMED, J1939_NO_ADDR]);
  };
  claim(0x2000n);
  await claimed.line(/^kept it from 0000000000002000$/);
  claim(0xfffn);
  await claimed.line(/^lost it to 0000000000000FFF$/);
  expect((await claimed.end()).status).toBe(0);
});

withPython(hasJ1939)("CPython: J1939 both ways, the same addresses and errors", async () => {
  using own = new Sockets();
  const sock = j1939(own, 0x20);
  using peer = pythonPeer(`
s = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_J1939)
s.bind(("vcan0", socket.J1939_NO_NAME, socket.J1939_NO_PGN, 0x60))
s.sendto(b"more than eight bytes", ("vcan0", socket.J1939_NO_NAME, 0x12300, 0x20))
data, address = s.recvfrom(5000)
print(data.decode(), address, s.getsockname())
for call in [s.getpeername, lambda: s.bind(("vcan0", 0, 0x12301, 0)), lambda: s.sendto(b"x", ("vcan0", 0, 0xff00, 0xff)),
             lambda: s.bind(("vcan-none", 0, 0, 0))]:
    try: print(call())
    except OSError as e: print(e.errno)
s.connect(("vcan0", 0, 0x12300, 0x20))
print(s.getpeername())`);
  const [data, from] = sock.recvfrom(5000);
  expect([data.toString(), from]).toEqual(["more than eight bytes", ["", NO_NAME, PGN, 0x60]]);
  sock.sendto("to python, and it is long", at(0x60));
  const mine = can(own, SOCK_DGRAM, CAN_J1939);
  mine.bind(["vcan0", NO_NAME, J1939_NO_PGN, 0x61]);
  const errors = [
    errnoOf(() => mine.getpeername()),
    errnoOf(() => mine.bind(["vcan0", 0, 0x1_2301, 0])),
    errnoOf(() => mine.sendto("x", ["vcan0", 0, 0xff00, 0xff])),
    errnoOf(() => mine.bind(["vcan-none", 0, 0, 0])),
  ];
  const lines = (await peer.output()).split("\n");
  const tuple = ([name, ...rest]: AnyCanAddress) => `('${name}', ${rest.join(", ")})`;
  expect(lines[0]).toBe(
    `to python, and it is long ${tuple(["", NO_NAME, PGN, 0x20])} ${tuple(["vcan0", NO_NAME, J1939_NO_PGN, 0x60])}`,
  );
  expect(lines.slice(1, 5).map(Number)).toEqual(errors);
  mine.connect(at(0x20));
  expect(lines[5]).toBe(tuple(mine.getpeername()));
});

withTool("ip", hasRaw)("an interface that gets another name has it in the next address", () => {
  using own = new Sockets();
  const ip = (...args: string[]): void => {
    const { exitCode, stderr } = Bun.spawnSync(["ip", ...args]);
    expect([stderr.toString(), exitCode]).toEqual(["", 0]);
  };
  const [before, after] = [`a${process.pid}`, `b${process.pid}`];
  ip("link", "add", before, "type", "vcan");
  try {
    ip("link", "set", before, "up");
    const sock = raw(own, before);
    for (let i = 0; i < 3; i++) expect(sock.getsockname()).toEqual([before]);
    ip("link", "set", before, "down");
    ip("link", "set", before, "name", after);
    expect(sock.getsockname()).toEqual([after]);
  } finally {
    ip("link", "delete", codeOf(() => if_nametoindex(after)).startsWith("nothing thrown") ? after : before);
  }
});
