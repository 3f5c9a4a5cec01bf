/**
 * `Socket.sendfile`: a file's bytes on a stream, by sendfile(2) where the file is regular.
 */
import type { FileHandle } from "node:fs/promises";
import { descriptor, INT_MAX, text, wrongType } from "./args.ts";
import { EAGAIN, EBADF, EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, Errno, SOCK_STREAM } from "./constants.ts";
import { OSError, systemError, WOULD_BLOCK } from "./errors.ts";
import { shim } from "./native.ts";
import type { Socket } from "./socket.ts";

/** What `sendfile` takes: a path, a `Bun.file` of one, a `FileHandle`, or a descriptor. */
export type SendableFile = string | Blob | Pick<FileHandle, "fd"> | number;

/** `node:fs`, when a file is sent: to load it is a good part of what the import of this library costs. */
const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** Read at once where the system cannot send by itself. */
const CHUNK = 65536;

/**
 * @param offset - The first byte to send; where the file is not regular and it is 0, from its position on.
 * @param count - How many bytes, null for all.
 */
export function sendFile(sock: Socket, file: SendableFile, offset: number, count: number | null): number {
  for (const steps = sendingFile(sock, file, offset, count, sock.gettimeout()); ;) {
    const step = steps.next();
    if (step.done) return step.value;
    // Somebody else made its descriptor non-blocking.
    if (step.value === WOULD_BLOCK) steps.throw(systemError("sendfile", -EAGAIN));
  }
}

/**
 * Sends a file. Each step sends a part and is its number of bytes; it is {@link WOULD_BLOCK} where a non-blocking socket
 * takes nothing, and the number of bytes that were sent in all where it is the last.
 */
export function* sendingFile(
  sock: Socket,
  file: SendableFile,
  offset: number,
  count: number | null,
  timeout: number | null,
): Generator<typeof WOULD_BLOCK | number, number, undefined> {
  const source = sourceOf(file);
  if (sock.fileno() < 0) throw systemError("sendfile", -EBADF);
  if (sock.type !== SOCK_STREAM) throw new RangeError("sendfile: only SOCK_STREAM sockets can send files");
  if (timeout === 0) throw new RangeError("sendfile: the socket is non-blocking");
  if (typeof source === "number") return yield* sendFrom(sock, source, offset, count, true);
  const fd = ofFile("open", () => fs().openSync(source, "r"), source);
  try {
    return yield* sendFrom(sock, fd, offset, count, false);
  } finally {
    fs().closeSync(fd);
  }
}

/** A call of `node:fs`; what the system refuses is an OSError here as everywhere in the library. */
export function ofFile<T>(syscall: string, call: () => T, path?: string): T {
  try {
    return call();
  } catch (error) {
    // The name, not the number: on Windows node:fs has numbers of its own.
    const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
    if (!(error instanceof Error) || typeof code !== "string" || !("errno" in error)) throw error;
    const errno: unknown = Reflect.get(Errno, code);
    if (typeof errno === "number") throw systemError(syscall, -errno, path);
    const reason = error.message.replace(/^\w+: ([^,]*).*$/s, "$1"); // "EISDIR: illegal operation on a directory, read"
    throw new OSError({ errno: Math.abs(Number(error.errno)), code, syscall, reason, address: path });
  }
}

/** A path to open, or a descriptor that is open already. */
function sourceOf(file: unknown): string | number {
  if (typeof file === "string") return text(file, "file");
  if (typeof file === "number") {
    return descriptor(file, "file");
  }
  // A File's name is what its maker calls it, not a path of this machine.
  if (file instanceof File) throw wrongType("file", "a Bun.file, not a File in memory", file);
  if (file instanceof Blob) {
    const path: unknown = Reflect.get(file, "name");
    if (typeof path !== "string") throw wrongType("file", "a Bun.file of a path (or the descriptor itself)", file);
    // A slice has the name of the whole file, and does not tell where it begins. (A pipe has Infinity bytes.)
    const size = ofFile("stat", () => fs().statSync(path, { throwIfNoEntry: false })?.size, path);
    if (size !== undefined && file.size !== size && file.size !== Infinity) {
      throw wrongType(
        "file",
        "a whole file, as large as when its size was read (or its path; offset and count say which part)",
        file,
      );
    }
    return path;
  }
  const fd: unknown = typeof file === "object" && file !== null ? Reflect.get(file, "fd") : undefined;
  if (typeof fd === "number") return descriptor(fd, "file.fd");
  throw wrongType("file", "a path, a Bun.file, a FileHandle or a descriptor", file);
}

/** What the system says of a file that it cannot send by itself: most of those of /proc, say. */
const cannotSend = new Set([EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP]);

function* sendFrom(
  sock: Socket,
  fd: number,
  offset: number,
  count: number | null,
  keepPosition: boolean,
): Generator<typeof WOULD_BLOCK | number, number, undefined> {
  const regular = ofFile("fstat", () => fs().fstatSync(fd)).isFile();
  // Pipes and devices are read at their position.
  if (!regular && offset > 0) seek(fd, offset);
  let direct = regular;
  let chunk: Buffer | undefined;
  let sent = 0;
  try {
    while (count === null || sent < count) {
      const before = sent;
      const left = count === null ? INT_MAX : Math.min(count - sent, INT_MAX);
      if (direct) {
        const n = shim.bs_sendfile(sock.fileno(), fd, offset + sent, left, sock.gettimeout() ?? -1);
        if (n === 0) break;
        if (n > 0) sent += n;
        else if (n === -EAGAIN) yield WOULD_BLOCK;
        else if (sent === 0 && cannotSend.has(-n)) direct = false;
        else throw systemError("sendfile", n);
      } else {
        const into = (chunk ??= Buffer.allocUnsafeSlow(Math.min(left, CHUNK)));
        const position = regular ? offset + sent : null;
        const n = ofFile("read", () => fs().readSync(fd, into, 0, Math.min(left, into.length), position));
        if (n === 0) break;
        for (let at = 0; at < n;) {
          const left = into.subarray(at, n);
          const taken = shim.bs_send(sock.fileno(), left, left, 0, sock.gettimeout() ?? -1);
          if (taken === -EAGAIN) {
            yield WOULD_BLOCK;
            continue;
          }
          if (taken < 0) throw systemError("sendfile", taken);
          at += taken;
          sent += taken;
        }
      }
      yield sent - before;
    }
  } finally {
    if (regular && keepPosition) shim.bs_seek(fd, offset + sent);
  }
  return sent;
}

function seek(fd: number, offset: number): void {
  const r = shim.bs_seek(fd, offset);
  if (r < 0) throw systemError("lseek", r);
}
