/** Names and connections by name, without blocking. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import * as net from "../../src/promises.ts";
import { interleaved } from "../../src/promises/create.ts";
import { slowness } from "../help.ts";
import { inNamespace, missing } from "../namespace.ts";
import { needs } from "../help.ts";
import { rejection } from "./help.ts";

interface Found {
  calls: number;
  differences: string[];
  many: string[];
  aborted: string;
  connections: Record<string, [outcome: string, ms: number]>;
  left: number;
  silent: Record<string, [outcome: string, ms: number]>;
}

needs(missing, missing === "")(
  "with a name server: the same as the root; and the first address that answers",
  () => {
    const found = inNamespace<Found>(join(import.meta.dir, "names-there.ts"));
    expect(found.calls).toBeGreaterThan(20);
    expect(found.differences).toEqual([]);
    expect(found.many).toEqual(["10.0.0.1"]);
    expect(found.aborted).toBe("AbortError");
    const { works, refuses, ignores, late, all, aborted } = found.connections as Record<string, [string, number]>;
    expect(works![0]).toBe("AF_INET6");
    expect(refuses![0]).toBe("AF_INET");
    expect(refuses![1]).toBeLessThan(240 * slowness); // at once, not after 250 ms
    expect(ignores![0]).toBe("AF_INET");
    expect(ignores![1]).toBeGreaterThan(240);
    expect(ignores![1]).toBeLessThan(2000 * slowness);
    // The IPv4 socket cannot have an IPv6 address: what is told is the last that failed.
    expect(late![0]).toMatch(/ETIMEDOUT|gaierror|EAI_/);
    expect(all![0]).toMatch(/ECONNREFUSED.*; .*/);
    expect(aborted![0]).toMatch(/TimeoutError/);
    expect(found.left).toBeLessThanOrEqual(0); // sockets; Bun itself may have closed one of its own

    // The resolver gives up after a second. What is a socket's ends with the socket, and by its time.
    const ended = Object.fromEntries(Object.entries(found.silent).map(([name, [outcome]]) => [name, outcome]));
    expect(ended).toEqual({
      "connect, closed": "ECANCELED",
      "sendto, closed": "ECANCELED",
      "sendmsg, closed": "ECANCELED",
      "connect, late": "ETIMEDOUT",
      "sendto, late": "ETIMEDOUT",
      "connect, no number": "ETIMEDOUT",
      "connect, aborted": "TimeoutError",
      "connect, detached": "ECANCELED",
      "connect, unanswered": expect.stringMatching(/^EAI_/) as unknown as string,
      "a number": '["127.0.0.1",80]',
      unref: "0",
    });
    const isSlow = /unanswered/;
    const early = Object.entries(found.silent).filter(([name]) => !isSlow.test(name));
    for (const [name, [, ms]] of early) expect([name, ms < 800 * slowness]).toEqual([name, true]);
  },
  60_000 * slowness,
);

test("the families take turns", () => {
  const entry = (family: number, host: string) => [family, net.SOCK_STREAM, 6, "", [host, 1]] as never;
  const [six, four] = [net.AF_INET6, net.AF_INET];
  const order = interleaved([entry(six, "a"), entry(six, "b"), entry(six, "c"), entry(four, "d"), entry(four, "e")]);
  expect(order.map(([, , , , [host]]) => host)).toEqual(["a", "d", "b", "e", "c"]);
  expect(interleaved([])).toEqual([]);
});

describe("createConnection", () => {
  test("sets the timeout, binds the source, says what is wrong", async () => {
    using server = net.createServer(["127.0.0.1", 0]);
    const address = server.getsockname();
    using conn = await net.createConnection(address, 2, ["127.0.0.1", 0], { allErrors: true });
    expect(conn.gettimeout()).toBe(2);
    expect(await rejection(net.createConnection(address, -1))).toBe("RangeError");
    expect(await rejection(net.createConnection(address, { tiemout: 1 } as never))).toBe("TypeError");
    expect(await rejection(net.createConnection(address, { signal: 1 } as never))).toBe("TypeError");
    expect(await rejection(net.createConnection(address, { signal: AbortSignal.abort() }))).toBe("AbortError");
    server.close();
    expect(await rejection(net.createConnection(address))).toBe("ConnectionRefusedError");
    expect(await rejection(net.createConnection(address, { allErrors: true }))).toBe("AggregateError");
  });
});
