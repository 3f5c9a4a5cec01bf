/**
 * Packet rings: a full ring drained here, beside C over a ring of the same shape, and beside `recvfrom` of a packet socket
 * whose queue is full.
 *
 *     bun bench/ring.ts [--json] [--rounds N] [--only TEXT] [--quick]
 *
 * For Linux, as root. Each peer is a process with a network of its own, whose loopback carries the frames; it sends them to
 * itself, and only the draining is timed. Linux drops a frame now and then where a block is just handed over.
 */
import { compile, type Contest, main, Peer, peerFile, type Section } from "./suite.ts";

function inNetwork(command: string[]): string[] {
  return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...command];
}

const loops = (): string[] => inNetwork([process.execPath, peerFile("ring.ts")]);
const ours = new Peer(loops);
// Each way has a process of its own: the engine compiles each loop for what it does.
const others = { here: new Peer(loops), C: new Peer(() => inNetwork([compile("ring.c")])) };
// Without its garbage collector, a process grows by all that it allocates.
const growing = new Peer(loops, { BUN_JSC_useGC: "0" });

type Other = readonly [name: string, who: keyof typeof others, way: string, goal?: number];

const RING: Other = ["C, its ring", "C", "bytes", 2];
const QUEUES: Other[] = [
  ["recvfrom here", "here", "recvfrom", 1 / 5],
  ["recvInto here", "here", "recvInto"],
  ["recvfrom in C", "C", "recvfrom"],
];
const FRAMES = { 64: 80_000, 1200: 10_000 }; // as many as the smaller of ring and queue takes

/** What our loop looks at, and what theirs does: see bench/peers/ring.ts and ring.c. */
const all: [way: string, bytes: 64 | 1200, beside: Other[]][] = [
  ["headers", 64, [["C, its ring", "C", "headers", 2]]],
  ["bytes", 64, [RING, ...QUEUES]],
  ["bytes", 1200, [RING, ...QUEUES]],
  ["views", 64, [RING]],
];

function contests(isQuick: boolean): Contest[] {
  return all.flatMap(([way, bytes, beside]) => {
    const frames = FRAMES[bytes] / (isQuick ? 4 : 1);
    const row = { workload: `ring, ${way}`, bytes, turns: 2, warm: isQuick ? 1 : 5, seconds: 0.15 };
    const drain = async (peer: Peer, way: string): Promise<number[]> => {
      const [ns = NaN, , lost = NaN] = await peer.ask(way, bytes, frames);
      return [ns, lost / frames];
    };
    const compared = beside.map(([name, who, theirs, goal]): Contest => ({
      ...row,
      units: ["ns/frame"],
      runs: { here: () => drain(ours, way), [name]: () => drain(others[who], theirs) },
      goals: { [name]: goal },
      counts: true,
    }));
    const alone: Contest = {
      ...row,
      workload: `${row.workload}, allocated`,
      units: ["bytes/frame"],
      runs: { here: async () => [(await growing.ask(way, bytes, frames))[1]! / frames] },
      goals: way === "views" ? {} : { here: 0.1 },
    };
    return [...compared, alone];
  });
}

/** The section of the report. */
export const rings: Section = {
  title: "Packet rings",
  about:
    "A full PacketRing of 16 MiB drained. The loop looks at the length and the time of each frame (headers), at a byte of it too (bytes), or at a view of its data.",
  contests(isQuick) {
    const isAble =
      process.platform === "linux" && Bun.which("unshare") !== null && Bun.spawnSync(inNetwork(["true"])).success;
    if (!isAble) console.error("no figures of packet rings: they need Linux, `ip` and the right to make a network");
    return isAble ? contests(isQuick) : [];
  },
};

if (import.meta.main) await main(rings);
