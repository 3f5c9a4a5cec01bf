/** A wait that is given up at each point of each operation: nothing is left, nothing is lost, the socket goes on. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as net from "../../src/promises.ts";
import {
  AF_INET,
  AF_UNIX,
  createServer,
  type ServerSocket,
  SOCK_DGRAM,
  Socket,
  socketpair,
} from "../../src/promises.ts";
import {
  descriptors,
  Folder,
  hasUnixDatagrams,
  ignoresConnections,
  ignoring,
  leftOpenLater,
  passesDescriptors,
  Sockets,
} from "../help.ts";
import { ends, fill, freshTurn, take, tcp, turn } from "./help.ts";

/** A signal that counts who listens to it. */
class Counted {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  readonly reason = new Error("given up");
  listeners = 0;

  constructor() {
    const { addEventListener, removeEventListener } = this.signal;
    this.signal.addEventListener = (...args: unknown[]) => {
      this.listeners++;
      return Reflect.apply(addEventListener, this.signal, args);
    };
    this.signal.removeEventListener = (...args: unknown[]) => {
      this.listeners--;
      return Reflect.apply(removeEventListener, this.signal, args);
    };
  }

  abort(): void {
    this.#controller.abort(this.reason);
  }
}

/** An operation that has to wait. */
interface Waiting {
  call(signal: AbortSignal): Promise<unknown>;
  /** Lets it go on. */
  ready(): unknown;
  /** Checks that all is there that was sent, where the operation did it or not, and closes what is open. */
  end(done: boolean): Promise<void>;
}

/** One that receives the text "data" from the other end of a pair, behind somebody who receives what is before it. */
const receiving =
  (receive: (sock: Socket<"AF_INET">, signal: AbortSignal) => Promise<unknown>, before = "") =>
  async (): Promise<Waiting> => {
    const [a, b] = await tcp();
    const first = before === "" ? undefined : b.recv(before.length);
    let sent = false;
    const send = () => ((sent = true), a.sendall(`${before}data`));
    return {
      call: (signal) => receive(b, signal),
      ready: send,
      async end(done) {
        if (!sent) await send();
        await first;
        if (!done) expect(String(await take(b, 4))).toBe("data");
        await a.sendall("next");
        expect(String(await b.recv(100))).toBe("next");
        a.close();
        b.close();
      },
    };
  };

/** One that sends the text "data" on a connection that is full. */
const sending =
  (send: (sock: Socket<"AF_INET">, signal: AbortSignal) => Promise<unknown>) => async (): Promise<Waiting> => {
    const [a, b] = await ends();
    const before = await fill(a);
    return {
      call: (signal) => send(a, signal),
      ready: () => take(b, before),
      async end(done) {
        const rest = (async () => {
          const parts: Buffer[] = [];
          for await (const chunk of b) parts.push(chunk);
          return Buffer.concat(parts);
        })();
        await a.sendall("end");
        a.close();
        const said = String(await rest).replaceAll("\0", "");
        // What waits to be sent is sent in whole or not at all.
        expect(said).toBe(done ? "dataend" : "end");
        b.close();
      },
    };
  };

/** What streams do at a signal's end. */
async function listening<T>(signal: AbortSignal, onAbort: () => unknown, call: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort);
  try {
    return await call();
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

const operations: Record<string, () => Promise<Waiting>> = {
  recv: receiving((sock, signal) => sock.recv(4, { signal })),
  "recv with flags": receiving((sock, signal) => sock.recv(4, 0, { signal })),
  recvfrom: receiving((sock, signal) => sock.recvfrom(4, { signal })),
  recvInto: receiving((sock, signal) => sock.recvInto(new Uint8Array(4), { signal })),
  recvfromInto: receiving((sock, signal) => sock.recvfromInto(new Uint8Array(4), undefined, { signal })),
  recvmsg: receiving((sock, signal) => sock.recvmsg(4, 100, { signal })),
  recvmsgInto: receiving((sock, signal) => sock.recvmsgInto([new Uint8Array(4)], { signal })),
  chunks: receiving((sock, signal) => sock.chunks({ size: 4, signal }).next()),
  "recv behind another": receiving((sock, signal) => sock.recv(4, { signal }), "before"),
  lines: async () => {
    const [a, b] = await tcp();
    await a.sendall("da");
    let sent = false;
    const send = () => ((sent = true), a.sendall("ta\n"));
    return {
      call: (signal) => b.lines({ signal }).next(),
      ready: send,
      async end(done) {
        if (!sent) await send();
        await a.sendall("next\n");
        const lines = b.lines();
        if (!done) expect((await lines.next()).value).toBe("data");
        expect((await lines.next()).value).toBe("next");
        a.close();
        b.close();
      },
    };
  },
  readable: receiving(async (sock, signal) => {
    const reader = sock.readable.getReader();
    const { done } = await listening(
      signal,
      () => reader.cancel(),
      () => reader.read(),
    );
    if (done) throw signal.reason;
  }),
  "readable, BYOB": receiving(async (sock, signal) => {
    const reader = sock.readable.getReader({ mode: "byob" });
    const { done } = await listening(
      signal,
      () => reader.cancel(),
      () => reader.read(new Uint8Array(10)),
    );
    if (done) throw signal.reason;
  }),
  datagrams: async () => {
    const [a, b] = [new Socket(AF_INET, SOCK_DGRAM), new Socket(AF_INET, SOCK_DGRAM)];
    a.bind(["127.0.0.1", 0]);
    const items = a.datagrams();
    let sent = 0;
    const send = () => b.sendto(`${sent++}`, a.getsockname());
    return {
      call: (signal) => a.datagrams({ signal }).next(),
      ready: send,
      async end(done) {
        await send();
        if (!done && sent === 2) expect(String((await items.next()).value![0])).toBe("0");
        expect(String((await items.next()).value![0])).toBe(`${sent - 1}`);
        a.close();
        b.close();
      },
    };
  },
  send: sending((sock, signal) => sock.send("data", { signal })),
  sendall: sending((sock, signal) => sock.sendall("data", { signal })),
  sendmsg: sending((sock, signal) => sock.sendmsg(["da", "ta"], { signal })),
  sendfile: async () => {
    const folder = new Folder();
    await Bun.write(folder.file("data"), "data");
    const waiting = await sending((sock, signal) => sock.sendfile(folder.file("data"), { signal }))();
    return {
      ...waiting,
      async end(done) {
        await waiting.end(done);
        folder[Symbol.dispose]();
      },
    };
  },
  writable: sending(async (sock, signal) => {
    const writer = sock.writable.getWriter();
    await listening(
      signal,
      () => writer.abort(signal.reason),
      () => writer.write("data"),
    );
  }),
  accept: () => accepting((server, signal) => server.accept({ signal })),
  connections: () => accepting(async (server, signal) => (await server.connections({ signal }).next()).value!),
  getaddrinfo: () => asking((signal) => net.getaddrinfo("localhost", 80, { signal })),
  getnameinfo: () => asking((signal) => net.getnameinfo(["127.0.0.1", 80], 0, { signal })),
  gethostbyname: () => asking((signal) => net.gethostbyname("localhost", { signal })),
  gethostbyname_ex: () => asking((signal) => net.gethostbyname_ex("localhost", { signal })),
  gethostbyaddr: () => asking((signal) => net.gethostbyaddr("127.0.0.1", { signal })),
  getfqdn: () => asking((signal) => net.getfqdn("localhost", { signal })),
  createConnection: async () => {
    const server = createServer(["127.0.0.1", 0]);
    const made: Promise<Socket>[] = [];
    return {
      call(signal) {
        const promise = net.createConnection(["localhost", server.getsockname()[1]], { signal });
        made.push(promise);
        return promise;
      },
      ready: () => undefined,
      async end(done) {
        if (done) (await made[0]!).close();
        server.close();
      },
    };
  },
};

function asking(call: Waiting["call"]): Promise<Waiting> {
  return Promise.resolve({
    call,
    ready: () => undefined,
    end: async () => void (await call(new AbortController().signal)),
  });
}

async function accepting(
  accept: (server: ServerSocket<"AF_INET">, signal: AbortSignal) => Promise<[Socket, unknown]>,
): Promise<Waiting> {
  const server = createServer(["127.0.0.1", 0]);
  const client = new Socket(AF_INET);
  let accepted: Promise<[Socket, unknown]> | undefined;
  const connect = () => client.connect(server.getsockname());
  return {
    call: (signal) => (accepted = accept(server, signal)),
    ready: connect,
    async end(done) {
      await client.connectEx(server.getsockname()); // where it is not connected yet
      const [conn] = done ? await accepted! : await server.accept();
      expect(conn.getpeername()).toEqual(client.getsockname());
      for (const sock of [conn, client, server]) sock.close();
    },
  };
}

if (ignoresConnections()) {
  const others = new Sockets();
  let address: readonly [string, number] | undefined;
  afterAll(() => others[Symbol.dispose]());
  const connecting = (connect: (sock: Socket<"AF_INET">, signal: AbortSignal) => Promise<unknown>) => async () => {
    address ??= ignoring(others);
    await freshTurn();
    const sock = new Socket(AF_INET);
    const waiting: Waiting = {
      call: (signal) => connect(sock, signal),
      ready: () => undefined,
      async end() {
        sock.settimeout(0);
        expect(await sock.connectEx(address!)).toBe(net.EALREADY); // the attempt goes on
        sock.close();
      },
    };
    return waiting;
  };
  operations["connect"] = connecting((sock, signal) => sock.connect(address!, { signal }));
  operations["connectEx"] = connecting((sock, signal) => sock.connectEx(address!, { signal }));
  operations["createConnection, no answer"] = async () => {
    address ??= ignoring(others);
    return {
      call: (signal) => net.createConnection(address!, { signal }),
      ready: () => undefined,
      end: () => Promise.resolve(),
    };
  };
}
if (passesDescriptors) {
  operations["recvFds"] = async () => {
    const [a, b] = socketpair();
    let sent = 0;
    const send = () => (sent++, net.sendFds(a, ["x"], [a.fileno()]));
    let received: ReturnType<typeof net.recvFds> | undefined;
    return {
      call: (signal) => (received = net.recvFds(b, 10, 1, 0, { signal })),
      ready: send,
      async end(done) {
        if (sent === 0) await send();
        const [, fds] = await (done ? received! : net.recvFds(b, 10, 1));
        fds.forEach(net.close);
        a.close();
        b.close();
      },
    };
  };
  operations["sendFds"] = async () => {
    const [a, b] = socketpair();
    await fill(a);
    return {
      call: (signal) => net.sendFds(a, ["x"], [a.fileno()], 0, null, { signal }),
      ready: () => b.recv(1 << 20),
      end: async () => [a, b].forEach((sock) => sock.close()), // and descriptors in flight with them
    };
  };
}
if (hasUnixDatagrams) {
  operations["sendto"] = async () => {
    const folder = new Folder();
    const path = folder.file("receiver");
    const receiver = new Socket(AF_UNIX, SOCK_DGRAM);
    receiver.bind(path);
    const sock = new Socket(AF_UNIX, SOCK_DGRAM);
    sock.settimeout(0);
    let sent = 0;
    for (
      ;
      await sock.sendto("before", path).then(
        () => true,
        () => false,
      );
    )
      sent++;
    sock.settimeout(null);
    return {
      call: (signal) => sock.sendto("data", path, { signal }),
      ready: async () => void (sent--, await receiver.recv(10)),
      async end(done) {
        receiver.settimeout(0.2);
        for (; sent > 0; sent--) await receiver.recv(10);
        const next = await receiver.recv(10).then(String, (error: Error) => error.name);
        expect(next).toBe(done ? "data" : "TimeoutError");
        sock.close();
        receiver.close();
        folder[Symbol.dispose]();
      },
    };
  };
}

/** When it is given up; `ready` lets it go on. */
const points: Record<string, (abort: () => void, ready: () => unknown) => unknown> = {
  "at once": (abort) => abort(),
  "in a microtask": (abort) => queueMicrotask(abort),
  "after some microtasks": async (abort) => {
    for (let i = 0; i < 5; i++) await undefined;
    abort();
  },
  "in the next turn": (abort) => void setImmediate(abort),
  "after some milliseconds": (abort) => void setTimeout(abort, 3),
  "before it could go on, in the same turn": (abort, ready) => (abort(), ready()),
  "when it could go on, in the same turn": (abort, ready) => (ready(), abort()),
  "when it could go on, and a microtask": (abort, ready) => (ready(), queueMicrotask(abort)),
  "when it could go on, and the next turn": (abort, ready) => (ready(), void setImmediate(abort)),
  "when it could go on, and the loop was busy": (abort, ready) => (ready(), Bun.sleepSync(3), abort()),
};

// The poller's own descriptors, and those of the resolver.
beforeAll(async () => {
  const [a, b] = await tcp();
  const received = b.recv(1);
  await a.send("x");
  await received;
  a.close();
  b.close();
  await net.getaddrinfo("localhost", 80);
});

describe.each(Object.entries(operations))("%s", (operation, open) => {
  test("before the call: nothing is done", async () => {
    const waiting = await open();
    const given = new Counted();
    given.abort();
    const outcome = await waiting.call(given.signal).catch((error: unknown) => error);
    expect(outcome).toBe(given.reason);
    expect(given.listeners).toBe(0);
    if (!operation.startsWith("connect")) await waiting.end(false);
  });

  test.each(Object.entries(points))("%s", async (_point, giveUp) => {
    const before = descriptors();
    const waiting = await open();
    const given = new Counted();
    const settled = waiting.call(given.signal).then(
      () => true,
      (error: unknown) => {
        expect(error).toBe(given.reason);
        return false;
      },
    );
    let readied: unknown;
    await giveUp(
      () => given.abort(),
      () => (readied = waiting.ready()),
    );
    const done = await settled;
    await readied;
    expect(given.listeners).toBe(0);
    await waiting.end(done);
    // A thread of the resolver that was given up has files open until it has its answer: seconds, of a name server.
    expect(await leftOpenLater(before)).toEqual([]);
  });

  test("after it was done: nothing changes", async () => {
    if (/^connect(Ex)?$|no answer/.test(operation)) return; // nobody answers
    const waiting = await open();
    const given = new Counted();
    const promise = waiting.call(given.signal);
    await Promise.all([waiting.ready(), promise]);
    given.abort();
    await turn();
    expect(given.listeners).toBe(0);
    await waiting.end(true);
  });
});

test("a connection that is given up between the names and the first attempt is not made", async () => {
  using server = net.createServer(["127.0.0.1", 0]);
  const given = new Counted();
  const { signal } = given;
  // The answer of the resolver is there when nobody listens any more.
  const remove = signal.removeEventListener.bind(signal);
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    remove(...args);
    given.abort();
  };
  const outcome = await net.createConnection(server.getsockname(), { signal }).then(
    (conn) => conn.close(),
    (error: unknown) => error,
  );
  expect(outcome).toBe(given.reason);
});
