/** The loops of hot-paths.ts here. Reads lines `kind call bytes size rounds batch`, answers nanoseconds an operation. */
import {
  type Address,
  AF_INET,
  AF_UNIX,
  createConnection,
  createServer,
  IPPROTO_TCP,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../../src/index.ts";

const now = Bun.nanoseconds;
const buffer = new Uint8Array(65536);

function connectPair(kind: string): [a: Socket, b: Socket, to: Address] {
  if (kind === "unix") return [...socketpair(), ""];
  if (kind === "tcp") {
    using server = createServer(["127.0.0.1", 0]);
    const a = createConnection(server.getsockname());
    a.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
    return [a, server.accept()[0], ""];
  }
  const a = new Socket(AF_INET, SOCK_DGRAM);
  const b = new Socket(AF_INET, SOCK_DGRAM);
  a.bind(["127.0.0.1", 0]);
  b.bind(["127.0.0.1", 0]);
  return [a, b, b.getsockname()];
}

function drain(sock: Socket, left: number): void {
  while (left > 0) left -= sock.recvInto(buffer, Math.min(left, buffer.length));
}

/** What a workload works with. */
interface Setting {
  a: Socket;
  b: Socket;
  to: Address;
  out: Uint8Array;
  into: Uint8Array;
  size: number;
  batch: number;
}

// One loop a function: the engine compiles each for what it does, whatever ran before it.
const calls: Record<string, (s: Setting) => void> = {
  send({ a, out, batch }) {
    for (let i = 0; i < batch; i++) a.send(out);
  },
  sendto({ a, out, to, batch }) {
    for (let i = 0; i < batch; i++) a.sendto(out, to);
  },
  sendmsg({ a, out, batch }) {
    for (let i = 0; i < batch; i++) a.sendmsg([out]);
  },
  recv({ b, size, batch }) {
    for (let i = 0; i < batch; i++) b.recv(size);
  },
  recvInto({ b, into, batch }) {
    for (let i = 0; i < batch; i++) b.recvInto(into);
  },
  recvfrom({ b, size, batch }) {
    for (let i = 0; i < batch; i++) b.recvfrom(size);
  },
  recvmsg({ b, size, batch }) {
    for (let i = 0; i < batch; i++) b.recvmsg(size);
  },
};

function fill({ a, out, to, batch }: Setting, addressed: boolean): void {
  for (let i = 0; i < batch; i++) {
    if (addressed) a.sendto(out, to);
    else a.send(out);
  }
}

function empty({ b, out, batch }: Setting, datagrams: boolean): void {
  if (datagrams) for (let i = 0; i < batch; i++) b.recvInto(buffer);
  else drain(b, out.length * batch);
}

function data(kind: string, op: string, length: number, size: number, rounds: number, batch: number): number {
  const [a, b, to] = connectPair(kind);
  const addressed = kind === "udp" && (op === "sendto" || op === "recvfrom");
  if (kind === "udp" && !addressed) a.connect(to);
  const setting = { a, b, to, out: new Uint8Array(length), into: new Uint8Array(size), size, batch };
  const call = calls[op]!;
  const sends = op.startsWith("send");
  let spent = 0;
  for (let round = 0; round < rounds; round++) {
    if (!sends) fill(setting, addressed);
    const start = now();
    call(setting);
    spent += now() - start;
    if (sends) empty(setting, kind === "udp");
  }
  a.close();
  b.close();
  return spent / (rounds * batch);
}

function acceptClose(kind: string, rounds: number, batch: number): number {
  const family = kind === "tcp" ? AF_INET : AF_UNIX;
  const server: Socket = new Socket(family, SOCK_STREAM);
  server.bind(kind === "tcp" ? ["127.0.0.1", 0] : "");
  server.listen(batch);
  let spent = 0;
  for (let round = 0; round < rounds; round++) {
    const clients: Socket[] = [];
    for (let i = 0; i < batch; i++) {
      const client: Socket = new Socket(family, SOCK_STREAM);
      client.connect(server.getsockname());
      clients.push(client);
    }
    const start = now();
    for (let i = 0; i < batch; i++) server.accept()[0].close();
    spent += now() - start;
    for (const client of clients) client.close();
  }
  server.close();
  return spent / (rounds * batch);
}

function option(kind: string, rounds: number, batch: number): number {
  const [a, b] = connectPair(kind);
  const start = now();
  for (let i = 0; i < rounds * batch; i++) a.getsockopt(SOL_SOCKET, SO_RCVBUF);
  const spent = now() - start;
  a.close();
  b.close();
  return spent / (rounds * batch);
}

for await (const line of console) {
  if (line === "") continue;
  const [kind = "", op = "", ...rest] = line.split(" ");
  const [length = 0, size = 0, rounds = 0, batch = 0] = rest.map(Number);
  const ns =
    op === "accept+close"
      ? acceptClose(kind, rounds, batch)
      : op === "getsockopt"
        ? option(kind, rounds, batch)
        : data(kind, op, length, size, rounds, batch);
  console.log(ns.toFixed(2));
}
