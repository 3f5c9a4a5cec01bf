/**
 * SHA-256 of files, computed by Linux's kernel over AF_ALG: the lines are those of sha256sum(1).
 *
 *   bun examples/sha256-kernel.ts <file>…
 *
 * For Linux with AF_ALG. What is sent with MSG_MORE belongs together; the piece without it is the last one.
 */
import { open } from "node:fs/promises";
import { AF_ALG, MSG_MORE, OSError, SOCK_SEQPACKET, Socket } from "berkeley-sockets";

const paths = process.argv.slice(2);
if (paths.length === 0 || paths[0]!.startsWith("-")) {
  console.error("usage: bun sha256-kernel.ts <file>…");
  process.exit(2);
}

try {
  using algorithm = new Socket(AF_ALG, SOCK_SEQPACKET);
  algorithm.bind(["hash", "sha256"]);
  for (const path of paths) {
    const [hash] = algorithm.accept(); // an operation of its own
    using _ = hash;
    await using file = await open(path);
    const piece = Buffer.alloc(65536);
    for (;;) {
      const { bytesRead } = await file.read(piece);
      hash.sendall(piece.subarray(0, bytesRead), bytesRead > 0 ? MSG_MORE : 0); // an empty last one ends it
      if (bytesRead === 0) break;
    }
    console.log(`${hash.recv(32).toString("hex")}  ${path}`);
  }
} catch (error) {
  if (!(error instanceof OSError) && (error as { syscall?: string }).syscall === undefined) throw error;
  console.error((error as Error).message);
  process.exit(1);
}
