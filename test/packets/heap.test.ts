/** What packets take of the heap. */
import { expect } from "bun:test";
import { join } from "node:path";
import { hasLinuxOptions, needs, slowness } from "../help.ts";

needs("Linux's options", hasLinuxOptions)(
  "no memory is taken for a packet",
  () => {
    // Nothing is collected there: what was allocated is seen. An object for each packet would be 30 bytes and more.
    const program = join(import.meta.dir, "..", "..", "bench", "peers", "heap.ts");
    const env = { ...process.env, BUN_JSC_useGC: "0" };
    const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, program, "200000"], { env });
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
    const [grown = NaN, packets = NaN] = stdout.toString().split(" ").map(Number);
    expect(packets).toBeGreaterThanOrEqual(200_000);
    expect(grown).toBeLessThan(8);
  },
  60_000 * slowness,
);
