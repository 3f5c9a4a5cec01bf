/** What packets take of the heap. */
import { expect } from "bun:test";
import { join } from "node:path";
import { hasLinuxOptions, needs, slowness } from "../help.ts";

// Nothing is collected there: what was allocated is seen. An object for each packet would be 30 bytes and more; promises are
// made for each call.
needs("Linux's options", hasLinuxOptions).each([
  ["batch", 8],
  ["forward", 8],
  ["segments", 8],
  ["promises", 16],
] as [loop: string, most: number][])(
  "no memory is taken for a packet: %s",
  (loop, most) => {
    const program = join(import.meta.dir, "..", "..", "bench", "peers", "heap.ts");
    const env = { ...process.env, BUN_JSC_useGC: "0" };
    const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, program, "200000", loop], { env });
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
    const [grown = NaN, packets = NaN] = stdout.toString().split(" ").map(Number);
    expect(packets).toBeGreaterThanOrEqual(200_000);
    expect(grown).toBeLessThan(most);
  },
  60_000 * slowness,
);
