import { expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { if_indextoname, if_nameindex, if_nametoindex, OSError } from "../src/index.ts";
import { isWindows, needs } from "./help.ts";

const no = (value: unknown): never => value as never;

function failed(call: () => unknown): OSError {
  try {
    call();
  } catch (error) {
    if (error instanceof OSError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

test("every interface has a number and a name of its own", () => {
  const all = if_nameindex();
  expect(all.length).toBeGreaterThan(0);
  expect(new Set(all.map(([index]) => index)).size).toBe(all.length);
  expect(new Set(all.map(([, name]) => name)).size).toBe(all.length);
  for (const [index, name] of all) {
    expect(index).toBeGreaterThan(0);
    expect(if_nametoindex(name)).toBe(index);
    expect(if_indextoname(index)).toBe(name);
  }
});

// On Windows the names that people see, which node:os tells, are others.
needs("node:os that tells the system's names", !isWindows)("those that have addresses are among them", () => {
  const names = if_nameindex().map(([, name]) => name);
  // A name with a colon is an address's label, as old tools make them, and no interface.
  for (const name of Object.keys(networkInterfaces()).filter((one) => !one.includes(":")))
    expect(names).toContain(name);
});

test("names of no interface", () => {
  for (const name of ["", " ", "nosuch0", "a".repeat(15), "a".repeat(16), "a".repeat(1000), "é", "\udcff"]) {
    const error = failed(() => if_nametoindex(name));
    expect([error.name, error.syscall, error.address]).toEqual(["OSError", "if_nametoindex", name]);
    expect(["ENODEV", "ENXIO"]).toContain(error.code);
  }
  for (const name of ["lo\0", "\0", "\ud800", "\udc00"]) expect(() => if_nametoindex(name)).toThrow(RangeError);
  for (const name of [undefined, null, 1, Buffer.from("lo"), ["lo"]])
    expect(() => if_nametoindex(no(name))).toThrow(TypeError);
});

test("numbers of no interface", () => {
  for (const index of [0, 999_999, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    const error = failed(() => if_indextoname(index));
    expect([error.name, error.syscall, error.address]).toEqual(["OSError", "if_indextoname", index]);
    expect(error.code).toBe("ENXIO");
  }
  // A number above 32 bits is no interface's, whatever its last bits are.
  for (const index of [-1, 2 ** 32, 2 ** 32 + 1, 2 ** 63]) expect(() => if_indextoname(index)).toThrow(RangeError);
  for (const index of [undefined, null, "1", 1.5, NaN, 1n]) expect(() => if_indextoname(no(index))).toThrow(TypeError);
});
