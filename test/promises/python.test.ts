/** Python's asyncio as the peer. */
import { expect } from "bun:test";
import {
  AF_INET,
  createConnection,
  createServer,
  SHUT_WR,
  SOCK_DGRAM,
  Socket,
  TimeoutError,
} from "../../src/promises.ts";
import { needs, python } from "../help.ts";

const withPython = needs("python3", python !== null);

const client = `
import asyncio, sys
async def talk(port, i):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for n in range(50):
        message = b"%d:%d" % (i, n) + b"." * (n * 37)
        writer.write(len(message).to_bytes(4, "big") + message)
        await writer.drain()
        size = int.from_bytes(await reader.readexactly(4), "big")
        assert await reader.readexactly(size) == message
    writer.write_eof()
    assert await reader.read() == b"bye"
    writer.close()
async def main():
    await asyncio.gather(*(talk(int(sys.argv[1]), i) for i in range(50)))
    print("ok")
asyncio.run(main())
`;

withPython("50 connections of asyncio, echoed", async () => {
  const server = createServer(["127.0.0.1", 0]);
  const serving = (async () => {
    for await (const [conn] of server) {
      void (async () => {
        await using closing = conn;
        for await (const chunk of closing) await closing.sendall(chunk);
        await closing.sendall("bye");
      })();
    }
  })();
  const child = Bun.spawn([python!, "-c", client, `${server.getsockname()[1]}`]);
  expect(await child.stdout.text()).toBe("ok\n");
  server.close();
  await serving;
});

const echo = `
import asyncio
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, address): self.transport.sendto(data, address)
async def main():
    async def talk(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    print(server.sockets[0].getsockname()[1], transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.sleep(30)
asyncio.run(main())
`;

withPython("servers of asyncio: lines by TCP, and datagrams", async () => {
  const child = Bun.spawn([python!, "-c", echo]);
  try {
    let said = "";
    for (const reader = child.stdout.getReader(); !said.includes("\n");) {
      const { value, done } = await reader.read();
      if (done) break;
      said += Buffer.from(value).toString();
    }
    const [tcp, udp] = said.trim().split(" ").map(Number) as [number, number];

    using conn = await createConnection(["127.0.0.1", tcp], { timeout: 10 });
    await conn.sendall(Array.from({ length: 500 }, (_, i) => `line ${i}\n`).join(""));
    let at = 0;
    for await (const line of conn.lines()) {
      expect(line).toBe(`LINE ${at}`);
      if (++at === 500) break;
    }

    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.settimeout(10);
    for (let i = 0; i < 100; i++) {
      await sock.sendto(`${i}`, ["127.0.0.1", udp]);
      const [data, from] = await sock.recvfrom(100);
      expect([String(data), from]).toEqual([`${i}`, ["127.0.0.1", udp]]);
    }
  } finally {
    child.kill();
  }
});

const heavy = `
import asyncio, hashlib
PAUSE = 0.2
async def sink(reader, writer):
    await asyncio.sleep(PAUSE)  # its buffer is full by then, and it reads no more
    digest, size = hashlib.sha1(), 0
    while data := await reader.read(100000):
        digest.update(data)
        size += len(data)
    writer.write(b"%d %s\\n" % (size, digest.hexdigest().encode()))
    await writer.drain()
    writer.close()
async def source(reader, writer):
    digest = hashlib.sha1()
    for i in range(200):
        data = bytes([i]) * 100003
        digest.update(data)
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    print(digest.hexdigest(), flush=True)
    await reader.read()
    writer.close()
async def resetter(reader, writer):
    writer.write(b"before")
    await writer.drain()
    await reader.readexactly(1)
    import socket, struct
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
async def main():
    ports = []
    for talk in (sink, source, resetter):
        server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=65536)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
`;

withPython("20 MB each way, a reader that pauses, a connection that is reset", async () => {
  await using child = Bun.spawn([python!, "-c", heavy]);
  const said = (async function* () {
    let rest = "";
    for await (const part of child.stdout) {
      const lines = (rest + Buffer.from(part).toString()).split("\n");
      rest = lines.pop()!;
      yield* lines;
    }
  })();
  const [sink, source, resetter] = (await said.next()).value!.split(" ").map(Number) as [number, number, number];
  const open = (port: number) => createConnection(["127.0.0.1", port], { timeout: 20 });

  const data = Buffer.from(Uint32Array.from({ length: 5_000_000 }, (_, i) => Math.imul(i, 2654435761)).buffer);
  using toSink = await open(sink); // its pause begins
  const started = performance.now();
  await toSink.sendall(data);
  expect(performance.now() - started).toBeGreaterThan(100); // it was held back
  toSink.shutdown(SHUT_WR);
  expect((await toSink.lines().next()).value).toBe(`${data.length} ${Bun.SHA1.hash(data, "hex")}`);

  using fromSource = await open(source);
  const hash = new Bun.CryptoHasher("sha1");
  for await (const chunk of fromSource.readable) hash.update(chunk);
  expect((await said.next()).value).toBe(hash.digest("hex"));

  using reset = await open(resetter);
  expect(String(await reset.recv(100))).toBe("before");
  const received = reset.recv(100).then(String, (error: Error) => error.name);
  await reset.send("x");
  expect(await received).toBe("ConnectionResetError");
  child.kill();
});

withPython("300 datagram sockets at once, answered by one of asyncio", async () => {
  await using child = Bun.spawn([python!, "-c", echo]);
  const reader = child.stdout.getReader();
  let said = "";
  while (!said.includes("\n")) said += Buffer.from((await reader.read()).value!).toString();
  const port = Number(said.trim().split(" ")[1]);
  await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      using sock = new Socket(AF_INET, SOCK_DGRAM);
      await sock.connect(["127.0.0.1", port]);
      sock.settimeout(1);
      for (let tries = 0; ; tries++) {
        await sock.send(`${i}`);
        try {
          expect(String(await sock.recv(100))).toBe(`${i}`);
          return;
        } catch (error) {
          if (!(error instanceof TimeoutError) || tries === 10) throw error;
        }
      }
    }),
  );
  child.kill();
});
