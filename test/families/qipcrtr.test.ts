/**
 * AF_QIPCRTR on one node: addresses, datagrams, and the name service, which the kernel itself is.
 *
 * Peers: the kernel's name service, CPython.
 */
import { expect, setDefaultTimeout } from "bun:test";
import {
  AF_QIPCRTR,
  FIONREAD,
  MSG_TRUNC,
  OSError,
  type QipcrtrAddress,
  QRTR_PORT_CTRL,
  QRTR_TYPE_DEL_LOOKUP,
  QRTR_TYPE_DEL_SERVER,
  QRTR_TYPE_NEW_LOOKUP,
  QRTR_TYPE_NEW_SERVER,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
} from "../../src/index.ts";
import { codeOf, isRoot, needs, python, pythonPeer, slowness, Sockets, thrown, works } from "../help.ts";
import { Program } from "../program.ts";
import { command, run } from "../tools/help.ts";

setDefaultTimeout(30_000 * slowness);

const hasQrtr = AF_QIPCRTR !== undefined && works(() => new Socket(AF_QIPCRTR, SOCK_DGRAM));
const qrtr = needs("AF_QIPCRTR", hasQrtr);

/** How long what is not expected may take to come, in seconds. */
const QUIET = 0.05 * slowness;

function open(own: Sockets): Socket<"AF_QIPCRTR"> {
  const sock = own.add(new Socket(AF_QIPCRTR, SOCK_DGRAM));
  sock.settimeout(5 * slowness);
  return sock;
}

/** A socket with a port of its own. */
function bound(own: Sockets): [Socket<"AF_QIPCRTR">, QipcrtrAddress] {
  const sock = open(own);
  sock.bind([sock.getsockname()[0], 0]);
  return [sock, sock.getsockname()];
}

qrtr("a socket is on this node, and has a port once it is bound", () => {
  using own = new Sockets();
  const sock = open(own);
  const [node, none] = sock.getsockname();
  expect([node > 0, none]).toEqual([true, 0]);
  expect(codeOf(() => sock.getpeername())).toBe("ENOTCONN");
  sock.bind([node, 0]);
  const [, port] = sock.getsockname();
  expect(port).toBeGreaterThanOrEqual(0x4000); // the first that the kernel gives
  const chosen = 0x7000 + (process.pid % 0x800);
  const other = open(own);
  other.bind([node, chosen]);
  expect(other.getsockname()).toEqual([node, chosen]);
  const taken = thrown(() => open(own).bind([node, chosen]));
  expect([taken.code, taken.address]).toEqual(["EADDRINUSE", [node, chosen]]);
  expect(codeOf(() => open(own).bind([node + 1, 0]))).toBe("EINVAL"); // another node's
  sock.connect([0xfedc_ba98, 0x8765_4321]); // numbers have no sign
  expect(sock.getpeername()).toEqual([0xfedc_ba98, 0x8765_4321]);
  expect(codeOf(() => new Socket(AF_QIPCRTR, SOCK_STREAM).close())).toBe("EPROTOTYPE");
});

qrtr("what is no address is refused before anything is sent", () => {
  using own = new Sockets();
  const [sock, [node, port]] = bound(own);
  for (const [address, error] of [
    [undefined, /^address: /],
    ["1", /^address: /],
    [[node], /^address: /],
    [[node, port, 0], /^address: /],
    [["1", port], /^address\[0\]: /],
    [[-1, port], /^address\[0\]: /],
    [[2 ** 32, port], /^address\[0\]: /],
    [[node, 0.5], /^address\[1\]: /],
    [[node, 1n], /^address\[1\]: /],
    [[node, 2 ** 32], /^address\[1\]: /],
  ] as const) {
    const wrong = address as unknown as QipcrtrAddress;
    for (const call of [() => sock.bind(wrong), () => sock.connect(wrong), () => sock.sendto("x", wrong)]) {
      expect(call).toThrow(error);
      expect(call).not.toThrow(OSError);
    }
  }
  sock.setblocking(false);
  expect(codeOf(() => sock.recv(10))).toBe("EAGAIN");
});

qrtr("datagrams of any length go there and back, and each tells who sent it", () => {
  using own = new Sockets();
  const [[a, at], [b, to]] = [bound(own), bound(own)];
  for (const length of [1, 2, 3, 4, 5, 1000, 60_000]) {
    const data = Buffer.from(Array.from({ length }, (_, i) => i % 251));
    expect(a.sendto(data, to)).toBe(length);
    const [received, from] = b.recvfrom(65_536);
    expect([received.equals(data), from]).toEqual([true, at]);
  }
  b.sendmsg(["back ", "again"], [], 0, at);
  expect(a.ioctl(FIONREAD, Buffer.alloc(4))).toBe(0);
  const waiting = new Int32Array(1);
  a.ioctl(FIONREAD, waiting);
  expect(waiting[0]).toBe(10);
  const [cut, , flags, from] = a.recvmsg(4);
  expect([cut.toString(), flags & MSG_TRUNC, from]).toEqual(["back", MSG_TRUNC, to]);
  // A connected socket need not say it each time; one that is not bound gets a port when it sends.
  const c = open(own);
  c.connect(to);
  c.send("from a third");
  expect(b.recvfrom(100)).toEqual([Buffer.from("from a third"), c.getsockname()]);
  expect(c.getsockname()[1]).toBeGreaterThanOrEqual(0x4000);
  expect(codeOf(() => open(own).send("x"))).toBe("ENOTCONN");
  expect(codeOf(() => a.sendto(Buffer.alloc(70_000), to))).toBe("EMSGSIZE");
});

/** `struct qrtr_ctrl_pkt` of a service: the command, the service, its instance, the node and the port it is at. */
type Control = [command: number, service: number, instance: number, node: number, port: number];
const control = (...fields: Control): Buffer => Buffer.from(Uint32Array.from(fields).buffer);

/** The next packet of the name service. */
function answer(sock: Socket<"AF_QIPCRTR">): Control {
  const [data, [, port]] = sock.recvfrom(100);
  expect([data.length, port]).toEqual([20, QRTR_PORT_CTRL]);
  return [0, 4, 8, 12, 16].map((at) => data.readUInt32LE(at)) as Control;
}

needs("AF_QIPCRTR for root", hasQrtr && isRoot)(
  "the name service tells who looks who serves, and who does no more",
  () => {
    using own = new Sockets();
    const [[server, [node, port]], [client]] = [bound(own), bound(own)];
    const names: QipcrtrAddress = [node, QRTR_PORT_CTRL];
    const [service, instance] = [0x1234 + process.pid, 0x0501];
    const end: Control = [QRTR_TYPE_NEW_SERVER, 0, 0, 0, 0];

    expect(client.sendto(control(QRTR_TYPE_NEW_LOOKUP, service, 0, 0, 0), names)).toBe(20);
    expect(answer(client)).toEqual(end); // nobody yet
    server.sendto(control(QRTR_TYPE_NEW_SERVER, service, instance, node, port), names);
    expect(answer(client)).toEqual([QRTR_TYPE_NEW_SERVER, service, instance, node, port]);
    client.sendto("hello, service", [node, port]);
    expect(server.recv(100).toString()).toBe("hello, service");

    const [late] = bound(own);
    late.sendto(control(QRTR_TYPE_NEW_LOOKUP, service, instance, 0, 0), names);
    expect([answer(late), answer(late)]).toEqual([[QRTR_TYPE_NEW_SERVER, service, instance, node, port], end]);
    late.sendto(control(QRTR_TYPE_DEL_LOOKUP, service, instance, 0, 0), names);

    server.sendto(control(QRTR_TYPE_DEL_SERVER, service, instance, node, port), names);
    expect(answer(client)).toEqual([QRTR_TYPE_DEL_SERVER, service, instance, node, port]);
    late.settimeout(QUIET);
    expect(codeOf(() => late.recv(100))).toBe("ETIMEDOUT"); // it asked for no more
  },
);

needs("AF_QIPCRTR with python3", hasQrtr && python !== null)("CPython: the same addresses and errors", async () => {
  using own = new Sockets();
  const [sock, address] = bound(own);
  const error = "except OSError as e: print(e.errno)";
  using child = pythonPeer(
    `
s = socket.socket(socket.AF_QIPCRTR, socket.SOCK_DGRAM)
print(s.getsockname())
s.bind((s.getsockname()[0], 0))
s.sendto(b"from python", (int(sys.argv[1]), int(sys.argv[2])))
data, address = s.recvfrom(100)
print(data.decode(), address, s.getsockname())
for call in [lambda: s.bind((99, 0)), s.getpeername, lambda: s.sendto(b"x", (99, 5)), lambda: s.send(b"x"),
             lambda: s.sendto(b"x", (int(sys.argv[1]), 0x3fff))]:
    try: print(call())
    ${error}`,
    [...address],
  );
  sock.settimeout(30 * slowness);
  const [data, from] = sock.recvfrom(100);
  expect(data.toString()).toBe("from python");
  sock.sendto("from here", from);
  const errors = [
    () => sock.bind([99, 0]),
    () => sock.getpeername(),
    () => sock.sendto("x", [99, 5]),
    () => sock.send("x"),
    () => sock.sendto("x", [address[0], 0x3fff]),
  ].map((call) => String(thrown(call).errno));
  const tuple = ([node, port]: QipcrtrAddress) => `(${node}, ${port})`;
  expect((await child.output()).split("\n")).toEqual([
    tuple([address[0], 0]),
    `from here ${tuple(address)} ${tuple(from)}`,
    ...errors,
  ]);
});

needs("AF_QIPCRTR for root", hasQrtr && isRoot)(
  "examples/qrtr-lookup.ts lists the services, and watches them",
  async () => {
    using own = new Sockets();
    const [[server, [node, port]], [modem, [, modemPort]]] = [bound(own), bound(own)]; // each has one service
    const names: QipcrtrAddress = [node, QRTR_PORT_CTRL];
    const service = 0x1_0000 + process.pid;
    const register = (command: number) => server.sendto(control(command, service, 0x0501, node, port), names);
    register(QRTR_TYPE_NEW_SERVER);
    modem.sendto(control(QRTR_TYPE_NEW_SERVER, 2, 0x0102, node, modemPort), names);
    const header = "  service version instance  node  port";
    const plain = (text: string): string[] => text.split("\n").map((line) => line.trim().replaceAll(/ +/g, " "));
    const rows = [`${service} 1 5 ${node} ${port}`, `2 2 1 ${node} ${modemPort} device management`];
    const { status, stdout, stderr } = await run("qrtr-lookup.ts");
    expect([status, stderr, stdout.split("\n")[0]]).toEqual([0, "", header]);
    expect(plain(stdout)).toEqual(expect.arrayContaining(rows));
    const one = await run("qrtr-lookup.ts", `0x${service.toString(16)}`);
    expect(plain(one.stdout)).toEqual([...plain(header), rows[0]!]);
    expect(await run("qrtr-lookup.ts", "99")).toEqual({ status: 0, stderr: "", stdout: header });

    using watcher = new Program(command("qrtr-lookup.ts", "-w", String(service)));
    await watcher.line(new RegExp(`^ *${service} .* ${port}$`));
    register(QRTR_TYPE_DEL_SERVER);
    await watcher.line(new RegExp(`^ *${service} .* ${port}  \\(gone\\)$`));
    register(QRTR_TYPE_NEW_SERVER);
    await watcher.line(new RegExp(`^ *${service} .* ${port}$`));
  },
);
