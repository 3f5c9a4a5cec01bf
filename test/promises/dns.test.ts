/** A real name server (dnsmasq), asked by hand: RFC 1035, by UDP and by TCP. */
import { afterAll, beforeAll, expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  createConnection,
  inet_ntop,
  MSG_PEEK,
  SHUT_WR,
  SOCK_DGRAM,
  Socket,
  TimeoutError,
} from "../../src/promises.ts";
import { needs, socketCount } from "../help.ts";
import { program, Server } from "./servers.ts";

const dnsmasq = program("dnsmasq");
const withServer = needs("dnsmasq: install Debian's dnsmasq-base", dnsmasq !== null);

const A = 1;
const TXT = 16;
const AAAA = 28;
const NOERROR = 0;
const NXDOMAIN = 3;

/** A text longer than a datagram without extensions may be (512 bytes). */
const long = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(200));
/** More names than one: what is asked for tells the answers apart. */
const COUNT = 300;
const addressOf = (i: number): string => `10.7.${i >> 8}.${i & 255}`;

let server: Server;
beforeAll(async () => {
  if (dnsmasq === null) return;
  server = await Server.start((port) => [
    dnsmasq,
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--pid-file=",
    "--no-resolv",
    "--no-hosts",
    "--no-daemon",
    "--bind-interfaces",
    "--listen-address=127.0.0.1",
    `--port=${port}`,
    "--local=/test/",
    "--address=/one.test/10.0.0.1",
    "--address=/one.test/fd00::1",
    "--txt-record=text.test,a text,and another",
    ...long.map((text) => `--txt-record=long.test,${text}`),
    ...Array.from({ length: COUNT }, (_, i) => `--address=/n${i}.test/${addressOf(i)}`),
  ]);
});
afterAll(async () => server?.[Symbol.asyncDispose]());

interface Answer {
  id: number;
  code: number;
  isCut: boolean;
  /** Addresses as text, texts as the lists of their strings. */
  records: (string | string[])[];
}

function query(id: number, name: string, type: number): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x0100, 2); // recursion desired
  head.writeUInt16BE(1, 4); // one question
  return Buffer.concat([head, ...labels, Buffer.of(0, 0, type, 0, 1)]);
}

function answer(message: Buffer): Answer {
  const [id, flags, questions, answers] = [0, 2, 4, 6].map((at) => message.readUInt16BE(at)) as [
    number,
    number,
    number,
    number,
  ];
  expect(flags >> 15).toBe(1);
  let at = 12;
  const skipName = (): void => {
    // The end of a name is an empty label, or a pointer to another one.
    for (let length = message[at++]!; length > 0; length = message[at++]!) {
      if (length >= 0xc0) return void at++;
      at += length;
    }
  };
  for (let i = 0; i < questions; i++) {
    skipName();
    at += 4;
  }
  const records: Answer["records"] = [];
  for (let i = 0; i < answers; i++) {
    skipName();
    const type = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 8);
    const data = message.subarray(at + 10, at + 10 + length);
    at += 10 + length;
    if (type === A) records.push(inet_ntop(AF_INET, data));
    else if (type === AAAA) records.push(inet_ntop(AF_INET6, data));
    else if (type === TXT) {
      const strings: string[] = [];
      for (let i = 0; i < data.length; i += 1 + data[i]!)
        strings.push(data.toString("latin1", i + 1, i + 1 + data[i]!));
      records.push(strings);
    }
  }
  return { id, code: flags & 15, isCut: (flags & 0x0200) !== 0, records };
}

/** A question by TCP: a message follows its length. */
async function sendByTcp(conn: Socket, message: Buffer): Promise<void> {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  expect(await conn.sendmsg([length, message])).toBe(message.length + 2);
}

async function exactly(conn: Socket, length: number): Promise<Buffer> {
  const whole = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const n = await conn.recvInto(whole.subarray(at));
    if (n === 0) throw new Error(`the connection ended after ${at} of ${length} bytes`);
    at += n;
  }
  return whole;
}

const receiveByTcp = async (conn: Socket): Promise<Answer> =>
  answer(await exactly(conn, (await exactly(conn, 2)).readUInt16BE()));

async function udp(): Promise<Socket<"AF_INET">> {
  const sock = new Socket(AF_INET, SOCK_DGRAM);
  await sock.connect(server.address);
  sock.settimeout(5);
  return sock;
}

withServer("addresses and texts, by UDP", async () => {
  using sock = await udp();
  let id = 0;
  const ask = async (name: string, type: number): Promise<Answer> => {
    await sock.send(query(++id, name, type));
    return answer(await sock.recv(512));
  };
  const fine = { code: NOERROR, isCut: false };
  expect(await ask("one.test", A)).toEqual({ id: 1, ...fine, records: ["10.0.0.1"] });
  expect(await ask("one.test", AAAA)).toEqual({ id: 2, ...fine, records: ["fd00::1"] });
  expect(await ask("text.test", TXT)).toEqual({ id: 3, ...fine, records: [["a text", "and another"]] });
  expect(await ask("nobody.test", A)).toEqual({ id: 4, code: NXDOMAIN, isCut: false, records: [] });
});

withServer("every kind of receive gets the same answer", async () => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.settimeout(5);
  const into = Buffer.alloc(600);
  const [head, rest] = [Buffer.alloc(12), Buffer.alloc(500)];
  const receives: (() => Promise<Buffer>)[] = [
    () => sock.recv(512),
    async () => into.subarray(0, await sock.recvInto(into)),
    async () => {
      const [data, from] = await sock.recvfrom(512);
      expect(from).toEqual(server.address as never);
      return data;
    },
    async () => into.subarray(100, 100 + (await sock.recvfromInto(into.subarray(100), 500))[0]),
    async () => (await sock.recvmsg(512))[0],
    async () => {
      const [n, , flags, from] = await sock.recvmsgInto([head, rest]);
      expect([flags, from]).toEqual([0, server.address as never]);
      return Buffer.concat([head, rest]).subarray(0, n);
    },
    async () => {
      const peeked = Buffer.from(await sock.recv(512, MSG_PEEK));
      expect((await sock.recv(512)).equals(peeked)).toBe(true);
      return peeked;
    },
  ];
  for (const [id, receive] of receives.entries()) {
    await sock.sendto(query(id, "one.test", A), server.address);
    expect(answer(await receive())).toEqual({ id, code: NOERROR, isCut: false, records: ["10.0.0.1"] });
  }
});

withServer("an answer that does not fit a datagram is cut, and comes whole by TCP", async () => {
  using sock = await udp();
  await sock.send(query(7, "long.test", TXT));
  const cut = answer(await sock.recv(2048));
  expect([cut.id, cut.isCut]).toEqual([7, true]);
  expect(cut.records.length).toBeLessThan(long.length);

  using conn = await createConnection(server.address, { timeout: 5 });
  await sendByTcp(conn, query(8, "long.test", TXT));
  const whole = await receiveByTcp(conn);
  expect([whole.id, whole.isCut]).toEqual([8, false]);
  expect(whole.records.map(String).sort()).toEqual(long);
  // Who has no more to ask is told no more.
  conn.shutdown(SHUT_WR);
  expect((await conn.recv(1)).length).toBe(0);
});

withServer("many questions on one connection, in parts of all sizes, without waiting for the answers", async () => {
  using conn = await createConnection(server.address, { timeout: 10 });
  const asked = Array.from({ length: 50 }, (_, i) => {
    const message = query(i, `n${i}.test`, A);
    return Buffer.concat([Buffer.of(0, message.length), message]);
  });
  const sending = (async () => {
    const all = Buffer.concat(asked);
    for (let at = 0, size = 1; at < all.length; at += size++) await conn.sendall(all.subarray(at, at + size));
  })();
  for (let i = 0; i < asked.length; i++) {
    expect(await receiveByTcp(conn)).toEqual({ id: i, code: NOERROR, isCut: false, records: [addressOf(i)] });
  }
  await sending;
});

/** Asks until an answer comes: datagrams may be lost. */
async function insist(sock: Socket, id: number, name: string): Promise<Answer> {
  for (let tries = 0; ; tries++) {
    await sock.send(query(id, name, A));
    try {
      return answer(await sock.recv(512));
    } catch (error) {
      if (!(error instanceof TimeoutError) || tries === 10) throw error;
    }
  }
}

withServer(`${COUNT} sockets at once, each with a question of its own`, async () => {
  const before = socketCount();
  await Promise.all(
    Array.from({ length: COUNT }, async (_, i) => {
      using sock = await udp();
      sock.settimeout(1);
      expect(await insist(sock, i, `n${i}.test`)).toMatchObject({ id: i, records: [addressOf(i)] });
    }),
  );
  expect(socketCount()).toBeLessThanOrEqual(before);
});

withServer(`${COUNT} questions by one socket, whose answers are told apart by their numbers`, async () => {
  using sock = await udp();
  sock.settimeout(0.5);
  const missing = new Set(Array.from({ length: COUNT }, (_, i) => i));
  for (let tries = 0; missing.size > 0; tries++) {
    expect(tries).toBeLessThan(20);
    const asking = (async () => {
      for (const i of missing) await sock.send(query(i, `n${i}.test`, A));
    })();
    try {
      while (missing.size > 0) {
        const { id, records } = answer(await sock.recv(512));
        expect(records).toEqual([addressOf(id)]);
        missing.delete(id);
      }
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
    await asking;
  }
});

withServer(
  "100 connections at once, each asked 5 times",
  async () => {
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        // It serves twenty at a time; the others wait until it takes them.
        using conn = await createConnection(server.address, { timeout: 30 });
        for (let round = 0; round < 5; round++) {
          await sendByTcp(conn, query(i, `n${i + round}.test`, A));
          expect(await receiveByTcp(conn)).toMatchObject({ id: i, records: [addressOf(i + round)] });
        }
      }),
    );
  },
  60_000,
);
