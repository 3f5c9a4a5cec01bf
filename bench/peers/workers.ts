/**
 * Workers that share a port, each with its own socket (`SO_REUSEPORT`): `workers.ts <count> <bytes> <ms>` has FILLER send to
 * them as fast as it can, and prints nanoseconds a received packet and the share that was lost.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { AF_INET, SO_RCVBUF, SO_REUSEPORT, SOCK_DGRAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";

/** What a Worker is given. */
interface Share {
  fileno: number;
  /** One number: how many packets came, of all Workers. */
  received: BigInt64Array;
}

if (isMainThread) await main(process.argv.slice(2).map(Number));
else receive(workerData as Share);

function receive({ fileno, received }: Share): void {
  const sock = new Socket<"AF_INET">({ fileno });
  const batch = new MessageBatch(sock, { capacity: 64, size: 2048 });
  for (;;) Atomics.add(received, 0, BigInt(sock.recvBatch(batch)));
}

async function main([count = 0, bytes = 0, ms = 0]: number[]): Promise<void> {
  const received = new BigInt64Array(new SharedArrayBuffer(8));
  let port = 0;
  for (let i = 0; i < count; i++) {
    const sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
    sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    sock.bind(["127.0.0.1", port]);
    port = sock.getsockname()[1];
    const worker = new Worker(import.meta.path, { workerData: { fileno: sock.detach(), received } satisfies Share });
    await new Promise((resolve) => worker.once("online", resolve));
  }
  let sent = 0;
  let came = 0;
  for (let turn = 0; turn < 2; turn++) {
    // The first warms up.
    Atomics.store(received, 0, 0n);
    const flood = Bun.spawn([process.env["FILLER"]!, "flood", String(port), String(bytes), String(ms)]);
    sent = Number(await flood.stdout.text());
    came = -1;
    while (came !== (came = Number(Atomics.load(received, 0)))) await Bun.sleep(100); // what is queued is still taken
  }
  console.log((ms * 1e6) / came, 1 - came / sent);
  process.exit(); // they block
}
