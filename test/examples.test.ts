/**
 * Every program of examples/ is run here (the network tools in tools/, those of a family or a protocol in families/), most
 * of them with a real other end:
 * Python's sockets where python3 is installed, socat where it is, a socket of the test's own that plays systemd or the log
 * daemon.
 */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  createConnection,
  createServer,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  TCP_KEEPIDLE,
} from "../src/index.ts";
import {
  hasMemberships,
  hasMulticastInterface,
  hasPacketRings,
  hasTcpInfo,
  hasUnixDatagrams,
  isLinux,
  isWindows,
  needs,
  passesDescriptors,
  removeFolder,
  slowness,
  works,
} from "./help.ts";
import { Program } from "./program.ts";

// Programs start slowly on a machine that is busy.
setDefaultTimeout(30_000 * slowness);

const examples = join(import.meta.dir, "..", "examples");
const folder = mkdtempSync(join(tmpdir(), "berkeley sockets "));
afterAll(() => removeFolder(folder));

const succeeds = (...command: string[]): boolean => {
  const program = Bun.which(command[0]!);
  return program !== null && Bun.spawnSync([program, ...command.slice(1)]).success;
};

const hasPython = succeeds("python3", "-c", "import socket; socket.recv_fds, socket.create_server");
const hasSocat = succeeds("socat", "-V");
const hasIPv6Loopback = works(() => createServer(["::1", 0], { family: AF_INET6 }));
const mayOpenRaw = works(() => new Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
const mayMakeNetwork = isLinux && succeeds("unshare", "-n", "ip", "link", "set", "lo", "up");

const unix = needs("AF_UNIX datagram socket", hasUnixDatagrams);

const example = (name: string, ...args: string[]) => new Program([process.execPath, join(examples, name), ...args]);
const python = (script: string, ...args: string[]) => new Program(["python3", "-u", "-c", script, ...args]);

afterEach(async () => {
  for (const program of Program.running) await program.kill();
});

describe("usage", () => {
  const wrong: [name: string, ...args: string[]][] = [
    ["activated-server.ts", "soon"],
    ["can-cyclic.ts", "send", "vcan0", "often", "123", "00"],
    ["candump.ts", "-n", "none", "vcan0"],
    ["cansend.ts", "vcan0", "123#XYZ"],
    ["capture.ts", "lo"],
    ["dns-query.ts"],
    ["echo-client-any.ts", "localhost"],
    ["echo-client.ts", "no port"],
    ["echo-server-any.ts"],
    ["echo-server.ts", "-1"],
    ["hci-dump.ts", "eth0"],
    ["isotp.ts", "ask", "vcan0", "7E0", "7E8"],
    ["j1939.ts", "send", "vcan0", "80", "100", "FEF1", "00"],
    ["mdns-browse.ts", "http"],
    ["mptcp-echo.ts", "serve", "127.0.0.1", "65536"],
    ["multicast.ts", "send", "239.0.0.1", "5000"],
    ["options-of-bun-socket.ts", "no port"],
    ["pass-fd.ts", "serve"],
    ["ping.ts"],
    ["qrtr-lookup.ts", "modem"],
    ["quickstart-peer.ts", "nobody"],
    ["rds-ping.ts", "-c", "0", "127.0.0.1"],
    ["rfcomm-echo.ts", "send", "nobody", "1", "hello"],
    ["route-list.ts", "-4"],
    ["sctp-echo.ts", "send", "127.0.0.1", "5000"],
    ["sd-notify.ts", "READY"],
    ["sha256-kernel.ts"],
    ["sniff.ts", "lo", "none"],
    ["syslog.ts", "--unknown"],
    ["tcp-info.ts", "127.0.0.1"],
    ["tipc-service.ts", "serve", "1", "1"],
    ["traceroute.ts", "-x", "127.0.0.1"],
    ["udp-flood.ts", "127.0.0.1", "9", "7"],
    ["udp-sink.ts", "x"],
    ["udplite.ts", "send", "127.0.0.1", "5000", "8"],
    ["vsock-echo.ts", "send", "-1", "5", "hello"],
    ["worker-server.ts", "http"],
  ];

  test("every example is known here", () => {
    const known = [...wrong.map(([name]) => name), "quickstart.ts"].sort();
    expect(readdirSync(examples).sort()).toEqual(known);
  });

  test.each(wrong)("%s says how it is called", async (name, ...args) => {
    const { status, stdout, stderr } = await example(name, ...args).end();
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^usage: bun /);
  });
});

test("quickstart.ts shows every step, without colours where nobody sees them", async () => {
  const began = performance.now();
  const { status, stdout, stderr } = await example("quickstart.ts").end();
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(performance.now() - began).toBeLessThan(10_000 * slowness); // what hangs takes that long
  expect(stdout).not.toContain("\x1b");
  expect(stdout).not.toContain("failed");
  for (const shown of ["hello over TCP", "hello over UDP", "TimeoutError", "ConnectionRefusedError", "RangeError"]) {
    expect(stdout).toContain(shown);
  }
  expect(stdout).toContain(hasIPv6Loopback ? "::ffff:127.0.0.1" : "IPv6");
  if (passesDescriptors) expect(stdout).toContain("Only an open descriptor leads to this text.");
  if (isLinux) expect(stdout).toMatch(/came to +127\.0\.0\.1, by interface \w+/);
  if (isLinux) expect(stdout).toMatch(/written by +pid \d+, uid \d+, gid \d+/);
});

test("a quickstart whose peers cannot start ends with an error", async () => {
  const copy = join(folder, "quickstart.ts"); // without quickstart-peer.ts beside it
  const source = await Bun.file(join(examples, "quickstart.ts")).text();
  await Bun.write(copy, source.replace('"berkeley-sockets"', JSON.stringify(join(examples, "../src/index.ts"))));
  const { status, stdout } = await new Program([process.execPath, copy]).end();
  expect(status).toBe(1);
  expect(stdout).toMatch(/failed/);
});

describe("echo over IPv4", () => {
  test("the client gets its message back, and the server serves the next one", async () => {
    const server = example("echo-server.ts", "0");
    const [port = ""] = await server.line(/^listening on 127\.0\.0\.1:(\d+)$/);
    expect(await example("echo-client.ts", port).end()).toMatchObject({
      status: 0,
      stdout: 'received "Hello, world"',
    });
    await server.line(/is done/);
    expect((await example("echo-client.ts", port, "grüß dich").end()).stdout).toBe('received "grüß dich"');
    await server.line(/is done/);
  });

  test("a client that resets its connection does not end the server", async () => {
    const server = example("echo-server.ts", "0");
    const [port = ""] = await server.line(/:(\d+)$/);
    const rude = await Bun.connect({ hostname: "127.0.0.1", port: Number(port), socket: { data() {} } });
    await server.line(/connected/);
    rude.terminate();
    expect((await example("echo-client.ts", port).end()).status).toBe(0);
  });

  needs("python3", hasPython)("a Python client is answered", async () => {
    const server = example("echo-server.ts", "0");
    const [port = ""] = await server.line(/:(\d+)$/);
    const script = `
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as s:
    data = bytes(range(256)) * 400
    s.sendall(data[:50000]); got = b""
    while len(got) < 50000: got += s.recv(65536)
    print(got == data[:50000])
`;
    expect(await python(script, port).end()).toMatchObject({ status: 0, stdout: "True" });
  });

  needs("python3", hasPython)("a Python server answers the client", async () => {
    const server = python(`
import socket
with socket.create_server(("127.0.0.1", 0)) as s:
    print(s.getsockname()[1])
    conn, address = s.accept()
    with conn:
        while data := conn.recv(3): conn.sendall(data)
`);
    const [port = ""] = await server.line(/^(\d+)$/);
    const { stdout } = await example("echo-client.ts", port, "by way of Python").end();
    expect(stdout).toBe('received "by way of Python"');
  });

  needs("socat", hasSocat)("socat is answered", async () => {
    const server = example("echo-server.ts", "0");
    const [port = ""] = await server.line(/:(\d+)$/);
    const { stdout } = Bun.spawnSync(["socat", "-t5", "-", `TCP:127.0.0.1:${port}`], {
      stdin: Buffer.from("by socat"),
    });
    expect(stdout.toString()).toBe("by socat");
  });
});

describe("options-of-bun-socket.ts", async () => {
  // Windows has it, Wine 8 does not.
  const hasKeepIdle =
    !isWindows ||
    works(() => {
      const sock = new Socket();
      sock.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 60);
      return sock;
    });

  const options = hasKeepIdle && (!isLinux || hasTcpInfo);
  needs("TCP_KEEPIDLE and, on Linux, TCP_INFO", options)(
    "sets options of Bun's connection, and goes on with it",
    async () => {
      const server = example("echo-server.ts", "0");
      const [port = ""] = await server.line(/:(\d+)$/);
      const { status, stdout } = await example("options-of-bun-socket.ts", port, "by way of Bun").end();
      const [buffer = "", received, health] = stdout.split("\n");
      expect({ status, received }).toEqual({ status: 0, received: 'received "by way of Bun"' });
      expect(Number(/^receive buffer of (\d+) bytes$/.exec(buffer)![1])).toBeGreaterThanOrEqual(1 << 18);
      if (isLinux) expect(health).toMatch(/^round trip of \d+ µs, 0 segments sent again$/);
      await server.line(/is done/);
    },
  );

  /** Whether Bun.connect tells that nobody listens: under Wine it says that the connection is open. */
  async function tellsRefusals(): Promise<boolean> {
    if (!isWindows) return true;
    using taken = new Socket(AF_INET);
    taken.bind(["127.0.0.1", 0]);
    const port = taken.getsockname()[1];
    return Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).then(
      (handle) => {
        handle.terminate();
        return false;
      },
      () => true,
    );
  }

  needs("refusal in Bun.connect", await tellsRefusals())("without a server it fails with a line", async () => {
    const taken = new Socket();
    taken.bind(["127.0.0.1", 0]); // nobody listens there
    const { status, stderr } = await example("options-of-bun-socket.ts", String(taken.getsockname()[1])).end();
    taken.close();
    expect({ status, stderr }).toEqual({ status: 1, stderr: "Failed to connect\n" });
  });
});

describe("activated-server.ts", () => {
  const capitals = (address: readonly [string, number], line: string): string => {
    using client = createConnection(address, 5);
    client.sendall(`${line}\n`);
    return client.recv(100).toString();
  };

  needs("systemd-socket-activate (Debian: systemd)", Bun.which("systemd-socket-activate") !== null)(
    "is started by the first client, and ends when no other comes",
    async () => {
      const free = createServer(["127.0.0.1", 0]);
      const address = free.getsockname();
      free.close();
      const path = join(examples, "activated-server.ts");
      const at = address.join(":");
      const server = new Program([
        "systemd-socket-activate",
        "-l",
        at,
        "--fdname=capitals",
        process.execPath,
        path,
        "1",
      ]);
      let client: Socket | undefined;
      for (let tries = 0; client === undefined; tries++) {
        try {
          client = createConnection(address, 5);
        } catch (error) {
          if (tries > 500 * slowness) throw error;
          await Bun.sleep(10); // it does not listen yet
        }
      }
      client.sendall("who starts you?\n");
      await server.line(new RegExp(`^was passed capitals, ${at}$`));
      expect(client.recv(100).toString()).toBe("WHO STARTS YOU?\n");
      client.close();
      expect(capitals(address, "and again")).toBe("AND AGAIN\n");
      const { status, stdout } = await server.end();
      expect(status).toBe(0);
      expect(stdout).toEndWith("nobody came for 1 seconds");
    },
  );

  needs("POSIX environment", !isWindows)("started by hand it opens a socket", async () => {
    const server = example("activated-server.ts", "0.5");
    const [port = ""] = await server.line(/^opened 127\.0\.0\.1:(\d+)$/);
    expect(capitals(["127.0.0.1", Number(port)], "hello")).toBe("HELLO\n");
    expect((await server.end()).status).toBe(0);
  });
});

describe("echo over any family", () => {
  test("an IPv4 client and, where there is IPv6, an IPv6 client are served by one server", async () => {
    const server = example("echo-server-any.ts", "0");
    const [port = ""] = await server.line(/port (\d+)$/);
    for (const host of hasIPv6Loopback ? ["127.0.0.1", "::1"] : ["127.0.0.1"]) {
      const { stdout } = await example("echo-client-any.ts", host, port, "both").end();
      expect(stdout).toBe(`connected to ${host} port ${port}\nreceived "both"`);
      await server.line(new RegExp(`${host} port \\d+ is done`));
    }
  });

  test("a server for one host listens there and nowhere else", async () => {
    const server = example("echo-server-any.ts", "0", "127.0.0.1");
    const [port = ""] = await server.line(/^listening on 127\.0\.0\.1 port (\d+)$/);
    expect((await example("echo-client-any.ts", "127.0.0.1", port).end()).status).toBe(0);
    const refused = await example("echo-client-any.ts", "127.0.0.2", port).end();
    expect(refused).toMatchObject({ status: 1, stdout: "" });
  });

  test("a host that does not exist, and a port that is taken, are told in a line", async () => {
    const nowhere = await example("echo-client-any.ts", "nowhere.invalid", "7").end();
    expect(nowhere.status).toBe(1);
    expect(nowhere.stderr).toMatch(/^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/);
    using taken = createServer(["127.0.0.1", 0]);
    const port = String(taken.getsockname()[1]);
    const second = await example("echo-server-any.ts", port, "127.0.0.1").end();
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(/^could not open a socket: bind E(ADDRINUSE|ACCES) /); // EACCES on Windows
  });

  needs("python3 and IPv6", hasPython && hasIPv6Loopback)("Python's IPv6 server answers", async () => {
    const server = python(`
import socket
with socket.create_server(("::1", 0), family=socket.AF_INET6) as s:
    print(s.getsockname()[1])
    conn, address = s.accept()
    with conn:
        while data := conn.recv(1024): conn.sendall(data)
`);
    const [port = ""] = await server.line(/^(\d+)$/);
    expect((await example("echo-client-any.ts", "::1", port, "six").end()).stdout).toEndWith('received "six"');
  });
});

describe("flood and sink", () => {
  needs("signals", !isWindows).each([8, 1200, 2000])("packets of %i bytes arrive, and are counted", async (bytes) => {
    const sink = example("udp-sink.ts");
    const [port = ""] = await sink.line(/^port (\d+)$/);
    const flood = await example("udp-flood.ts", "127.0.0.1", port, String(bytes), "0.3", `${5000 / slowness}`).end();
    const [, sent] = new RegExp(`^(\\d+) packets of ${bytes} bytes in `).exec(flood.stdout)!;
    expect({ status: flood.status, stderr: flood.stderr }).toEqual({ status: 0, stderr: "" });
    expect(Number(sent)).toBeGreaterThan(1000 / slowness);
    await Bun.sleep(200 * slowness); // what is under way
    process.kill(sink.pid, "SIGINT");
    const { status, stdout, stderr } = await sink.end();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toEndWith(`${sent} packets, ${Number(sent) * bytes} bytes, 0 lost (0.00 %)`);
  });

  const withIPv6 = needs("signals, IPv6", !isWindows && hasIPv6Loopback);
  withIPv6("each flood is counted by itself, over IPv4 and IPv6, and what is lost is seen", async () => {
    const sink = example("udp-sink.ts");
    const [port = ""] = await sink.line(/^port (\d+)$/);
    let sent = 0;
    for (const host of ["127.0.0.1", "::1"]) {
      const flood = await example("udp-flood.ts", host, port, "100", "0.2", `${5000 / slowness}`).end();
      sent += Number(/^(\d+) packets/.exec(flood.stdout)![1]);
    }
    // A third, of which some packets are not sent.
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    const packet = Buffer.alloc(8, 0xff);
    for (const number of [5, 6, 9, 10]) {
      packet.writeUIntBE(number, 2, 6);
      sock.sendto(packet, ["127.0.0.1", Number(port)]);
    }
    await Bun.sleep(200 * slowness);
    process.kill(sink.pid, "SIGINT");
    const share = (200 / (sent + 6)).toFixed(2);
    expect((await sink.end()).stdout).toEndWith(`${sent + 4} packets, ${sent * 100 + 32} bytes, 2 lost (${share} %)`);
  });

  test("a flood keeps to a low rate", async () => {
    using sink = new Socket(AF_INET, SOCK_DGRAM);
    sink.bind(["127.0.0.1", 0]);
    const flood = await example("udp-flood.ts", "127.0.0.1", `${sink.getsockname()[1]}`, "100", "1", "20").end();
    const [, sent, took] = /^(\d+) packets of 100 bytes in ([\d.]+) s/.exec(flood.stdout)!;
    expect(Number(sent)).toBeLessThanOrEqual(22);
    expect(Number(sent)).toBeGreaterThanOrEqual(slowness === 1 ? 15 : 1);
    expect(Number(took)).toBeLessThan(1.5 * slowness);
  });

  test("a flood that nobody listens to says so", async () => {
    using silent = new Socket(AF_INET, SOCK_DGRAM);
    silent.bind(["127.0.0.1", 0]);
    const port = String(silent.getsockname()[1]);
    silent.close();
    const flood = await example("udp-flood.ts", "127.0.0.1", port, "100", "0.2", "1000").end();
    expect(flood.status).toBe(0);
    if (isLinux) expect(flood.stdout).toContain("nobody listens there");
  });
});

describe("multicast", () => {
  const group = "239.255.77.7";

  needs("IP_MULTICAST_IF", hasMulticastInterface)("every receiver of the group gets the datagram", async () => {
    const first = example("multicast.ts", "receive", group, "0");
    const [port = ""] = await first.line(/^joined 239\.255\.77\.7 port (\d+) by 127\.0\.0\.1$/);
    const second = example("multicast.ts", "receive", group, port);
    await second.line(/^joined/);
    expect((await example("multicast.ts", "send", group, port, "to all of you").end()).status).toBe(0);
    for (const receiver of [first, second]) await receiver.line(/^127\.0\.0\.1 port \d+: to all of you$/);
  });

  const inPython = `
import socket, sys
group, port = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind((group, 0))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    print(s.getsockname()[1])
    print(s.recv(100).decode())
    s.sendto(b"from Python", (group, port))
`;
  needs("python3 and IP_MULTICAST_IF", hasPython && hasMulticastInterface)(
    "it reaches Python's receiver, and Python's datagram comes here",
    async () => {
      const ours = example("multicast.ts", "receive", group, "0");
      const [ourPort = ""] = await ours.line(/port (\d+) by/);
      const theirs = python(inPython, group, ourPort);
      const [theirPort = ""] = await theirs.line(/^(\d+)$/);
      await example("multicast.ts", "send", group, theirPort, "from Bun").end();
      await theirs.line(/^from Bun$/);
      await ours.line(/: from Python$/);
    },
  );
});

describe("sd-notify.ts", () => {
  const name = `berkeley-sockets-${crypto.randomUUID()}`;
  const places: [what: string, variable: string, address: string | Buffer, there: boolean][] = [
    ["a path", join(folder, "notify"), join(folder, "notify"), true],
    ["an abstract name", `@${name}`, Buffer.from(`\0${name}`), isLinux],
  ];

  unix.each(places.filter(([, , , there]) => there))("%s is told", async (_, variable, address) => {
    using systemd = new Socket(AF_UNIX, SOCK_DGRAM);
    systemd.bind(address);
    systemd.settimeout(5);
    const command = [process.execPath, join(examples, "sd-notify.ts"), "READY=1", "STATUS=Serving on port 8080"];
    const told = await new Program(command, { NOTIFY_SOCKET: variable }).end();
    expect(told).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(systemd.recv(4096).toString()).toBe("READY=1\nSTATUS=Serving on port 8080");
  });

  needs("AF_UNIX datagram socket", hasUnixDatagrams)(
    "without a service manager it says so, with one that is gone it fails",
    async () => {
      const alone = await example("sd-notify.ts", "READY=1").end();
      expect(alone).toMatchObject({ status: 0, stdout: expect.stringContaining("no service manager") });
      const command = [process.execPath, join(examples, "sd-notify.ts"), "READY=1"];
      const gone = await new Program(command, { NOTIFY_SOCKET: join(folder, "gone") }).end();
      expect(gone.status).toBe(1);
      expect(gone.stderr).toStartWith("sendto ENOENT");
    },
  );
});

describe("syslog.ts", () => {
  const formats: [name: string, options: string[], line: RegExp][] = [
    ["RFC 3164", [], /^<13>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d berkeley-sockets\[\d+\]: the disk is full$/],
    ["RFC 5424", ["--rfc5424"], /^<13>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ berkeley-sockets \d+ - - the disk is full$/],
  ];

  unix.each(formats)("a line of %s comes to the log daemon", async (name, options, line) => {
    const path = join(folder, `log ${name}`);
    using daemon = new Socket(AF_UNIX, SOCK_DGRAM);
    daemon.bind(path);
    daemon.settimeout(5);
    expect((await example("syslog.ts", ...options, "--socket", path, "the disk is full").end()).status).toBe(0);
    expect(daemon.recv(4096).toString()).toMatch(line);
  });

  unix("without a log daemon it fails with a line", async () => {
    const { status, stderr } = await example("syslog.ts", "--socket", join(folder, "nobody"), "hello?").end();
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("ENOENT") });
  });
});

describe("pass-fd.ts", () => {
  needs("SCM_RIGHTS", passesDescriptors)("server and client read each other's writing in the same memory", async () => {
    const path = join(folder, "memory.sock");
    const server = example("pass-fd.ts", "serve", path);
    await server.line(/^listening at .*memory\.sock$/);
    const client = example("pass-fd.ts", "get", path);
    const { pid } = client;
    expect(await client.end()).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^got descriptor \d+ with {"size":4096}\nread: This memory is the server's\.$/),
    });
    await server.line(new RegExp(`^the client wrote: Greetings from process ${pid}\\.$`));
  });

  needs("python3", hasPython)("a Python client maps the descriptor that it gets", async () => {
    const path = join(folder, "python.sock");
    const server = example("pass-fd.ts", "serve", path);
    await server.line(/^listening/);
    const script = `
import socket, mmap, json, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1])
    message, fds, flags, address = socket.recv_fds(s, 1024, 1)
    memory = mmap.mmap(fds[0], json.loads(message)["size"])
    print(memory[:28].decode())
    memory[2048:2063] = b"Python was here"
    s.sendall(b"written")
`;
    expect((await python(script, path).end()).stdout).toBe("This memory is the server's.");
    await server.line(/^the client wrote: Python was here$/);
  });
});

test("worker-server.ts answers while the main thread's timer goes on", async () => {
  const server = example("worker-server.ts", "0");
  const [port = ""] = await server.line(/^listening on 127\.0\.0\.1:(\d+)$/);
  using client = createConnection(["127.0.0.1", Number(port)], 5);
  client.sendall("loud and clear, grüß dich");
  expect(client.recv(100).toString()).toBe("LOUD AND CLEAR, GRüß DICH");
  // The connection is still open: the Worker waits for it, and the main thread does not.
  for (let ticks = 0; ticks < 3; ticks++) await server.line(/^tick \d+$/);
  client.close();
  await server.line(/^served 27 bytes to 127\.0\.0\.1:\d+$/);
});

// In a network of its own: no other program's datagrams come between.
needs("root, unshare, ip and PACKET_ADD_MEMBERSHIP", mayMakeNetwork && hasMemberships)(
  "sniff.ts shows a datagram on the loopback, as it goes and as it comes",
  async () => {
    const sender = `
    import { AF_INET, SOCK_DGRAM, Socket } from ${JSON.stringify(join(examples, "../src/index.ts"))};
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    for (let i = 0; i < 40; i++) {
      sock.sendto("twelve bytes", ["127.0.0.1", 5000]);
      Bun.sleepSync(50);
    }`;
    const script = `ip link set lo up; "$0" -e "$2" > /dev/null 2>&1 & exec "$0" "$1" lo 2`;
    const command = ["unshare", "-n", "sh", "-c", script, process.execPath, join(examples, "sniff.ts"), sender];
    const sniffer = new Program(command);
    await sniffer.line(/^waiting for frames of lo$/);
    const datagram = String.raw`udp 127\.0\.0\.1:\d+ > 127\.0\.0\.1:5000, 40 bytes$`;
    await sniffer.line(new RegExp(`^lo 00:00:00:00:00:00 from us: ${datagram}`));
    await sniffer.line(new RegExp(`^lo 00:00:00:00:00:00 to us: ${datagram}`));
    expect((await sniffer.end()).status).toBe(0);
  },
);

needs("root, unshare, ip and packet rings", mayMakeNetwork && hasPacketRings)(
  "capture.ts says that the disk is full",
  async () => {
    const script = `ip link set lo up
      "$0" "$1" lo /dev/full 2>"$2" & child=$!
      while ! grep -q capturing "$2"; do sleep 0.05; done
      kill $child; wait $child; status=$?; cat "$2" >&2; exit $status`;
    const args = [process.execPath, join(examples, "capture.ts"), join(folder, "said")];
    const { status, stderr } = await new Program(["unshare", "-n", "sh", "-c", script, ...args]).end();
    expect([status, stderr.trimEnd().split("\n").at(-1)]).toEqual([1, "write ENOSPC: No space left on device"]);
  },
);

needs(
  "root, unshare, ip, tshark and packet rings",
  mayMakeNetwork && hasPacketRings && succeeds("tshark", "--version"),
)("capture.ts writes what a filter passes to a file that tshark reads, and stops at a signal", async () => {
  const path = join(folder, "captured.pcapng");
  // What `tcpdump -ddd ip` prints for Ethernet.
  const filter = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0";
  const script = `ip link set lo up; exec "$0" "$@"`;
  const command = [
    "unshare",
    "-n",
    "sh",
    "-c",
    script,
    process.execPath,
    join(examples, "capture.ts"),
    "lo",
    path,
    filter,
  ];
  const program = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const reader = program.stderr.getReader();
  let said = "";
  const read = async (): Promise<boolean> => {
    const { value, done } = await reader.read();
    if (!done) said += Buffer.from(value).toString();
    return !done;
  };
  while (!said.includes("\n") && (await read()));
  expect(said).toBe("capturing on lo, Ctrl-C ends it\n");
  const send = `
      import { AF_INET, AF_INET6, SOCK_DGRAM, Socket } from ${JSON.stringify(join(examples, "../src/index.ts"))};
      for (let i = 0; i < 20; i++) {
        using four = new Socket(AF_INET, SOCK_DGRAM);
        using six = new Socket(AF_INET6, SOCK_DGRAM);
        four.sendto("datagram", ["127.0.0.1", 5000]);
        six.sendto("datagram", ["::1", 5000]);
      }`;
  const inside = ["nsenter", "--net=" + `/proc/${program.pid}/ns/net`];
  expect(Bun.spawnSync([...inside, process.execPath, "-e", send]).exitCode).toBe(0);
  program.kill("SIGINT");
  while (await read());
  expect(await program.exited).toBe(0);
  // Each as it goes and as it comes, and what says that nobody listens there, too.
  expect(said).toMatch(/\n80 frames, 5120 bytes, 0 dropped\n$/);
  const tshark = ["tshark", "-n", "-r", path, "-T", "fields", "-e", "ip.src", "-e", "ip.proto"];
  const lines = Bun.spawnSync(tshark).stdout.toString().trimEnd().split("\n");
  expect(lines.length).toBe(80);
  expect(lines.filter((line) => line === "127.0.0.1\t17").length).toBe(40);
});

needs("Linux without CAP_NET_RAW", isLinux && !mayOpenRaw)("sniff.ts says that it may not", async () => {
  const { status, stderr } = await example("sniff.ts").end();
  expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("socket E") });
});
