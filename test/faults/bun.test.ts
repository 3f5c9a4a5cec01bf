/** The rows of `berkeley-sockets/bun`: a wrong argument is named before anything is taken, opened or closed. */
import { describe, expect, test } from "bun:test";
import * as bun from "../../src/bun.ts";
import { Socket } from "../../src/index.ts";
import { descriptors, leftOpen, Sockets } from "../help.ts";
import { type Callable, isLacking, ofBun, type Row, verdict } from "./rows.ts";
import { closeAll, substitutes } from "./values.ts";

test("every function is in the table", () => {
  expect(Object.keys(ofBun).sort()).toEqual(Object.keys(bun).sort());
});

const rows = Object.entries(ofBun).map(([name, row]) => [name, Reflect.get(bun, name), row] as [string, Callable, Row]);

/** What a call gives or throws, now or later; what it opened is closed. */
async function outcomeOf(call: Callable, args: unknown[]): Promise<{ returned?: unknown; threw?: unknown }> {
  try {
    const returned: unknown = await call(...args);
    if (returned !== null && typeof returned === "object" && "stop" in returned)
      (returned as Bun.TCPSocketListener).stop();
    closeAll(returned);
    return { returned };
  } catch (threw) {
    return { threw };
  }
}

test.each(rows)("%s: the row's own arguments are right", async (_, call, row) => {
  using sockets = new Sockets();
  const { returned, threw } = await outcomeOf(call, row.make(sockets).args);
  if (row.lacking) expect(isLacking(threw)).toBe(true);
  else expect([threw, typeof returned]).toEqual([undefined, "object"]);
});

describe("wrong arguments", () => {
  test.each(rows.filter(([, , row]) => row.takes.length > 0))("%s", async (_, call, row) => {
    const wrong: string[] = [];
    for (const [i, [names, kind]] of row.takes.entries()) {
      for (const [what, make] of substitutes) {
        const value = make();
        using sockets = new Sockets();
        const { args } = row.make(sockets);
        const before = descriptors();
        const problem = verdict(names, kind, value, await outcomeOf(call, args.with(i, value)), row.lacking);
        if (problem) wrong.push(`${names}: ${what}: ${problem}`);
        if (leftOpen(before).length > 0) wrong.push(`${names}: ${what}: left a descriptor open`);
        const sock = args.find((arg) => arg instanceof Socket);
        if (sock !== undefined && sock.fileno() < 0) wrong.push(`${names}: ${what}: closed the socket`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
