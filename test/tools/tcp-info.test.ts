/** tcp-info.ts, over the loopback and over a line that is slow. Peers: socat. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import {
  createServer as blockingServer,
  IPPROTO_TCP,
  SO_LINGER,
  Socket,
  SOL_SOCKET,
  TCP_INFO,
} from "../../src/index.ts";
import { attachFilter, detachFilter, linger } from "../../src/messages.ts";
import { createServer, type Socket as AsyncSocket } from "../../src/promises.ts";
import { isLinux, isWindows, needs, slowness, worksInEmulator } from "../help.ts";
import { lacking, Network } from "../networks.ts";
import { Program } from "../program.ts";
import { program, Server } from "../promises/servers.ts";
import { command, endPrograms, run } from "./help.ts";

// Programs start slowly on a machine that is busy.
setDefaultTimeout(30_000 * slowness);
afterEach(endPrograms);

/** Makes the loopback of a network a slow line (20 Mbit/s), where packets wait for up to 30 ms. */
function slowDown(net: Network): void {
  net.ip("link set lo mtu 1500");
  net.run(...`${program("tc")} qdisc add dev lo root tbf rate 20mbit burst 5000 latency 30ms`.split(" "));
}

function maySlowDown(): boolean {
  try {
    using net = new Network();
    slowDown(net);
    return true;
  } catch {
    return false;
  }
}

const hasInfo =
  TCP_INFO !== undefined &&
  worksInEmulator(() => {
    using sock = new Socket();
    return sock.getsockopt(IPPROTO_TCP, TCP_INFO!, 100).length === 100; // an emulator has a number there
  });
const withInfo = needs("TCP_INFO", hasInfo);

const number = String.raw`[\d.]+`;
const time = `${number} ms`;
/** A plot: its title, eight rows, the axis, and where that begins and ends. */
const plot = (title: string): string => `${title}\n(?: *[^│\n]*│[ ▁▂▃▄▅▆▇█]*\n){8} *└─+\n +0 +${number} s\n`;
const shown = new RegExp(
  `^${plot("congestion window, in segments")}${plot("round-trip time")}` +
    `window min/avg/max  (\\d+) / \\d+ / (\\d+) segments of (\\d+) bytes\n` +
    `RTT min/avg/max     ${time} / ${time} / (${number}) ms, variation ${time}\n` +
    `retransmits         (\\d+) of (\\d+) segments, .*\n` +
    `pacing rate         .*/s\n` +
    `delivery rate       .*\n` +
    `busy sending        .*, (\\d+)% held by the receiver, \\d+% by the send buffer\n` +
    `acknowledged        (.*) in (${number}) s, received (.*)$`,
);
const figures = (stdout: string) => {
  expect(stdout).toMatch(shown);
  const [, cwndMin, cwndMax, mss, rttMax, retransmits, segments, held, acknowledged, took, received] =
    shown.exec(stdout)!;
  return { cwndMin, cwndMax, mss, rttMax, retransmits, segments, held, acknowledged, took, received };
};

needs("TCP_INFO of Linux", hasInfo && isLinux)("the demonstration has a reader that holds the sender up", async () => {
  const { status, stdout, stderr } = await run("tcp-info.ts", "--demo");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const { cwndMin, cwndMax, mss, held, took, received } = figures(stdout);
  expect(Number(cwndMax)).toBeGreaterThan(Number(cwndMin));
  expect(Number(mss)).toBeLessThanOrEqual(1400);
  expect(Number(held)).toBeGreaterThan(10);
  expect(Number(took)).toBeGreaterThanOrEqual(3);
  expect(received).toBe("0 bytes");
});

needs("socat and TCP_INFO of Linux", Bun.which("socat") !== null && hasInfo && isLinux)(
  "socat gets what is sent, and what it answers is counted",
  async () => {
    const size = 5_000_000;
    await using peer = await Server.start((port) => [
      "socat",
      `TCP-LISTEN:${port},bind=127.0.0.1,fork`,
      "SYSTEM:wc -c; echo bye",
    ]);
    const [, port] = peer.address;
    const sender = new Program(command("tcp-info.ts", "127.0.0.1", String(port)), {}, "x".repeat(size));
    const { status, stdout, stderr } = await sender.end();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(figures(stdout)).toMatchObject({ acknowledged: "5.0 MB", received: `${`${size}\nbye\n`.length} bytes` });
  },
);

needs(lacking || "tc and tbf", lacking === "" && hasInfo && maySlowDown())(
  "a line that is slow, and drops packets, is seen",
  async () => {
    using net = new Network();
    slowDown(net);
    using server = net.inside(() => blockingServer(["127.0.0.1", 0]));
    const args = command("tcp-info.ts", "127.0.0.1", String(server.getsockname()[1]));
    const sender = net.inside(() => new Program(args, {}, "x".repeat(2_000_000)));
    await Bun.sleep(0);
    server.settimeout(20 * slowness);
    const [conn] = server.accept();
    conn.settimeout(20 * slowness);
    conn.recv(65536);
    attachFilter(conn, [[0x06, 0, 0, 0]]); // nothing comes through
    Bun.sleepSync(50);
    detachFilter(conn);
    while (conn.recv(65536).length > 0);
    conn.close();
    const { status, stdout } = await sender.end();
    expect(status).toBe(0);
    const { rttMax, retransmits, acknowledged, took } = figures(stdout);
    expect(Number(rttMax)).toBeGreaterThan(10);
    expect(Number(rttMax)).toBeLessThan(200 * slowness);
    expect(Number(retransmits)).toBeGreaterThan(0);
    expect(acknowledged).toBe("2.0 MB");
    expect(Number(took)).toBeGreaterThanOrEqual(0.7);
  },
);

/** Serves one connection, which a program makes. */
async function serving(then: (conn: AsyncSocket, program: Program) => Promise<void>): Promise<void> {
  using server = createServer(["127.0.0.1", 0]);
  const program = new Program(command("tcp-info.ts", "127.0.0.1", String(server.getsockname()[1])));
  const [conn] = await server.accept();
  try {
    await then(conn, program);
  } finally {
    conn.close();
  }
}

withInfo("a connection that is reset is told, and summed up all the same", async () => {
  await serving(async (conn, program) => {
    await Bun.sleep(250 * slowness);
    conn.setsockopt(SOL_SOCKET, SO_LINGER, linger.encode({ onoff: true, linger: 0 }));
    conn.close();
    const { status, stdout, stderr } = await program.end();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^recv ECONNRESET.*\n$/);
    if (isLinux) figures(stdout);
  });
});

needs("TCP_INFO and signals", hasInfo && !isWindows)("Ctrl-C ends it with the figures", async () => {
  await serving(async (conn, program) => {
    await conn.sendall("hello");
    await Bun.sleep(300 * slowness);
    process.kill(program.pid, "SIGINT");
    const { status, stdout, stderr } = await program.end();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    if (isLinux) expect(figures(stdout).received).toBe("5 bytes");
  });
});

withInfo("a host that there is not, and one that refuses, are told in a line", async () => {
  using taken = new Socket();
  taken.bind(["127.0.0.1", 0]); // nobody listens there
  const port = taken.getsockname()[1];
  const refused = await run("tcp-info.ts", "127.0.0.1", String(port));
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toMatch(new RegExp(`^connect ECONNREFUSED 127\\.0\\.0\\.1:${port}: .*\n$`));
  const nowhere = await run("tcp-info.ts", "nowhere.invalid", "9");
  expect(nowhere).toMatchObject({ status: 1, stdout: "" });
  expect(nowhere.stderr).toMatch(/^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/);
});

test.each(["0", "65536", "http"])("the port %s is told in a line", async (port) => {
  const stderr = `the port is a number from 1 to 65535, not ${port}\n`;
  expect(await run("tcp-info.ts", "127.0.0.1", port)).toEqual({ status: 2, stdout: "", stderr });
});

needs("system without TCP_INFO", TCP_INFO === undefined)("elsewhere it says what it needs", async () => {
  const stderr = "tcp-info.ts needs TCP_INFO, which Linux, FreeBSD and NetBSD have\n";
  expect(await run("tcp-info.ts", "--demo")).toEqual({ status: 1, stdout: "", stderr });
});
