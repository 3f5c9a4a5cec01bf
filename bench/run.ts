/**
 * All benchmarks: prints their tables, and writes `bench/report.html` and `bench/report.json`.
 *
 *     bun run bench [--only TEXT] [--rounds N] [--quick] [--json]
 *
 * `--only` takes those whose section or workload has the text. `--quick` runs each once and shortly, to see that it runs: its
 * figures mean little. Packet rings and sends without a copy need Linux and root. Progress is on stderr.
 */
import { join } from "node:path";
import { eventLoop } from "./async.ts";
import { hotPaths } from "./hot-paths.ts";
import { imports } from "./import.ts";
import { packets } from "./packets.ts";
import { html, machine } from "./report.ts";
import { rings } from "./ring.ts";
import { main } from "./suite.ts";

const { results, rounds } = await main(hotPaths, eventLoop, packets, rings, imports);
const about = { ...machine(), rounds };
const page = join(import.meta.dir, "report.html");
await Bun.write(page, html(results, about));
const rows = results.flatMap((result) => result.rows.map((row) => ({ section: result.title, ...row })));
await Bun.write(join(import.meta.dir, "report.json"), `${JSON.stringify({ machine: about, rows }, null, 1)}\n`);
console.error(`\nwritten: ${page}, and report.json beside it`);
