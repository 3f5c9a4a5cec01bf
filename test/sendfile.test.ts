/** Files over streams. */
import { expect } from "bun:test";
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { AF_INET, SHUT_WR, SO_SNDBUF, SOCK_DGRAM, SOL_SOCKET } from "../src/index.ts";
import { attempt, codeOf, needs, peer, receiveAll, test, thrown, type Socket } from "./faces.ts";
import { Folder, isLinux, isWindows, slowness } from "./help.ts";

/** A file of the bytes 0, 1, 2 …, its path and its content. */
function sample(folder: Folder, size: number): [path: string, content: Buffer] {
  const content = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) % 251));
  writeFileSync(folder.file("sample"), content);
  return [folder.file("sample"), content];
}

/** What the file's next byte is: where its position stands. */
function nextByte(fd: number): number {
  const byte = Buffer.alloc(1);
  return readSync(fd, byte) === 1 ? byte[0]! : -1;
}

/** A process that reads descriptor 3 to its end, and tells how much that was and its hash. */
const reader = (sock: Socket) =>
  peer(
    (net) => {
      const reading = net.given[0]!;
      const hash = new Bun.CryptoHasher("sha1");
      let size = 0;
      for (let part = reading.recv(65536); part.length > 0; part = reading.recv(65536)) {
        hash.update(part);
        size += part.length;
      }
      console.log(size, hash.digest("hex"));
    },
    [],
    [sock],
  );

const sha1 = (data: Buffer): string => new Bun.CryptoHasher("sha1").update(data).digest("hex");

test("a file by its path, a Bun.file, a FileHandle and a descriptor", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [path, content] = sample(folder, 10_000);
  const handle = await open(path);
  const fd = openSync(path, "r");
  for (const file of [path, Bun.file(path), handle, fd]) {
    const [a, b] = own.tcp();
    expect(await a.sendfile(file)).toBe(content.length);
    a.shutdown(SHUT_WR);
    expect((await receiveAll(b)).equals(content)).toBe(true);
  }
  await handle.close();
  closeSync(fd);
});

test("a part of a file: from an offset on, and so many bytes", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [path, content] = sample(folder, 1000);
  const [a, b] = own.pair();
  for (const [offset, count, expected] of [
    [0, null, 1000],
    [100, null, 900],
    [100, 50, 50],
    [990, 50, 10],
    [1000, null, 0],
    [5000, 10, 0],
    [0, 1, 1],
  ] as const) {
    expect(await a.sendfile(path, offset, count)).toBe(expected);
    if (expected > 0) expect((await b.recv(2000)).equals(content.subarray(offset, offset + expected))).toBe(true);
  }
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
});

test("the position of a descriptor is behind what was sent", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [path, content] = sample(folder, 1000);
  const fd = openSync(path, "r");
  const [a] = own.pair();
  expect(await a.sendfile(fd, 10, 20)).toBe(20);
  const first = nextByte(fd);
  expect(await a.sendfile(fd)).toBe(1000); // from the offset 0, not from the position
  const second = nextByte(fd);
  closeSync(fd);
  // On Windows it stays where it was.
  expect([first, second]).toEqual(isWindows ? [content[0]!, content[1]!] : [content[30]!, -1]);
});

test("the position tells what was sent before an error", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [path, content] = sample(folder, 8_000_000);
  const fd = openSync(path, "r");
  const [a, b] = own.pair();
  a.settimeout(0.05);
  const error = await thrown(() => a.sendfile(fd, 7));
  expect(error).toMatchObject({ name: "TimeoutError", syscall: "sendfile" });
  a.shutdown(SHUT_WR);
  const got = await receiveAll(b);
  expect(got.length).toBeGreaterThan(0);
  expect(got.length).toBeLessThan(content.length);
  expect(got.equals(content.subarray(7, 7 + got.length))).toBe(true);
  const first = nextByte(fd);
  const code = await codeOf(() => a.sendfile(fd, 5));
  const second = nextByte(fd);
  closeSync(fd);
  expect(code).toBe(isWindows ? "ESHUTDOWN" : "EPIPE");
  expect([first, second]).toEqual(isWindows ? [content[0]!, content[1]!] : [content[7 + got.length]!, content[5]!]);
});

test("a file that is larger than all buffers, to a process that reads it", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [path, content] = sample(folder, 8_000_001);
  for (const timeout of [null, 5 * slowness]) {
    const [a, b] = own.tcp();
    a.setsockopt(SOL_SOCKET, SO_SNDBUF, 65536);
    using reading = reader(b);
    a.settimeout(timeout);
    expect(await a.sendfile(path)).toBe(content.length);
    a.close();
    expect(await reading.output()).toBe(`${content.length} ${sha1(content)}`);
  }
});

test("an empty file is nothing to send", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  writeFileSync(folder.file("empty"), "");
  const [a, b] = own.pair();
  expect(await a.sendfile(folder.file("empty"))).toBe(0);
  expect(await a.sendfile(Bun.file(folder.file("empty")))).toBe(0);
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
});

needs("/proc", isLinux)("a file of /proc, whose size is said to be 0", async (net) => {
  using own = new net.Sockets();
  for (const file of ["/proc/self/status", Bun.file("/proc/self/status")]) {
    const [a, b] = own.pair();
    const sent = await a.sendfile(file);
    a.close();
    const got = await receiveAll(b);
    expect(got.length).toBe(sent);
    expect(got.toString()).toContain(`Pid:\t${process.pid}\n`);
  }
});

needs("/proc", isLinux)("the position of a file of /proc is behind what was sent, too", async (net) => {
  using own = new net.Sockets();
  const fd = openSync("/proc/self/status", "r");
  const [a, b] = own.pair();
  expect(await a.sendfile(fd, 2, 4)).toBe(4);
  expect((await b.recv(100)).toString()).toBe("me:\t");
  const expected = readFileSync("/proc/self/status")[6]!;
  expect(nextByte(fd)).toBe(expected);
  closeSync(fd);
});

needs("named pipe of the file system", !isWindows)("a pipe is read to its end, or as far as asked for", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  expect(Bun.spawnSync(["mkfifo", folder.file("pipe")]).exitCode).toBe(0);
  const big = Buffer.alloc(300_000, "0123456789");
  writeFileSync(folder.file("big"), big);
  const write = () => Bun.spawn(["sh", "-c", 'cat "$1" > "$0"', folder.file("pipe"), folder.file("big")]);
  const [a, b] = own.pair();
  using reading = reader(b);
  {
    await using _writer = write();
    expect(await a.sendfile(folder.file("pipe"))).toBe(big.length);
  }
  {
    await using _writer = write();
    expect(await a.sendfile(folder.file("pipe"), 0, 70_000)).toBe(70_000);
  }
  a.close();
  const all = Buffer.concat([big, big.subarray(0, 70_000)]);
  expect(await reading.output()).toBe(`${all.length} ${sha1(all)}`);
});

needs("socket that is a file's descriptor, too", !isWindows)("a pipe has no offset", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  expect(await codeOf(() => a.sendfile(b.fileno(), 5))).toBe("ESPIPE");
});

test("a slice of a file is refused: it does not tell where it begins", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [path] = sample(folder, 1000);
  const [a, b] = own.pair();
  for (const part of [Bun.file(path).slice(10, 20), Bun.file(path).slice(10), Bun.file(path).slice(0, 10)]) {
    await expect(attempt(() => a.sendfile(part))).rejects.toThrow(TypeError);
  }
  await expect(attempt(() => a.sendfile(new Blob(["in memory"])))).rejects.toThrow(TypeError);
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
});

test("only streams send files, and not without waiting", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair(SOCK_DGRAM);
  await expect(attempt(() => a.sendfile(import.meta.path))).rejects.toThrow(RangeError);
  using datagram = new net.Socket(AF_INET, SOCK_DGRAM);
  await expect(attempt(() => datagram.sendfile(import.meta.path))).rejects.toThrow(RangeError);
  const [b] = own.pair();
  b.setblocking(false);
  await expect(attempt(() => b.sendfile(import.meta.path))).rejects.toThrow(RangeError);
});

test("a file that is not there is an error of the file system; a count of 0 is a RangeError", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  await expect(attempt(() => a.sendfile("/nowhere/at all"))).rejects.toThrow("ENOENT");
  await expect(attempt(() => a.sendfile(import.meta.path, 0, 0))).rejects.toThrow(RangeError);
  await expect(attempt(() => a.sendfile(import.meta.path, -1))).rejects.toThrow(RangeError);
});
