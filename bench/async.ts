/**
 * Sockets on the event loop: `berkeley-sockets/promises` beside Bun's own.
 *
 *     bun bench/async.ts [--json] [--rounds N] [--ms N] [--only TEXT]
 *
 * Each run is a process of its own, with a second one at its other end that blocks and is the same for all. They take turns,
 * round by round; figures are medians, a ratio is the median of the ratios of the rounds.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    json: { type: "boolean" },
    rounds: { type: "string", default: "7" },
    ms: { type: "string", default: "500" },
    only: { type: "string", default: "" },
  },
});

interface Workload {
  name: string;
  bytes: number;
  connections: number;
  theirs: "Bun.udpSocket" | "Bun.listen";
  unit: string;
}

const all: Workload[] = [
  { name: "udp round trips", bytes: 64, connections: 1, theirs: "Bun.udpSocket", unit: "ns" },
  { name: "udp packets", bytes: 64, connections: 1, theirs: "Bun.udpSocket", unit: "ns" },
  { name: "wake", bytes: 8, connections: 1, theirs: "Bun.udpSocket", unit: "ns p50, p99" },
  { name: "tcp echo", bytes: 64, connections: 1, theirs: "Bun.listen", unit: "messages/s" },
  { name: "tcp echo", bytes: 64, connections: 100, theirs: "Bun.listen", unit: "messages/s" },
  { name: "tcp echo", bytes: 65536, connections: 1, theirs: "Bun.listen", unit: "messages/s" },
  { name: "tcp echo", bytes: 65536, connections: 100, theirs: "Bun.listen", unit: "messages/s" },
];

function run(who: string, { name, bytes, connections }: Workload): number[] {
  const args = [who, name, bytes, connections, flags.ms].map(String);
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, "peers", "async.ts"), ...args], {
    stderr: "inherit",
    timeout: 60_000,
  });
  if (!child.success) throw new Error(`${who}, ${name}: ended with ${child.exitCode}`);
  return child.stdout.toString().trim().split(" ").map(Number);
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const rows = [];
for (const workload of all.filter(({ name }) => name.includes(flags.only))) {
  const ours: number[][] = [];
  const theirs: number[][] = [];
  for (let round = 0; round < Number(flags.rounds); round++) {
    ours.push(run("promises", workload));
    theirs.push(run(workload.theirs, workload));
  }
  for (const i of ours[0]!.keys()) {
    rows.push({
      workload: workload.name,
      bytes: workload.bytes,
      connections: workload.connections,
      peer: workload.theirs,
      unit: workload.unit.split(/(?:, | )p/)[0] + (workload.name === "wake" ? [" p50", " p99"][i]! : ""),
      ours: Math.round(median(ours.map((one) => one[i]!))),
      theirs: Math.round(median(theirs.map((one) => one[i]!))),
      ratio: Number(median(ours.map((one, round) => one[i]! / theirs[round]![i]!)).toFixed(3)),
    });
  }
}

if (flags.json) console.log(JSON.stringify(rows, null, 1));
else {
  console.log("workload           bytes  conns   peer             unit            here      theirs   here/theirs");
  for (const r of rows) {
    const cells = [
      r.workload.padEnd(17),
      String(r.bytes).padStart(6),
      String(r.connections).padStart(6),
      `  ${r.peer.padEnd(15)}`,
      r.unit.padEnd(11),
      String(r.ours).padStart(9),
      String(r.theirs).padStart(11),
      r.ratio.toFixed(2).padStart(10),
    ];
    console.log(cells.join(" "));
  }
}
