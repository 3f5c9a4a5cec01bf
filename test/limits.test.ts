/** No more descriptors: what is refused, what is not lost, and what works again afterwards. */
import { expect } from "bun:test";
import { isWindows, limitedPeer, needs } from "./help.ts";

const limited = needs("limit on a process's descriptors", !isWindows);

limited("EMFILE is thrown, and is over when something was closed", async () => {
  using poor = limitedPeer(
    64,
    (net) => {
      const all: import("../src/index.ts").Socket[] = [];
      const until = (call: () => unknown): string => {
        try {
          for (let i = 0; i < 1000; i++) call();
        } catch (error) {
          const { code, syscall } = error as import("../src/index.ts").OSError;
          return `${syscall} ${code}`;
        }
        return "no limit";
      };
      const first = new net.Socket(net.AF_INET);
      const seen = [until(() => all.push(new net.Socket(net.AF_INET)))];
      seen.push(until(() => net.socketpair()));
      seen.push(until(() => first.dup()));
      seen.push(until(() => net.dup(first.fileno())));
      seen.push(until(() => net.fromfd(first.fileno(), net.AF_INET, net.SOCK_STREAM)));
      seen.push(until(() => net.createServer(["127.0.0.1", 0])));
      const many = all.length;
      for (const sock of all) sock.close();
      all.length = 0;
      seen.push(until(() => all.push(...net.socketpair())));
      console.log(JSON.stringify([many > 20, many < 64, all.length > 20, seen]));
    },
    [],
  );
  expect(JSON.parse(await poor.output())).toEqual([
    true,
    true,
    true,
    [
      "socket EMFILE",
      "socketpair EMFILE",
      "dup EMFILE",
      "dup EMFILE",
      "dup EMFILE",
      "socket EMFILE",
      "socketpair EMFILE",
    ],
  ]);
});

limited("a connection that could not be accepted for want of descriptors is accepted later", async () => {
  using poor = limitedPeer(
    64,
    (net) => {
      const server = net.createServer(["127.0.0.1", 0]);
      server.settimeout(5);
      const client = net.createConnection(server.getsockname());
      client.sendall("patient");
      const all: import("../src/index.ts").Socket[] = [];
      const full = (): boolean => {
        try {
          all.push(new net.Socket(net.AF_INET));
          return false;
        } catch {
          return true;
        }
      };
      while (!full());
      let code = "accepted";
      try {
        server.accept();
      } catch (error) {
        code = (error as import("../src/index.ts").OSError).code;
      }
      for (const sock of all) sock.close();
      const [conn] = server.accept();
      console.log(code, conn.recv(100).toString());
    },
    [],
  );
  expect(await poor.output()).toBe("EMFILE patient");
});

limited("of descriptors that come when there is room for some, those are delivered and none leaks", async () => {
  using poor = limitedPeer(
    64,
    (net) => {
      const [a, b] = net.socketpair();
      net.sendFds(a, ["three"], [0, 1, 2]);
      const all: import("../src/index.ts").Socket[] = [];
      const full = (): boolean => {
        try {
          all.push(new net.Socket(net.AF_INET));
          return false;
        } catch {
          return true;
        }
      };
      while (!full());
      all.pop()!.close();
      const [data, fds, flags] = net.recvFds(b, 100, 3);
      const fullAgain = full();
      for (const fd of fds) net.close(fd);
      const free = [full(), full()];
      console.log(JSON.stringify([data.toString(), fds.length, (flags & net.MSG_CTRUNC) !== 0, fullAgain, free]));
    },
    [],
  );
  expect(JSON.parse(await poor.output())).toEqual(["three", 1, true, true, [false, true]]);
});
