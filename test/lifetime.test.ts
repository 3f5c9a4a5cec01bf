/** Sockets that are forgotten. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { peer } from "./help.ts";

test("10,000 forgotten sockets are closed, each with a ResourceWarning", async () => {
  using forgetful = peer(
    async (net, help) => {
      const warnings: string[] = [];
      process.on("warning", ({ name, message }) => warnings.push(`${name}: ${message}`));
      const { descriptors } = (await import(help)) as typeof import("./help.ts");
      const open = (): number => descriptors().length;
      const forget = (count: number): void => {
        for (let i = 0; i < count; i++) new net.Socket(net.AF_INET, i % 2 === 0 ? net.SOCK_STREAM : net.SOCK_DGRAM);
      };
      forget(0);
      const before = open();
      let most = 0;
      for (let round = 0; round < 50; round++) {
        forget(200);
        most = Math.max(most, open() - before);
        Bun.gc(true);
        await Bun.sleep(0);
      }
      for (let i = 0; i < 200 && open() > before; i++) {
        forget(0);
        Bun.gc(true);
        await Bun.sleep(5);
      }
      const good = /^ResourceWarning: unclosed .*AF_INET.*fd \d+|^ResourceWarning: unclosed .*fd \d+.*AF_INET/;
      console.log(
        JSON.stringify([open() - before, most >= 200, warnings.length, warnings.every((text) => good.test(text))]),
      );
    },
    [join(import.meta.dir, "help.ts")],
  );
  expect(JSON.parse(await forgetful.output())).toEqual([0, true, 10_000, true]);
});

test("a forgotten file of a closed socket is closed, with a ResourceWarning that says so", async () => {
  using forgetful = peer(async (net) => {
    const warnings: string[] = [];
    process.on("warning", ({ name, message }) => warnings.push(`${name}: ${message}`));
    const [ours, theirs] = [[] as InstanceType<typeof net.Socket>[], [] as number[]];
    const forget = (): void => {
      for (let i = 0; i < 100; i++) {
        const [a, b] = net.socketpair();
        b.setblocking(false);
        ours.push(b);
        theirs.push(a.fileno());
        a.makefile(["r", "w", "rb", "wb"][i % 4]!);
        a.close();
      }
      // Files that are closed need no warning; those of an open socket go with it.
      const [c, d] = net.socketpair();
      const file = c.makefile("rb");
      c.close();
      file.close();
      d.makefile("rb");
    };
    const open = (): number =>
      ours.filter((sock) => {
        try {
          return sock.recv(1).length > 0;
        } catch {
          return true; // EAGAIN: the other end is there
        }
      }).length;
    forget();
    const family = net.AddressFamily[ours[0]!.family];
    const before = open();
    for (let i = 0; i < 200 && (open() > 0 || warnings.length <= 100); i++) {
      Bun.gc(true);
      await Bun.sleep(5);
    }
    const texts = (pattern: RegExp): number => warnings.filter((text) => pattern.test(text)).length;
    const all = theirs.every((fd) =>
      warnings.includes(`ResourceWarning: unclosed file of a Socket <fd ${fd}, ${family} SOCK_STREAM>`),
    );
    console.log(
      JSON.stringify([
        before,
        open(),
        all,
        texts(/^ResourceWarning: unclosed file of a Socket </),
        texts(/^ResourceWarning: unclosed Socket </),
        warnings.length,
      ]),
    );
  }, []);
  expect(JSON.parse(await forgetful.output())).toEqual([100, 0, true, 100, 1, 101]);
});

test("sockets that were closed, detached or are still held are not touched", async () => {
  using careful = peer(async (net) => {
    const warnings: unknown[] = [];
    process.on("warning", (warning) => warnings.push(warning));
    const held = new net.Socket(net.AF_INET, net.SOCK_DGRAM);
    held.bind(["127.0.0.1", 0]);
    const detached: number[] = [];
    const work = (): void => {
      for (let i = 0; i < 300; i++) {
        new net.Socket(net.AF_INET).close();
        const [a, b] = net.socketpair();
        a.close();
        detached.push(b.detach());
      }
    };
    work();
    for (let i = 0; i < 10; i++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    let open = 0;
    for (const fd of detached) {
      net.close(fd); // EBADF if somebody closed it
      open++;
    }
    console.log(JSON.stringify([warnings.length, open, held.getsockname()[0]]));
  }, []);
  expect(JSON.parse(await careful.output())).toEqual([0, 300, "127.0.0.1"]);
});

test("a number that was reused is not closed by who had it before", async () => {
  using reuser = peer(async (net) => {
    const work = (): void => {
      for (let i = 0; i < 100; i++) new net.Socket(net.AF_INET).close();
    };
    work();
    const later = Array.from({ length: 100 }, () => net.createServer(["127.0.0.1", 0]));
    for (let i = 0; i < 10; i++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    for (const sock of later) sock.getsockname();
    console.log(later.length);
  }, []);
  expect(await reuser.output()).toBe("100");
});
