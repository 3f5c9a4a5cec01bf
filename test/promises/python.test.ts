/** Python's asyncio as the peer. */
import { expect } from "bun:test";
import { AF_INET, createConnection, createServer, SOCK_DGRAM, Socket } from "../../src/promises.ts";
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
