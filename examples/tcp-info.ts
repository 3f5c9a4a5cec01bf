/**
 * Watches a TCP connection from inside: asks the kernel each 100 ms what it knows of it (TCP_INFO), and plots the congestion
 * window and the round-trip time as text.
 *
 *   bun examples/tcp-info.ts <host> <port> < <file>     sends the file, and throws away what comes back
 *   bun examples/tcp-info.ts --demo                     sends to itself, to a reader that is slow at first
 *
 * It ends when the other end closes the connection, or with Ctrl-C, and sums up. On a terminal it shows each sample, and sends
 * nothing of what is typed. For Linux; FreeBSD and NetBSD tell less, and have the window in bytes.
 */
import { parseArgs } from "node:util";
import {
  AF_INET,
  createConnection,
  createServer,
  IPPROTO_TCP,
  OSError,
  SHUT_WR,
  SO_RCVBUF,
  Socket,
  SOL_SOCKET,
  TCP_INFO,
  TCP_MAXSEG,
} from "berkeley-sockets/promises";
import { tcp_info, type TcpInfo } from "berkeley-sockets/messages";

/** How long from one sample to the next, in milliseconds. */
const INTERVAL = 100;
/** The size of a plot, in letters. */
const WIDTH = 64;
const HEIGHT = 8;
/** How long the demonstration sends, in seconds. */
const DEMO = 3;

function fail(message: string, status = 2): never {
  console.error(message);
  process.exit(status);
}

function usage(): never {
  fail("usage: bun tcp-info.ts <host> <port> < <file>, or bun tcp-info.ts --demo");
}

function parse() {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { demo: { type: "boolean" } } });
    if (positionals.length !== (values.demo ? 0 : 2)) usage();
    return { isDemo: values.demo ?? false, host: positionals[0] ?? "", portText: positionals[1] ?? "1" };
  } catch {
    return usage(); // an option that there is not
  }
}

const { isDemo, host, portText } = parse();
const port = /^\d+$/.test(portText) ? Number(portText) : 0;
if (!(port >= 1 && port <= 65535)) fail(`the port is a number from 1 to 65535, not ${portText}`);
if (TCP_INFO === undefined) fail("tcp-info.ts needs TCP_INFO, which Linux, FreeBSD and NetBSD have", 1);

interface Sample {
  /** In seconds since the first. */
  readonly at: number;
  readonly info: TcpInfo;
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort());
process.on("SIGTERM", () => stop.abort());

const amount = (bytes: number): string => {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
};
const rate = (bytes: number | undefined): string =>
  bytes === undefined ? "not told" : bytes > 1e18 ? "no limit" : `${amount(bytes)}/s`;
const ms = (microseconds: number): string => `${(microseconds / 1000).toFixed(3)} ms`;
const share = (part: number, whole: number): string => `${whole > 0 ? ((100 * part) / whole).toFixed(0) : 0}%`;

/** A plot with its axes: the values from left to right, of those that share a column the highest. */
function plot(title: string, values: number[], label: (value: number) => string, seconds: number): string {
  const columns = Math.min(WIDTH, values.length);
  const bar = (i: number): number => {
    const [from, to] = [i, i + 1].map((column) => Math.floor((column * values.length) / columns));
    return Math.max(...values.slice(from, to));
  };
  const bars = Array.from({ length: columns }, (_, i) => bar(i));
  const top = Math.max(...bars, Number.MIN_VALUE);
  const labels = new Map([
    [HEIGHT - 1, label(top)],
    [HEIGHT / 2 - 1, label(top / 2)],
    [0, label(0)],
  ]);
  const margin = Math.max(...[...labels.values()].map((text) => text.length));
  const rows = Array.from({ length: HEIGHT }, (_, i) => {
    const row = HEIGHT - 1 - i;
    const letter = (value: number): string =>
      " ▁▂▃▄▅▆▇█"[Math.max(0, Math.min(8, Math.round((value / top) * HEIGHT * 8) - row * 8))]!;
    return `${(labels.get(row) ?? "").padStart(margin)} │${bars.map(letter).join("")}`.trimEnd();
  });
  const end = `${seconds.toFixed(1)} s`;
  const axis = `${" ".repeat(margin)} └${"─".repeat(columns)}`;
  return [
    title,
    ...rows,
    axis,
    `${" ".repeat(margin + 2)}0${end.padStart(Math.max(columns - 1, end.length + 1))}`,
  ].join("\n");
}

function summary(samples: Sample[]): string {
  const { at, info } = samples.at(-1)!;
  const of = (member: "sndCwnd" | "rtt"): number[] => samples.map((sample) => sample.info[member]);
  const range = (values: number[], show: (value: number) => string): string => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return [Math.min(...values), mean, Math.max(...values)].map(show).join(" / ");
  };
  const unit = process.platform === "linux" ? "segments" : "bytes";
  const { busyTime = 0, rwndLimited = 0, sndbufLimited = 0 } = info;
  return [
    plot(`congestion window, in ${unit}`, of("sndCwnd"), (value) => value.toFixed(0), at),
    plot("round-trip time", of("rtt"), ms, at),
    `window min/avg/max  ${range(of("sndCwnd"), (value) => value.toFixed(0))} ${unit} of ${info.sndMss} bytes`,
    `RTT min/avg/max     ${range(of("rtt"), ms)}, variation ${ms(info.rttvar)}`,
    `retransmits         ${info.totalRetrans ?? "not told"} of ${info.segsOut ?? "?"} segments, ${amount(info.bytesRetrans ?? 0)}`,
    `pacing rate         ${rate(info.pacingRate)}`,
    `delivery rate       ${rate(info.deliveryRate)}${info.deliveryRateAppLimited ? ", as much as there was to send" : ""}`,
    `busy sending        ${ms(busyTime)}, ${share(rwndLimited, busyTime)} held by the receiver, ${share(sndbufLimited, busyTime)} by the send buffer`,
    `acknowledged        ${amount(info.bytesAcked ?? 0)} in ${at.toFixed(1)} s, received ${amount(received)}`,
  ].join("\n");
}

/** Samples a connection until `done`. */
async function watch(sock: Socket, done: Promise<void>): Promise<Sample[]> {
  const samples: Sample[] = [];
  const began = performance.now();
  const take = (): void => {
    const info = tcp_info.decode(sock.getsockopt(IPPROTO_TCP, TCP_INFO, tcp_info.size));
    const at = (performance.now() - began) / 1000;
    samples.push({ at, info });
    if (!process.stderr.isTTY) return;
    const words = [`${at.toFixed(1)} s`, `cwnd ${info.sndCwnd}`, `rtt ${ms(info.rtt)}`, rate(info.deliveryRate)];
    process.stderr.write(`\r\x1b[K${words.join("  ")}  ${info.totalRetrans ?? 0} retransmits`);
  };
  take();
  const timer = setInterval(take, INTERVAL);
  try {
    await done;
  } finally {
    clearInterval(timer);
    take();
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
  return samples;
}

/** How many bytes came. (The kernel's count has one more for the end of the connection.) */
let received = 0;

/** Throws away what comes, until the other end closes. */
async function drain(sock: Socket): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (let count = 1; count > 0; received += count) {
    count = await sock.recvInto(buffer, 0, 0, { signal: stop.signal });
  }
}

async function sendAll(sock: Socket, data: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of data) await sock.sendall(piece, 0, { signal: stop.signal });
  sock.shutdown(SHUT_WR);
}

/** Ends what is done when it was stopped; a connection that ended badly is told, and summed up all the same. */
async function untilStopped(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error === stop.signal.reason) return;
    if (!(error instanceof OSError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

async function demonstrate(): Promise<Sample[]> {
  using server = createServer(["127.0.0.1", 0]);
  server.setsockopt(SOL_SOCKET, SO_RCVBUF, 65536); // connections have it from their server
  using sock = new Socket(AF_INET);
  sock.setsockopt(IPPROTO_TCP, TCP_MAXSEG, 1400); // segments as on the way to others, not the 64 kB of a loopback
  await sock.connect(server.getsockname());
  const [reader] = await server.accept();
  const end = performance.now() + DEMO * 1000;

  async function read(): Promise<void> {
    const buffer = new Uint8Array(16384);
    while ((await reader.recvInto(buffer)) > 0) {
      if (performance.now() < end - DEMO * 500) await Bun.sleep(10);
    }
    reader.close();
  }
  async function* data(): AsyncGenerator<Uint8Array> {
    const piece = new Uint8Array(16384);
    while (performance.now() < end) yield piece;
  }
  const reading = read();
  const samples = await watch(sock, untilStopped(Promise.all([sendAll(sock, data()), drain(sock)])));
  sock.close();
  await reading;
  return samples;
}

async function observe(): Promise<Sample[]> {
  using sock = await createConnection([host, port], 10, { signal: stop.signal });
  sock.settimeout(null);
  // It is over when the other end closes, even if there is more to send.
  const drained = drain(sock);
  const sent = process.stdin.isTTY ? drained : sendAll(sock, Bun.stdin.stream());
  return await watch(sock, untilStopped(Promise.race([drained, sent.then(() => drained)])));
}

try {
  console.log(summary(isDemo ? await demonstrate() : await observe()));
  process.exit();
} catch (error) {
  if (!(error instanceof OSError) && error !== stop.signal.reason) throw error;
  fail((error as Error).message, 1);
}
