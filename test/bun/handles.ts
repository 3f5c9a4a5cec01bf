/** Real handles of Bun and Node, one of each kind. */
import dgram from "node:dgram";
import http2 from "node:http2";
import net from "node:net";
import { readFileSync } from "node:fs";
import type { SocketHandle } from "../../src/bun.ts";
import { BlockingIOError, type Socket } from "../../src/index.ts";
import { isWindows, needs } from "../help.ts";

const probe = await Bun.udpSocket({ hostname: "127.0.0.1" });
const tellsDescriptors = !isWindows || ((probe as { fd?: number }).fd ?? -1) >= 0;
probe.close();

/** Tests of handles, where they tell their descriptors. */
export const telling = needs("descriptor in Bun's handles", tellsDescriptors);

/** Whether a descriptor is non-blocking. Linux only. */
export const isNonBlocking = (fd: number): boolean =>
  (parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))![1]!, 8) & 0o4000) !== 0;

/** What a socket receives from somebody in this thread, who has to have turns. */
export async function received(sock: Socket): Promise<string> {
  sock.settimeout(0);
  for (;;) {
    try {
      return sock.recv(100).toString();
    } catch (error) {
      if (!(error instanceof BlockingIOError)) throw error;
      await Bun.sleep(1);
    }
  }
}

/** A handle that is open, and what there is to it. */
export interface Opened {
  handle: SocketHandle;
  /** The port that it has. */
  port: number;
  /** Ends the handle, and what was opened with it. */
  close(): void | Promise<unknown>;
  /** Whether it works: what it gets or answers. */
  works(): Promise<string>;
}

/** Waits for an event of Node's. */
export function event(emitter: NodeJS.EventEmitter, name: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    emitter.once(name, (...args) => resolve(args));
    emitter.once("error", reject);
  });
}

/** A server of Bun's that answers what it gets. */
export function echoServer(): Bun.TCPSocketListener<undefined> {
  return Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: (sock, data) => void sock.write(data) } });
}

/** Connects to a port and says something: the first answer. */
async function ask(port: number): Promise<string> {
  const answer = Promise.withResolvers<string>();
  const sock = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, data) => answer.resolve(data.toString()),
      close: () => answer.reject(new Error("the connection was closed")),
      error: (_, error) => answer.reject(error),
    },
  });
  sock.write("ping");
  try {
    return await answer.promise;
  } finally {
    sock.end();
  }
}

/** Sends a datagram to a port. */
async function sendTo(port: number): Promise<void> {
  const sock = await Bun.udpSocket({ hostname: "127.0.0.1" });
  sock.send("ping", port, "127.0.0.1");
  sock.close();
}

/** Each kind of handle that tells its descriptor. */
export const kinds: Record<string, () => Promise<Opened>> = {
  "Bun.udpSocket": async () => {
    let got = Promise.withResolvers<string>();
    const socket = { data: (_: unknown, data: Buffer) => got.resolve(data.toString()) };
    const handle = await Bun.udpSocket({ hostname: "127.0.0.1", socket });
    return {
      handle,
      port: handle.port,
      close: () => handle.close(),
      async works() {
        got = Promise.withResolvers();
        await sendTo(handle.port);
        return got.promise;
      },
    };
  },

  "Bun.listen": async () => {
    const handle = echoServer();
    return { handle, port: handle.port, close: () => handle.stop(true), works: () => ask(handle.port) };
  },

  "Bun.connect": async () => {
    const server = echoServer();
    let got = Promise.withResolvers<string>();
    const handle = await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      socket: { data: (_, data) => got.resolve(data.toString()), close: () => got.reject(new Error("closed")) },
    });
    got.promise.catch(() => {});
    return {
      handle,
      port: handle.localPort,
      close() {
        handle.end();
        server.stop(true);
      },
      works() {
        got = Promise.withResolvers();
        handle.write("ping");
        return got.promise;
      },
    };
  },

  "a connection that Bun.listen accepted": async () => {
    const accepted = Promise.withResolvers<Bun.Socket>();
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { open: (sock) => accepted.resolve(sock as Bun.Socket), data() {} },
    });
    let got = Promise.withResolvers<string>();
    const client = await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      socket: { data: (_, data) => got.resolve(data.toString()) },
    });
    const handle = await accepted.promise;
    return {
      handle,
      port: server.port,
      close() {
        client.end();
        server.stop(true);
      },
      works() {
        got = Promise.withResolvers();
        handle.write("ping");
        return got.promise;
      },
    };
  },

  "net.Socket": async () => {
    const server = echoServer();
    const handle = net.connect(server.port, "127.0.0.1");
    await event(handle, "connect");
    return {
      handle,
      port: handle.localPort!,
      close() {
        handle.destroy();
        server.stop(true);
      },
      async works() {
        const answer = event(handle, "data");
        handle.write("ping");
        return String((await answer)[0]);
      },
    };
  },

  "net.Server": async () => {
    const handle = net.createServer((sock) => sock.pipe(sock));
    handle.listen(0, "127.0.0.1");
    await event(handle, "listening");
    const { port } = handle.address() as net.AddressInfo;
    return { handle, port, close: () => void handle.close(), works: () => ask(port) };
  },

  "dgram.Socket": async () => {
    const handle = dgram.createSocket("udp4");
    handle.bind(0, "127.0.0.1");
    await event(handle, "listening");
    const { port } = handle.address();
    return {
      handle,
      port,
      close: () => void handle.close(),
      async works() {
        const message = event(handle, "message");
        await sendTo(port);
        return String((await message)[0]);
      },
    };
  },

  "an http2 server": async () => {
    const handle = http2.createServer() as unknown as net.Server;
    handle.on("stream", (stream: http2.ServerHttp2Stream) => stream.end("ping"));
    handle.listen(0, "127.0.0.1");
    await event(handle, "listening");
    const { port } = handle.address() as net.AddressInfo;
    return {
      handle,
      port,
      close: () => void handle.close(),
      async works() {
        const session = http2.connect(`http://127.0.0.1:${port}`);
        const stream = session.request({ ":path": "/" });
        try {
          return String((await event(stream, "data"))[0]);
        } finally {
          session.close();
        }
      },
    };
  },
};
