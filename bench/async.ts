/**
 * Sockets on the event loop: `berkeley-sockets/promises` beside Bun's own, node:dgram on Bun and on Node, and asyncio.
 *
 *     bun bench/async.ts [--json] [--svg FILE] [--rounds N] [--only TEXT] [--quick]
 *
 * Each run is a process of its own, with a second one at its other end that blocks and is the same for all. It runs
 * before it is measured, for as long.
 */
import { UDP_GRO } from "../src/constants.ts";
import { compile, type Contest, main, once, peerFile, type Run, type Section } from "./suite.ts";

/** The commands of those that take part. */
const commands: Record<string, () => string[]> = {
  promises: () => [process.execPath, peerFile("async.ts"), "promises"],
  recvBatch: () => [process.execPath, peerFile("async.ts"), "recvBatch"],
  UDP_GRO: () => [process.execPath, peerFile("async.ts"), "UDP_GRO"],
  "Bun.udpSocket": () => [process.execPath, peerFile("async.ts"), "Bun"],
  "Bun.listen": () => [process.execPath, peerFile("async.ts"), "Bun"],
  "node:dgram, Bun": () => [process.execPath, compile("dgram.ts")],
};
const node = Bun.which("node");
if (node !== null) commands["node:dgram, Node"] = () => [node, compile("dgram.ts")];
const python = Bun.which("python3");
if (python !== null) commands["asyncio"] = () => [python, peerFile("async.py")];

const DATAGRAMS: [first: string, ...string[]] = ["Bun.udpSocket", "node:dgram, Bun", "node:dgram, Node", "asyncio"];

/** How many descriptors a process may have, by what it needs for this many sockets. */
function canHold(sockets: number): boolean {
  const text = process.platform === "win32" ? "" : Bun.spawnSync(["sh", "-c", "ulimit -Hn"]).stdout.toString().trim();
  if (text === "" || text === "unlimited" || Number(text) >= sockets + 100) return true;
  console.error(`no figures of ${sockets} sockets: a process may have ${text} descriptors`);
  return false;
}

/** The section of the report. */
export const eventLoop: Section = {
  title: "Event loop",
  about:
    "Each run is a process of its own whose other end is a second one that blocks. “udp packets” come in bursts of 64 (of 24 if they are large), three of them under way, and all are received; “wake” is the time from a send in the other process until the data is here; “idle” is what a socket that waits costs. Messages of “tcp echo” that many connections share are counted one by one.",
  contests(isQuick) {
    const ms = isQuick ? 100 : 300;
    const contest = (
      [workload, bytes, sockets]: readonly [string, number, number],
      units: string[],
      [us, ...others]: [string, ...string[]],
      goals: Contest["goals"] = {},
    ): Contest => {
      const env = { BUN: process.execPath, PEER: peerFile("async.ts") };
      const run = (command: () => string[]): Run => {
        return () => once([...command(), workload, bytes, sockets, ms], env);
      };
      const here = [us, ...others].filter((who) => who in commands);
      return {
        workload: us === "promises" ? workload : `${workload}, ${us}`,
        bytes,
        sockets,
        units,
        runs: Object.fromEntries(here.map((who) => [who, run(commands[who]!)])),
        goals,
        counts: workload === "udp packets",
        seconds: 0.3 + (2 * ms) / 1000 + sockets / 10_000,
      };
    };

    const all: Contest[] = [];
    for (const bytes of isQuick ? [64] : [64, 1200]) {
      const trip = ["udp round trips", bytes, 1] as const;
      all.push(contest(trip, ["ns/round trip"], ["promises", ...DATAGRAMS], { "Bun.udpSocket": 1.3 }));
      const packets = ["udp packets", bytes, 1] as const;
      for (const us of [...(UDP_GRO === undefined ? [] : ["UDP_GRO"]), "recvBatch", "promises"]) {
        const others = us === "promises" ? DATAGRAMS : [DATAGRAMS[0]];
        all.push(contest(packets, ["ns/packet"], [us, ...others], { "Bun.udpSocket": 1 / 1.3 }));
      }
    }
    all.push(contest(["wake", 8, 1], ["ns, median", "ns, 99 of 100"], ["promises", "Bun.udpSocket"]));
    for (const bytes of isQuick ? [64] : [64, 65536]) {
      for (const connections of [1, 100]) {
        const echo = ["tcp echo", bytes, connections] as const;
        all.push(contest(echo, ["ns/message"], ["promises", "Bun.listen", "asyncio"], { "Bun.listen": 1 }));
      }
    }
    const most = [10_000, 1000, 100].find(canHold) ?? 10;
    all.push(contest(["idle", 0, most], ["ns/socket", "bytes/socket"], ["promises", DATAGRAMS[0]]));
    for (let sockets = 10; sockets <= most; sockets *= isQuick ? 1000 : 10) {
      all.push(contest(["udp packets", 64, sockets], ["ns/packet"], ["promises", ...DATAGRAMS]));
    }
    return all;
  },
};

if (import.meta.main) await main(eventLoop);
