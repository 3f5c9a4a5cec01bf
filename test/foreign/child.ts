// Runs what codecs.test.ts asks for, as the platform that pretend.ts says: a list of requests comes on standard input, the
// list of answers goes to standard output.

import { deserialize, serialize } from "bun:jsc";
import { outName } from "../../src/families/family.ts";
import { decodePacked, familyOf } from "../../src/families/index.ts";
import * as net from "../../src/index.ts";
import { shim } from "../../src/native.ts";

export type Request =
  | { readonly do: "constants"; readonly names: readonly string[] }
  | {
      readonly do: "encode";
      readonly family: string | number;
      readonly proto?: string | number;
      readonly address: unknown;
    }
  | { readonly do: "decode"; readonly bytes: Uint8Array; readonly proto?: string | number }
  | { readonly do: "link"; readonly address: Uint8Array | readonly [number, Uint8Array] }
  /** An ioctl that finds `control`, as macOS's kernel does. */
  | { readonly do: "lookup"; readonly control: string; readonly address: string };

export type Answer = { readonly value: unknown } | { readonly thrown: string; readonly message: string };

const exported: Readonly<Record<string, unknown>> = net;

function number(name: string | number | undefined): number {
  const value = typeof name === "string" ? exported[name] : (name ?? 0);
  if (typeof value !== "number") throw new Error(`${name} is ${value} on ${process.platform}`);
  return value;
}

function encode(family: string | number, address: unknown, proto?: string | number): Uint8Array {
  outName.fill(0xee); // what an encoder does not write is seen
  const length = familyOf(number(family)).encode(address, "bind", number(proto), -1);
  return outName.slice(0, length);
}

/** What the kernel of macOS answers to CTLIOCGINFO. */
function pretendLookup(control: string): { request: number; argument: string }[] {
  const asked: { request: number; argument: string }[] = [];
  const own: { bs_ioctl: unknown } = shim;
  own.bs_ioctl = (_fd: number, request: number, argument: DataView, length: number) => {
    asked.push({ request, argument: Buffer.from(argument.buffer as ArrayBuffer).toString("hex") });
    if (length !== argument.byteLength) throw new Error(`${length} bytes of ${argument.byteLength}`);
    const name = Buffer.from(argument.buffer as ArrayBuffer, 4).toString();
    if (name.slice(0, name.indexOf("\0")) !== control) return -net.ENOENT;
    argument.setUint32(0, 0xfedcba98, true);
    return 0;
  };
  return asked;
}

function perform(request: Request): unknown {
  switch (request.do) {
    case "constants":
      return request.names.map((name) => exported[name]);
    case "encode":
      return encode(request.family, request.address, request.proto);
    case "decode":
      return decodePacked(request.bytes, number(request.proto));
    case "link":
      return net.linkAddress(request.address as Uint8Array);
    case "lookup": {
      const asked = pretendLookup(request.control);
      return { name: encode("AF_SYSTEM", request.address, "SYSPROTO_CONTROL"), asked };
    }
  }
}

const requests = deserialize(await Bun.stdin.arrayBuffer()) as Request[];
const answers = requests.map((request): Answer => {
  try {
    return { value: perform(request) };
  } catch (error) {
    return { thrown: (error as Error).name, message: (error as Error).message };
  }
});
await Bun.write(Bun.stdout, serialize(answers, { binaryType: "nodebuffer" }));
