// Runs what layouts.test.ts asks for, as the platform that is the first argument: the bytes of each structure come on
// standard input, in the order of structures.ts; what they are as objects, and those as bytes again, go to standard output.

import { deserialize, serialize } from "bun:jsc";
import { type Platform } from "../../constants/by-hand.ts";
import type { Structure } from "../../src/messages.ts";
import { vectors } from "./structures.ts";

const platform = process.argv[2] as Platform;
Object.defineProperty(process, "platform", { value: platform }); // before the library is imported
const constants: Readonly<Record<string, unknown>> = await import("../../src/index.ts");
const messages = await import("../../src/messages.ts");

const structures = new Map<string, Structure<unknown>>(Object.entries(messages) as never);
const given = deserialize(await Bun.stdin.arrayBuffer()) as Uint8Array[];
const answers = vectors
  .filter(({ platforms }) => platforms.includes(platform))
  .map(({ c: [type], name = type.split(" ").at(-1)!, ancillary, received }, i) => {
    const bytes = given[i]!;
    if (ancillary === undefined) {
      const structure = structures.get(name)!;
      const value = structure.decode(bytes);
      return { value, size: structure.size, bytes: received ? null : structure.encode(value) };
    }
    const place = ancillary.map((name) => constants[name] as number) as [number, number];
    const [value] = messages.decodeAncillary([[...place, bytes]]);
    const [message] = received ? [null] : messages.encodeAncillary([value as never]);
    return { value, bytes: message === null ? null : message![2], place: message?.slice(0, 2), wanted: place };
  });
await Bun.write(Bun.stdout, serialize(answers, { binaryType: "nodebuffer" }));
