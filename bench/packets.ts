/**
 * Packets by the million: the batches of `berkeley-sockets/packets` beside C, CPython, Rust, and Bun's and Node's sockets.
 *
 *     bun bench/packets.ts [--json] [--rounds N] [--only TEXT] [--quick]
 *
 * - Receiving, sending and forwarding, packet by packet and by batches, beside the same calls of the system elsewhere. Both
 *   ends are in one process, and only the named one is timed. The C process has an idle thread, as each of Bun has several.
 * - Packets there and received, cut and coalesced by the kernel (`sendSegments`, `UDP_GRO`).
 * - A full queue that is drained by the event loop. Another process fills it before the time begins.
 * - Workers that share a port, while another process sends as fast as it can.
 * - Sends without a copy beside those with one, by size (Linux, as root).
 * - By how much the process grows with each packet, where nothing is collected.
 */
import { availableParallelism } from "node:os";
import { AF_INET, SO_RCVBUF, SOCK_DGRAM, Socket, SOL_SOCKET } from "../src/index.ts";
import { compile, type Contest, main, once, Peer, peerFile, type Run, type Section } from "./suite.ts";

const SIZES = [64, 1200];

const here = new Peer(() => [process.execPath, peerFile("packets.ts")]);
const c = new Peer(() => [compile("packets.c")]);
/** Those that know no batches. */
const others: Record<string, Peer> = {};
const python = Bun.which("python3");
if (python !== null) others["CPython"] = new Peer(() => [python, peerFile("packets.py")]);
if (Bun.which("rustc") !== null) others["Rust"] = new Peer(() => [compile("packets.rs")]);

/** The command of a file of `bench/peers`. */
const byBun = (name: string, ...args: (string | number)[]) => [process.execPath, peerFile(name), ...args];
const byNode = (...args: (string | number)[]): Record<string, Run> => {
  const node = Bun.which("node");
  return node === null ? {} : { "node:dgram, Node": () => runOnce([node, compile("dgram.ts"), ...args]) };
};

function runOnce(command: (string | number)[]): Promise<number[]> {
  return once(command, { FILLER: compile("packets.c") });
}

/** Whether a socket's queue takes so many packets. */
function isRoomFor(count: number, bytes: number): boolean {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
  return sock.getsockopt(SOL_SOCKET, SO_RCVBUF) >= count * (2 * bytes + 1024);
}

function calls(isQuick: boolean): Contest[] {
  const all: Contest[] = [];
  const curve = isQuick ? [1, 8, 32, 128, 1024] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  for (const what of ["recv", "send", "forward"]) {
    for (const bytes of SIZES) {
      for (const batch of what === "forward" ? [1, 8, 32, 128] : curve) {
        if (batch > 128 && !isRoomFor(batch, bytes)) {
          console.error(`no figures of batches of ${batch}: net.core.rmem_max is too low for the queue`);
          continue;
        }
        const isBatch = batch > 1;
        const rounds = Math.ceil((isQuick ? 4000 : 20_000) / Math.max(batch, 128));
        const peers = { here, C: c, ...(isBatch ? {} : others) };
        const goal = isBatch ? (what === "forward" ? undefined : 1.05) : what === "recv" ? 1.15 : undefined;
        all.push({
          workload: what,
          bytes,
          batch,
          units: ["ns/packet"],
          runs: Object.fromEntries(
            Object.entries(peers).map(([name, peer]) => [name, () => peer.ask(what, bytes, batch, rounds)]),
          ),
          goals: { C: goal },
          counts: true,
          turns: 3,
          warm: isQuick ? 1 : 3, // the engine compiles
          seconds: isQuick ? 0.02 : 0.08,
        });
      }
    }
  }
  return all;
}

function segments(isQuick: boolean): Contest[] {
  const rounds = isQuick ? 200 : 1500;
  return SIZES.map((bytes) => ({
    workload: "64 packets there and received",
    bytes,
    units: ["ns/packet"],
    runs: {
      here: () => runOnce(byBun("streams.ts", "root", "there", bytes, 64, rounds)),
      C: () => c.ask("there", bytes, 64, rounds),
      "Bun sendMany": () => runOnce(byBun("streams.ts", "sendMany", "there", bytes, 64, rounds)),
      "Bun send": () => runOnce(byBun("streams.ts", "send", "there", bytes, 64, rounds)),
      ...byNode("there", bytes, 64, rounds),
    },
    goals: bytes === 1200 ? { "Bun sendMany": 0.1 } : {},
    counts: true,
    seconds: isQuick ? 0.2 : 0.6,
  }));
}

function drains(isQuick: boolean): Contest[] {
  const rounds = isQuick ? 30 : 150;
  return SIZES.flatMap((bytes) =>
    ["root", "promises"].map((face) => {
      const args = ["drain", bytes, bytes === 64 ? 200 : 80, rounds];
      return {
        workload: face === "root" ? "drain of a full queue" : "drain by promises",
        bytes,
        units: ["ns/packet"],
        runs: {
          here: () => runOnce(byBun("streams.ts", face, ...args)),
          "Bun.udpSocket": () => runOnce(byBun("streams.ts", "sendMany", ...args)),
          ...byNode(...args),
        },
        goals: { "Bun.udpSocket": 1 / 1.5, "node:dgram, Node": 1 / 3 },
        counts: true,
        seconds: isQuick ? 0.2 : 0.6,
      };
    }),
  );
}

function workers(isQuick: boolean): Contest[] {
  if (process.platform !== "linux") return []; // elsewhere the sockets of a group do not share
  const ms = isQuick ? 100 : 300;
  const cores = availableParallelism();
  const counts = Array.from({ length: 20 }, (_, power) => 2 ** power).filter((count) => count < cores);
  return SIZES.flatMap((bytes) =>
    [...counts, cores].map((count) => ({
      workload: "recv, a port shared",
      bytes,
      workers: count,
      units: ["ns/packet"],
      runs: {
        here: () => runOnce(byBun("workers.ts", count, bytes, ms)),
        C: () => runOnce([compile("packets.c"), "workers", count, bytes, ms]),
      },
      counts: true,
      seconds: 0.4 + (2 * ms) / 1000,
    })),
  );
}

/** One process does both, by turns: the second run has the other figure of the first. */
function zeroCopy(isQuick: boolean): Contest[] {
  const isAble =
    process.platform === "linux" &&
    Bun.which("unshare") !== null &&
    Bun.which("ip") !== null &&
    Bun.spawnSync(["unshare", "-n", "ip", "link", "add", "type", "veth"]).success;
  if (!isAble) {
    console.error("no figures of sends without a copy: they need Linux, `ip` and the right to make a network");
    return [];
  }
  return (isQuick ? [1000, 60_000] : [1000, 4000, 10_000, 16_384, 32_000, 60_000]).map((bytes) => {
    let copied = NaN;
    return {
      workload: "send without a copy",
      bytes,
      units: ["ns/send"],
      runs: {
        here: async () => {
          const [without = NaN, withOne = NaN] = await once(["unshare", "-n", ...byBun("zerocopy.ts", bytes)]);
          copied = withOne;
          return [without];
        },
        "with a copy": () => [copied],
      },
      seconds: 0.5,
    };
  });
}

function heap(isQuick: boolean): Contest {
  const packets = isQuick ? 500_000 : 10_000_000;
  return {
    workload: "growth of the heap, nothing collected",
    bytes: 64,
    units: ["bytes/packet"],
    runs: {
      here: () => once(byBun("heap.ts", packets), { BUN_JSC_useGC: "0" }, 600_000),
    },
    goals: { here: 1 },
    turns: 0,
    seconds: packets / 500_000,
  };
}

/** The section of the report. */
export const packets: Section = {
  title: "Packets",
  about:
    "UDP on the loopback. A batch of 1 is packet by packet (recvfromInto, sendto); CPython and Rust's std know no batches. “there and received” is sendSegments and UDP_GRO here and in C. Where a port is shared, a process sends as fast as it can, and the figure is the time divided by the packets that came: if none is lost, it is the sender that bounds it.",
  contests: (isQuick) => [
    ...calls(isQuick),
    ...segments(isQuick),
    ...drains(isQuick),
    ...workers(isQuick),
    ...zeroCopy(isQuick),
    heap(isQuick),
  ],
};

if (import.meta.main) await main(packets);
