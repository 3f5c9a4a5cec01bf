/**
 * Shared memory by descriptor, the way a Wayland compositor hands its clients a keymap: the server sends a message of a
 * few bytes and, with it, the descriptor of a file in memory. The client maps it, and both see what either writes.
 *
 *   bun examples/pass-fd.ts serve <path>      listens at a path of the file system
 *   bun examples/pass-fd.ts get <path>        gets the memory, reads it, writes a line into it
 *
 * Not on Windows, where no message carries descriptors.
 */
import { closeSync, existsSync, ftruncateSync, openSync, readSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AF_UNIX, OSError, recvFds, SCM_RIGHTS, sendFds, Socket } from "berkeley-sockets";

const SIZE = 4096;
const ANSWER = 2048; // where the client writes

/** A file without a name, in memory where the system has a place for that. It lives while somebody has it open. */
function sharedMemory(size: number): number {
  const folder = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const path = join(folder, `pass-fd-${crypto.randomUUID()}`);
  const fd = openSync(path, "wx+", 0o600);
  unlinkSync(path);
  ftruncateSync(fd, size);
  return fd;
}

/** The text at an offset, up to the NUL behind it. */
function textAt(memory: Uint8Array, offset: number): string {
  return Buffer.from(memory.subarray(offset, memory.indexOf(0, offset))).toString();
}

function serve(path: string): never {
  const memory = sharedMemory(SIZE);
  writeSync(memory, "This memory is the server's.", 0);
  using server = new Socket(AF_UNIX);
  server.bind(path);
  server.listen();
  console.log(`listening at ${server.getsockname()}`);
  for (;;) {
    const [conn] = server.accept();
    using _ = conn;
    try {
      sendFds(conn, [JSON.stringify({ size: SIZE })], [memory]); // the client gets a descriptor of its own
      conn.recv(1024); // the client says that it has written
      const answer = Buffer.alloc(SIZE - ANSWER);
      readSync(memory, answer, 0, answer.length, ANSWER);
      console.log(`the client wrote: ${textAt(answer, 0)}`);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
    }
  }
}

function get(path: string): void {
  using sock = new Socket(AF_UNIX);
  sock.settimeout(10);
  sock.connect(path);
  const [message, [fd]] = recvFds(sock, 1024, 1);
  if (fd === undefined) throw new Error("the server sent no descriptor");
  console.log(`got descriptor ${fd} with ${message}`);

  const memory = Bun.mmap(`/dev/fd/${fd}`); // the same pages that the server has
  closeSync(fd); // the mapping stays
  console.log(`read: ${textAt(memory, 0)}`);
  memory.set(Buffer.from(`Greetings from process ${process.pid}.\0`), ANSWER);
  sock.sendall("written");
}

const [what, path] = process.argv.slice(2);
if (path === undefined || process.argv.length !== 4 || (what !== "serve" && what !== "get")) {
  console.error("usage: bun pass-fd.ts serve|get <path>");
  process.exit(2);
}
if (SCM_RIGHTS === undefined) {
  console.error(`no message carries descriptors on ${process.platform}`);
  process.exit(1);
}
if (what === "serve") {
  rmSync(path, { force: true }); // what an earlier server left
  serve(path);
} else {
  get(path);
}
