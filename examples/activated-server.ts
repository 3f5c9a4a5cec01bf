/**
 * A server that systemd starts when the first client comes, and hands the listening socket to: socket activation. It sends
 * back each line in capitals, and ends when nobody has come for some time; systemd listens on and starts it again.
 *
 *   systemd-socket-activate -l 127.0.0.1:2000 bun examples/activated-server.ts [seconds]
 *
 * Talk to it with `nc 127.0.0.1 2000`. As a service, with the two units that a socket and a service are:
 *
 *   # capitals.socket                # capitals.service
 *   [Socket]                         [Service]
 *   ListenStream=127.0.0.1:2000      ExecStart=/usr/local/bin/bun /srv/activated-server.ts
 */
import { listenFds } from "berkeley-sockets/bun";
import { createServer, Socket, TimeoutError } from "berkeley-sockets/promises";

const idle = Number(process.argv[2] ?? 60);
if (process.argv.length > 3 || !(idle > 0)) {
  console.error("usage: bun activated-server.ts [seconds]");
  process.exit(2);
}

const [passed] = listenFds();
// Started by hand it opens a socket of its own.
using server = passed === undefined ? createServer(["127.0.0.1", 0]) : new Socket({ fileno: passed.fd });
const [host, port] = server.getsockname() as [string, number];
console.log(`${passed === undefined ? "opened" : `was passed ${passed.name},`} ${host}:${port}`);

async function serve(conn: Socket): Promise<void> {
  using closing = conn;
  for await (const line of closing.lines()) await closing.sendall(`${line.toUpperCase()}\n`);
}

server.settimeout(idle);
const serving = new Set<Promise<void>>();
try {
  for (;;) {
    const [conn] = await server.accept();
    const done = serve(conn)
      .catch((error: Error) => console.error(error.message)) // one client's trouble is not the server's
      .finally(() => serving.delete(done));
    serving.add(done);
  }
} catch (error) {
  if (!(error instanceof TimeoutError)) throw error;
}
await Promise.all(serving);
console.log(`nobody came for ${idle} seconds`);
