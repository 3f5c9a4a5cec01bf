/** Values that nobody should pass, made anew for each call, and what the tests of bad input share. */
import type { Socket } from "../../src/index.ts";

/** What a caller's own object throws: it must come out as it is, or not at all. */
export class Hostile extends Error {}

/** An object all of whose operations throw. */
export function throwing(): object {
  const traps = {} as Record<string, () => never>;
  for (const name of Object.getOwnPropertyNames(Reflect)) {
    traps[name] = () => {
      throw new Hostile(name);
    };
  }
  return new Proxy({}, traps);
}

/** Takes a buffer's memory away, as posting it to a worker does. */
export function detach(view: NodeJS.ArrayBufferView | ArrayBuffer): void {
  const memory = (ArrayBuffer.isView(view) ? view.buffer : view) as ArrayBuffer;
  structuredClone(memory, { transfer: [memory] });
}

export function detached<View extends NodeJS.ArrayBufferView | ArrayBuffer>(view: View): View {
  detach(view);
  return view;
}

/** A view on memory that has shrunk below it. */
export function shrunk<View extends NodeJS.ArrayBufferView>(make: (memory: ArrayBuffer) => View): View {
  const memory = new ArrayBuffer(16, { maxByteLength: 64 });
  const view = make(memory);
  memory.resize(2);
  return view;
}

/** A view that grew with its memory: eight bytes. */
export function tracking(): Uint8Array {
  const memory = new ArrayBuffer(4, { maxByteLength: 64 });
  const view = new Uint8Array(memory);
  memory.resize(8);
  return view;
}

const huge = "x".repeat(1_000_000);

/** What is put in the place of every argument, one after the other. */
export const substitutes: readonly (readonly [what: string, make: () => unknown])[] = [
  ["undefined", () => undefined],
  ["null", () => null],
  ["NaN", () => NaN],
  ["Infinity", () => Infinity],
  ["1.5", () => 1.5],
  ["-1", () => -1],
  ["2**31", () => 2 ** 31],
  ["2**32", () => 2 ** 32],
  ["2**53", () => 2 ** 53],
  ["1n", () => 1n],
  ["true", () => true],
  ['""', () => ""],
  ['"x"', () => "x"],
  ["a string with NUL", () => "a\0b"],
  ["half a surrogate pair", () => "a\ud800"],
  ["a huge string", () => huge],
  ["a Symbol", () => Symbol("s")],
  ["a function", () => () => 1],
  ["{}", () => ({})],
  ["a bare object", () => Object.create(null)],
  ["[]", () => []],
  ["[[]]", () => [[]]],
  ["[undefined]", () => [undefined]],
  ["a Date", () => new Date()],
  ["a Proxy that throws", throwing],
  ["an object whose valueOf is a number", () => ({ valueOf: () => 1, [Symbol.toPrimitive]: () => 1 })],
  ["an object with an iterator that is none", () => ({ [Symbol.iterator]: 5 })],
  ["an unnamable object", () => ({ constructor: { name: Symbol("s") } })],
  ["a detached Uint8Array", () => detached(new Uint8Array(8))],
  ["a detached DataView", () => detached(new DataView(new ArrayBuffer(8)))],
  ["a detached ArrayBuffer", () => detached(new ArrayBuffer(8))],
  ["a Uint8Array below which its buffer shrank", () => shrunk((memory) => new Uint8Array(memory, 4, 4))],
  ["a DataView below which its buffer shrank", () => shrunk((memory) => new DataView(memory, 4, 4))],
  ["a view behind the end of its buffer", () => shrunk((memory) => new Uint8Array(memory, 4))],
  ["a view that grew with its buffer", tracking],
];

/** Closes whatever a call returned that has to be closed. */
export function closeAll(returned: unknown): void {
  if (Array.isArray(returned)) returned.forEach(closeAll);
  else if (typeof returned === "object" && returned !== null && "close" in returned) (returned as Socket).close();
}
