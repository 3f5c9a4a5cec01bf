/** Interfaces by the names that Windows' NDIS has for them. */
import { expect } from "bun:test";
import { networkInterfaces } from "node:os";
import { AF_INET6, getaddrinfo, if_indextoname, if_nameindex, if_nametoindex } from "../../src/index.ts";
import { codeOf, isWindows, needs } from "../help.ts";

const windows = needs("Windows", isWindows);

windows("names are a kind and a number, and lead back to the index", () => {
  const all = if_nameindex();
  expect(all.length).toBeGreaterThan(0);
  expect(all.some(([, name]) => /^loopback_\d+$/.test(name))).toBe(true);
  for (const [index, name] of all) {
    expect(name).toMatch(/^[a-z0-9_]+_\d+$/);
    expect([if_nametoindex(name), if_indextoname(index)]).toEqual([index, name]);
  }
});

windows("every scope that node:os tells is an interface", () => {
  const indices = if_nameindex().map(([index]) => index);
  const scopes = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  for (const { scopeid = 0 } of scopes.filter(({ family }) => family === "IPv6")) {
    if (scopeid > 0) expect(indices).toContain(scopeid);
  }
});

windows("a scope is given by its number", () => {
  const [index] = if_nameindex()[0]!;
  expect(getaddrinfo(`fe80::1%${index}`, 80, { family: AF_INET6 })[0]![4]).toEqual(["fe80::1", 80, 0, index]);
});

windows("a friendly name is no name of NDIS", () => {
  expect(codeOf(() => if_nametoindex("Local Area Connection that is not here"))).toBe("ENODEV");
  expect(codeOf(() => if_indextoname(0))).toBe("ENXIO");
});
