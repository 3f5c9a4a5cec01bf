/**
 * The fuzzer, for a short time: in a process of its own, so that a crash and a hang are seen. `FUZZ_SEED` and
 * `FUZZ_SECONDS` say what to repeat and for how long.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { errorsOf, slowness } from "../help.ts";
import type { Report } from "./fuzz.ts";

const seconds = Number(process.env["FUZZ_SECONDS"] ?? 1.5);
const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);

test(
  `${seconds} seconds of random calls, seed ${seed}`,
  async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "fuzz.ts"), String(seed), String(seconds)], {
      stdout: "pipe",
      stderr: "pipe",
      timeout: (seconds + 15 * slowness) * 1000,
      killSignal: "SIGKILL",
    });
    const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text().then(errorsOf), child.exited]);
    // A signal is a crash, or the end of its time: it hung.
    expect({ signal: child.signalCode, code: child.exitCode, errors }).toEqual({ signal: null, code: 0, errors: "" });
    const report = JSON.parse(output) as Report;
    expect(report).toMatchObject({ seed, wrong: [], leaked: 0 });
    expect(report.succeeded).toBeGreaterThan(report.calls / 10);
    expect(report.calls).toBeGreaterThan((seconds * 100) / slowness);
  },
  (seconds + 20 * slowness) * 1000,
);
