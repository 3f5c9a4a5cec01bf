/**
 * A blocking server beside a live program: the server waits in a Worker, whose thread may stand still, while timers and
 * everything else go on in the main thread.
 *
 *   bun examples/worker-server.ts <port>      0 is any free port
 *
 * Talk to it with `nc 127.0.0.1 <port>`: it answers each line in capitals. Ctrl-C ends it.
 */
import { createServer, OSError, type Socket } from "berkeley-sockets";

/** What the Worker tells the main thread. */
type Report = { port: number } | { client: string; bytes: number };

if (Bun.isMainThread) main();
else serve(Number(process.argv[2]));

function main(): void {
  const port = Number(process.argv[2]);
  if (process.argv.length !== 3 || !Number.isInteger(port) || port < 0 || port > 65535) {
    console.error("usage: bun worker-server.ts <port>");
    process.exit(2);
  }
  const worker = new Worker(import.meta.url, { argv: [String(port)] });
  worker.onmessage = ({ data }: MessageEvent<Report>) => {
    if ("port" in data) console.log(`listening on 127.0.0.1:${data.port}`);
    else console.log(`served ${data.bytes} bytes to ${data.client}`);
  };
  worker.onerror = (event) => {
    console.error(event.message);
    process.exit(1);
  };
  let ticks = 0;
  setInterval(() => console.log(`tick ${++ticks}`), 200);
}

function serve(port: number): void {
  using server = createServer(["127.0.0.1", port]);
  postMessage({ port: server.getsockname()[1] } satisfies Report);
  for (;;) {
    const [conn, [host, clientPort]] = server.accept();
    using _ = conn;
    postMessage({ client: `${host}:${clientPort}`, bytes: answer(conn) } satisfies Report);
  }
}

/** Sends everything back in capitals, and counts it. */
function answer(conn: Socket): number {
  let bytes = 0;
  try {
    for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) {
      conn.sendall(data.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte))); // a to z
      bytes += data.length;
    }
  } catch (error) {
    if (!(error instanceof OSError)) throw error; // the client went away
  }
  return bytes;
}
