/**
 * Names that a server knows, or does not, or will not tell: in a namespace with a name server of its own, so that nothing of
 * this machine or its network counts.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { inNamespace, missing } from "../namespace.ts";
import { python, TIME } from "./compare.ts";

const lacking = python === null ? "python3 3.10 or later" : missing;

test.skipIf(lacking !== "")(
  `names of a server of its own as in CPython${lacking && ` (no ${lacking} here)`}`,
  () => {
    const found = inNamespace<Record<string, { calls: number; wrong: string[] }>>(join(import.meta.dir, "resolver.ts"));
    expect(Object.values(found).reduce((sum, { calls }) => sum + calls, 0)).toBeGreaterThan(2000);
    for (const [name, { wrong }] of Object.entries(found)) expect([name, ...wrong.slice(0, 20)]).toEqual([name]);
  },
  TIME,
);
