/**
 * AF_BLUETOOTH addresses, by real sockets; test/foreign/codecs.test.ts has those of every platform, byte by byte.
 *
 * In the machine of `bun run test:vm` two controllers are emulated, which hear each other.
 *
 * Peers: l2test and rctest of BlueZ.
 */
import { afterAll, expect } from "bun:test";
import { join } from "node:path";
import {
  AF_BLUETOOTH,
  BDADDR_ANY,
  BDADDR_BREDR,
  BDADDR_LE_PUBLIC,
  BTPROTO_HCI,
  BTPROTO_L2CAP,
  BTPROTO_RFCOMM,
  BTPROTO_SCO,
  BT_RCVMTU,
  HCI_CHANNEL_CONTROL,
  HCI_CHANNEL_LOGGING,
  HCI_CHANNEL_MONITOR,
  HCI_CHANNEL_USER,
  HCI_DATA_DIR,
  HCI_DEV_NONE,
  HCI_FILTER,
  HCI_TIME_STAMP,
  type L2capAddress,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  SOL_BLUETOOTH,
  SOL_HCI,
} from "../../src/index.ts";
import { codeOf, isLinux, needs, slowness, Sockets, thrown } from "../help.ts";
import { Program } from "../program.ts";
import { command as exampleCommand } from "../tools/help.ts";

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

// See ioctl's requests in the kernel's include/net/bluetooth/hci_sock.h.
const [HCIDEVUP, HCIDEVDOWN, HCIGETDEVINFO, HCISETSCAN] = [0x400448c9, 0x400448ca, 0x800448d3, 0x400448dd];

/** The address of a device in a structure, where its last byte is the first. */
function deviceIn(bytes: Buffer, at: number): string {
  const own = [...bytes.subarray(at, at + 6)].reverse();
  return own.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(":");
}

/** A controller's address and whether it is up; null where there is none of that number. */
function controller(sock: Socket, device: number): [address: string, isUp: boolean] | null {
  // struct hci_dev_info: the number, a name of eight bytes, the address, flags of which the first is HCI_UP …
  const info = Buffer.alloc(128);
  info.writeUInt16LE(device);
  if (codeOf(() => sock.ioctl(HCIGETDEVINFO, info)) === "ENODEV") return null;
  return [deviceIn(info, 10), (info.readUInt32LE(16) & 1) !== 0];
}

/** Turns a controller on, and lets others find it. */
function turnOn(sock: Socket, device: number): void {
  if (!controller(sock, device)![1]) sock.ioctl(HCIDEVUP, device);
  const scan = Buffer.alloc(8); // struct hci_dev_req: the number, then what is wanted
  scan.writeUInt16LE(device);
  scan.writeUInt32LE(3, 4); // SCAN_INQUIRY | SCAN_PAGE
  sock.ioctl(HCISETSCAN, scan);
}

/** The emulator of controllers, where there is one: btvirt of BlueZ. */
const emulator = process.env["BTVIRT"];

/** The addresses of the first two controllers, which are up then. They are emulated where the machine has none. */
function controllers(): string[] {
  using sock = new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI);
  if (controller(sock, 0) === null && emulator !== undefined) {
    const child = Bun.spawn([emulator, "-l2"], { stdio: ["ignore", "ignore", "ignore"] });
    afterAll(() => child.kill());
    const deadline = performance.now() + 20_000 * slowness;
    // A controller cannot be turned on while the kernel still sets it up.
    const isThere = (device: number): boolean =>
      controller(sock, device) !== null && /^(nothing|EALREADY)/.test(codeOf(() => sock.ioctl(HCIDEVUP, device)));
    for (const device of [0, 1]) {
      while (!isThere(device)) {
        if (performance.now() > deadline) throw new Error(`${emulator} gives no controllers`);
        Bun.sleepSync(20);
      }
    }
    for (const device of [0, 1]) turnOn(sock, device);
  }
  return [0, 1].flatMap((device) => {
    const [address, isUp] = controller(sock, device) ?? ["", false];
    return isUp ? [address] : [];
  });
}

const hasHci =
  isLinux &&
  AF_BLUETOOTH !== undefined &&
  codeOf(() => new Socket(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI).close()).startsWith("nothing thrown");
const [one, two] = hasHci ? (controllers() as [string, string]) : [];
// Not with real controllers: they are reset and turned off here.
const pair = needs(
  "pair of emulated Bluetooth controllers",
  emulator !== undefined && one !== undefined && two !== undefined,
);
const patience = 3 * slowness;

function bluetooth(own: Sockets, type: number, proto: number): Socket<"AF_BLUETOOTH"> {
  const sock = own.add(new Socket(AF_BLUETOOTH, type, proto));
  sock.settimeout(patience);
  return sock;
}

for (const type of [SOCK_SEQPACKET, SOCK_STREAM]) {
  pair(`L2CAP: each end of a connection has the other's address, type ${type}`, () => {
    using own = new Sockets();
    const psm = 0x1001 + 2 * type;
    const server = bluetooth(own, type, BTPROTO_L2CAP);
    server.bind([one!, psm]);
    server.listen();
    const client = bluetooth(own, type, BTPROTO_L2CAP);
    client.bind([two!.toLowerCase(), 0]);
    client.connect([one!, psm]);
    const [conn, address] = server.accept();
    own.add(conn).settimeout(patience);
    const channel = expect.any(Number) as unknown as number; // which the kernel chose
    expect(address).toEqual([two!, psm, channel, BDADDR_BREDR]);
    expect((address as L2capAddress)[2]).toBeGreaterThanOrEqual(0x40); // below are the fixed ones
    expect(client.getsockname()[0]).toBe(two!);
    expect(client.getpeername()).toEqual([one!, psm, channel, BDADDR_BREDR]);
    expect(conn.getsockname()).toEqual([one!, psm, channel, BDADDR_BREDR]);
    client.send("by radio");
    expect(conn.recv(100).toString()).toBe("by radio");
    conn.send("and back");
    expect(client.recv(100).toString()).toBe("and back");
  });
}

pair("L2CAP: a service that is not there refuses", () => {
  using own = new Sockets();
  const client = bluetooth(own, SOCK_SEQPACKET, BTPROTO_L2CAP);
  client.bind([two!, 0]);
  const error = thrown(() => client.connect([one!, 0x1201]));
  expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "connect", address: [one!, 0x1201] });
  const wrong = bluetooth(own, SOCK_SEQPACKET, BTPROTO_L2CAP);
  expect(codeOf(() => wrong.bind([one!, 0x1002]))).toBe("EINVAL"); // a PSM is odd
});

pair("RFCOMM: each end of a connection has the other's address", () => {
  using own = new Sockets();
  const server = bluetooth(own, SOCK_STREAM, BTPROTO_RFCOMM);
  server.bind([one!, 7]);
  server.listen();
  const client = bluetooth(own, SOCK_STREAM, BTPROTO_RFCOMM);
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

pair("RFCOMM: channel 0 is one that the kernel chooses", () => {
  using own = new Sockets();
  const server = bluetooth(own, SOCK_STREAM, BTPROTO_RFCOMM);
  server.bind([one!, 0]);
  server.listen();
  const [device, channel] = server.getsockname() as [string, number];
  expect(device).toBe(one!);
  expect(channel).toBeGreaterThan(0);
  expect(channel).toBeLessThanOrEqual(30);
});

/** Where the machine of `bun run test:vm` has BlueZ's programs. */
const programs = process.env["BLUEZ"];
const bluez = needs(
  "pair of Bluetooth controllers with BlueZ's programs",
  emulator !== undefined && two !== undefined && programs !== undefined,
);

bluez.each([
  ["l2test", SOCK_SEQPACKET, BTPROTO_L2CAP, 0x1015],
  ["rctest", SOCK_STREAM, BTPROTO_RFCOMM, 11],
] as const)("%s connects, and sends", async (program, type, proto, service) => {
  using own = new Sockets();
  const server = bluetooth(own, type, proto);
  server.bind([one!, service]);
  server.listen();
  const child = Bun.spawn(
    [
      join(programs!, "usr", "bin", program),
      "-i",
      "hci1",
      "-s",
      "-N",
      "3",
      "-D",
      "300",
      "-b",
      "64",
      "-P",
      String(service),
      one!,
    ],
    { stdio: ["ignore", "ignore", "ignore"] },
  );
  try {
    const [conn, address] = server.accept();
    own.add(conn).settimeout(patience);
    expect([address[0], address[1]]).toEqual([two!, service]);
    let data = Buffer.alloc(0);
    while (data.length < 128) data = Buffer.concat([data, conn.recv(64)]);
    // Each message is its number, its length, then 0x7f.
    for (const number of [0, 1]) {
      const message = data.subarray(64 * number, 64 * (number + 1));
      expect([message.readUInt32LE(0), message.readUInt16LE(4)]).toEqual([number, 64]);
      expect(message.subarray(6)).toEqual(Buffer.alloc(58, 0x7f));
    }
  } finally {
    child.kill();
    await child.exited;
  }
});

const example = (name: string, ...args: string[]) => new Program(exampleCommand(name, ...args));

const exampleTimeout = 30_000 * slowness;

pair(
  "examples/rfcomm-echo.ts: server and client",
  async () => {
    using server = example("rfcomm-echo.ts", "serve", "0");
    const [channel = ""] = await server.line(/^listening on channel (\d+)$/);
    expect(await example("rfcomm-echo.ts", "send", one!, channel, "grüß dich").end()).toEqual({
      ...{ status: 0, stdout: "grüß dich", stderr: "" },
    });
    await server.line(new RegExp(`^served 11 bytes to ${two}$`));
    const nobody = await example("rfcomm-echo.ts", "send", one!, "29", "x").end();
    expect([nobody.status, nobody.stderr]).toEqual([1, expect.stringMatching(/^connect E\w+ /)]);
  },
  exampleTimeout,
);

bluez(
  "examples/rfcomm-echo.ts: rctest sends to it",
  async () => {
    using server = example("rfcomm-echo.ts", "serve", "13");
    await server.line(/^listening on channel 13$/);
    const rctest = join(programs!, "usr", "bin", "rctest");
    using client = new Program([rctest, "-i", "hci1", "-s", "-N", "3", "-D", "100", "-b", "64", "-P", "13", one!]);
    // It reads no answer, and resets the connection when it is done.
    const [bytes] = await server.line(new RegExp(`^served (\\d+) bytes to ${two}$`));
    expect(Number(bytes)).toBeGreaterThanOrEqual(64);
    await client.end();
  },
  exampleTimeout,
);

/** A controller's answer to a command: the event Command Complete, with the command's number. */
const complete = (opcode: number): RegExp =>
  new RegExp(`^040e..01${Buffer.from(Uint16Array.of(opcode).buffer).toString("hex")}`);
const READ_BD_ADDR = 0x1009;
const command = Buffer.from([1, READ_BD_ADDR & 255, READ_BD_ADDR >> 8, 0]);

pair("HCI: a socket that is bound to a controller tells its number", () => {
  using own = new Sockets();
  const sock = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  sock.bind([1]);
  expect(sock.getsockname()).toEqual([1, 0]);
  expect(codeOf(() => bluetooth(own, SOCK_RAW, BTPROTO_HCI).bind([9]))).toBe("ENODEV");
});

pair("HCI: filters, directions and times", () => {
  using own = new Sockets();
  const sock = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  const witness = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  for (const each of [sock, witness]) {
    each.bind([0]);
    // struct hci_filter: kinds of packets, kinds of events in eight bytes, one command's number.
    expect(each.getsockopt(SOL_HCI, HCI_FILTER, 14)).toEqual(Buffer.alloc(14)); // nothing
    for (const option of [HCI_DATA_DIR, HCI_TIME_STAMP]) {
      expect(each.getsockopt(SOL_HCI, option)).toBe(0);
      each.setsockopt(SOL_HCI, option, 1);
      expect(each.getsockopt(SOL_HCI, option)).toBe(1);
    }
  }
  const filter = Buffer.alloc(16);
  filter.writeUInt32LE(1 << 4, 0); // events …
  filter.writeUInt32LE(1 << 0x0e, 4); // … of Command Complete
  sock.setsockopt(SOL_HCI, HCI_FILTER, filter);
  expect(sock.getsockopt(SOL_HCI, HCI_FILTER, 14)).toEqual(filter.subarray(0, 14));
  const commands = Buffer.alloc(16);
  commands.writeUInt32LE(1 << 1, 0);
  witness.setsockopt(SOL_HCI, HCI_FILTER, commands);

  const began = Math.floor(Date.now() / 1000);
  expect(sock.send(command)).toBe(4);
  for (const [who, expected, incoming] of [
    [sock, complete(READ_BD_ADDR), 1],
    [witness, /^01091000$/, 0],
  ] as const) {
    const [data, ancillary, flags, from] = who.recvmsg(100, 200);
    expect(data.toString("hex")).toMatch(expected);
    expect([flags, from]).toEqual([0, null] as never);
    const [direction, time] = ancillary;
    expect([direction![0], direction![1], direction![2].readInt32LE()]).toEqual([SOL_HCI, 1, incoming]); // HCI_CMSG_DIR
    expect(time!.slice(0, 2)).toEqual([SOL_HCI, 2]); // HCI_CMSG_TSTAMP: a struct timeval
    const seconds = Number(time![2].length === 16 ? time![2].readBigInt64LE() : time![2].readInt32LE());
    expect(seconds).toBeGreaterThanOrEqual(began);
    expect(seconds).toBeLessThanOrEqual(began + 60);
    if (who === sock) expect(deviceIn(data, 7)).toBe(one!);
  }
  // Without events in its filter it hears none.
  sock.setsockopt(SOL_HCI, HCI_FILTER, Buffer.alloc(16));
  sock.send(command);
  witness.recv(100);
  sock.settimeout(0.2);
  expect(codeOf(() => sock.recv(100))).toBe("ETIMEDOUT");
});

pair("HCI: the user channel has a controller for itself, while it is down", () => {
  using own = new Sockets();
  const admin = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  const user = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  expect(codeOf(() => user.bind([1, HCI_CHANNEL_USER]))).toBe("EBUSY");
  admin.ioctl(HCIDEVDOWN, 1);
  try {
    user.bind([1, HCI_CHANNEL_USER]);
    expect(user.getsockname()).toEqual([1, HCI_CHANNEL_USER]);
    expect(codeOf(() => admin.ioctl(HCIDEVUP, 1))).toBe("EALREADY"); // the user has turned it on
    user.send(Buffer.from([1, 0x03, 0x0c, 0])); // HCI Reset
    const [data, from] = user.recvfrom(100);
    expect(data.toString("hex")).toMatch(complete(0x0c03));
    expect(from).toBeNull();
  } finally {
    user.close();
    turnOn(admin, 1);
  }
});

pair("HCI: the monitor sees what every controller does", () => {
  using own = new Sockets();
  const monitor = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  monitor.bind([HCI_DEV_NONE, HCI_CHANNEL_MONITOR]);
  expect(codeOf(() => monitor.getsockname())).toBe("EBADFD"); // it is of no controller
  // struct hci_mon_hdr: what it is, of which controller, how long.
  const next = (what: number): [device: number, data: Buffer] => {
    for (;;) {
      const message = monitor.recv(2000);
      expect(message.readUInt16LE(4)).toBe(message.length - 6);
      if (message.readUInt16LE(0) === what) return [message.readUInt16LE(2), message.subarray(6)];
    }
  };
  expect(next(12)[1].toString()).toMatch(/^Linux version /); // a note of the system
  const found = [next(0), next(0)].map(([device, data]) => [device, deviceIn(data, 2)]);
  expect(found.toSorted()).toEqual([
    [0, one!],
    [1, two!],
  ]);
  const sock = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  sock.bind([1]);
  sock.send(command);
  expect(next(2)).toEqual([1, command.subarray(1)]); // a command
  const [device, event] = next(3);
  expect([device, `04${event.toString("hex")}`]).toEqual([1, expect.stringMatching(complete(READ_BD_ADDR))]);
});

/** Asks the kernel's management of controllers: struct mgmt_hdr is a command, a controller, a length. */
function manage(sock: Socket<"AF_BLUETOOTH">, opcode: number, device: number, ...parameters: number[]): Buffer {
  const request = Buffer.alloc(6 + parameters.length);
  request.writeUInt16LE(opcode, 0);
  request.writeUInt16LE(device, 2);
  request.writeUInt16LE(parameters.length, 4);
  request.set(parameters, 6);
  sock.send(request);
  for (;;) {
    const [event, from] = sock.recvfrom(1000);
    expect(from).toBeNull();
    if (event.readUInt16LE(0) !== 1 || event.readUInt16LE(6) !== opcode) continue; // MGMT_EV_CMD_COMPLETE
    expect([event.readUInt16LE(2), event[8]]).toEqual([device, 0]);
    return event.subarray(9);
  }
}

pair("HCI: the control channel answers, and the logging channel is there", () => {
  using own = new Sockets();
  const control = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  control.bind([HCI_DEV_NONE, HCI_CHANNEL_CONTROL]);
  expect(manage(control, 0x0001, HCI_DEV_NONE)[0]).toBe(1); // the version
  const list = manage(control, 0x0003, HCI_DEV_NONE); // how many controllers, and which
  expect([list.readUInt16LE(0), [list.readUInt16LE(2), list.readUInt16LE(4)].sort()]).toEqual([2, [0, 1]]);
  const information = manage(control, 0x0004, 1);
  expect(deviceIn(information, 0)).toBe(two!);
  const logging = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  logging.bind([HCI_DEV_NONE, HCI_CHANNEL_LOGGING]);
  expect(codeOf(() => logging.recv(10))).toBe("EOPNOTSUPP"); // it takes alone
});

pair("SCO: who listens, and what controllers without voice refuse", () => {
  using own = new Sockets();
  const server = bluetooth(own, SOCK_SEQPACKET, BTPROTO_SCO);
  server.bind(one!);
  server.listen();
  expect(server.getsockname()).toBe(one!);
  const second = bluetooth(own, SOCK_SEQPACKET, BTPROTO_SCO);
  second.bind(one!.toLowerCase());
  expect(codeOf(() => second.listen())).toBe("EADDRINUSE");
  const client = bluetooth(own, SOCK_SEQPACKET, BTPROTO_SCO);
  client.bind(two!);
  // The controllers that are emulated make no voice link; a real one would.
  if (emulator !== undefined) {
    expect(thrown(() => client.connect(one!))).toMatchObject({
      code: "ECONNREFUSED",
      syscall: "connect",
      address: one!,
    });
  }
  expect(client.getsockname()).toBe(two!);
});

pair(
  "examples/hci-dump.ts shows the controllers, commands and events",
  async () => {
    using all = example("hci-dump.ts");
    using second = example("hci-dump.ts", "hci1");
    const time = String.raw`^\d\d:\d\d:\d\d\.\d{3} `;
    for (const [number, address] of [one!, two!].entries()) {
      const found = new RegExp(`${time}hci${number} = new controller ${address}$`);
      await (number === 0 ? all : second).line(found);
    }
    using own = new Sockets();
    const both = [0, 1].map((device) => {
      const sock = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
      sock.bind([device]);
      return sock;
    });
    // Until they are seen: a program begins with what there was before, and is late where the machine is.
    const sending = setInterval(() => both.forEach((sock) => sock.send(command)), 200);
    try {
      const [address] = [two!.split(":").reverse().join(" ").toLowerCase()];
      for (const program of [all, second]) {
        await program.line(new RegExp(`${time}hci1 < command 1009:$`));
        await program.line(new RegExp(`${time}hci1 > event command complete: 01 09 10 00 ${address}$`));
      }
    } finally {
      clearInterval(sending);
    }
    expect(second.output.filter((line) => line.includes("hci0"))).toEqual([]);
    expect(all.output.some((line) => / hci0 [<>] /.test(line))).toBe(true);
  },
  exampleTimeout,
);

// The last, since it turns the controllers off and on.
pair("L2CAP over Bluetooth LE: the kind of address, and a fixed channel", () => {
  using own = new Sockets();
  const control = bluetooth(own, SOCK_RAW, BTPROTO_HCI);
  control.bind([HCI_DEV_NONE, HCI_CHANNEL_CONTROL]);
  for (const device of [0, 1]) {
    manage(control, 0x0005, device, 0); // powered: off
    manage(control, 0x000d, device, 1); // low energy
    manage(control, 0x0005, device, 1);
  }
  manage(control, 0x0029, 0, 1); // the first one advertises
  const server = bluetooth(own, SOCK_SEQPACKET, BTPROTO_L2CAP);
  server.bind([one!, 0x81, 0, BDADDR_LE_PUBLIC]);
  server.listen();
  expect(server.getsockname()).toEqual([one!, 0x81, 0, BDADDR_LE_PUBLIC]);
  // Who wants a fixed channel has to listen before the devices meet.
  const [served, attribute] = [1, 2].map(() => bluetooth(own, SOCK_SEQPACKET, BTPROTO_L2CAP)) as [
    Socket<"AF_BLUETOOTH">,
    Socket<"AF_BLUETOOTH">,
  ];
  served.bind([one!, 0, 4, BDADDR_LE_PUBLIC]); // that of the attribute protocol
  served.listen();
  expect(served.getsockname()).toEqual([one!, 0, 4, BDADDR_LE_PUBLIC]);
  const client = bluetooth(own, SOCK_SEQPACKET, BTPROTO_L2CAP);
  client.bind([two!, 0, 0, BDADDR_LE_PUBLIC]);
  client.connect([one!, 0x81, 0, BDADDR_LE_PUBLIC]);
  const [conn, address] = server.accept();
  own.add(conn).settimeout(patience);
  expect(address).toEqual([two!, 0x81, expect.any(Number) as never, BDADDR_LE_PUBLIC]);
  expect(client.getpeername()).toEqual([one!, 0x81, expect.any(Number) as never, BDADDR_LE_PUBLIC]);
  expect(conn.getsockopt(SOL_BLUETOOTH, BT_RCVMTU)).toBeGreaterThan(22);
  conn.send("by low energy");
  expect(client.recv(100).toString()).toBe("by low energy");

  attribute.bind([two!, 0, 4, BDADDR_LE_PUBLIC]);
  attribute.connect([one!, 0, 4, BDADDR_LE_PUBLIC]);
  expect(attribute.getpeername()).toEqual([one!, 0, 4, BDADDR_LE_PUBLIC]);
  attribute.send(Buffer.from([2, 23, 0])); // what it has room for
  const [fixed, from] = served.accept();
  own.add(fixed).settimeout(patience);
  expect(from).toEqual([two!, 0, 4, BDADDR_LE_PUBLIC]);
  expect(fixed.recv(10)).toEqual(Buffer.from([2, 23, 0]));
});
