/** `Socket.makefile`: what its files promise beyond CPython's, which `differential/makefile.test.ts` compares them with. */
import { describe, expect, test } from "bun:test";
import { fstatSync } from "node:fs";
import { EOL } from "node:os";
import {
  BlockingIOError,
  BrokenPipeError,
  close,
  type FileOptions,
  OSError,
  SHUT_WR,
  SO_SNDBUF,
  type Socket,
  socketpair,
  type SocketFile,
  SOL_SOCKET,
  TimeoutError,
} from "../src/index.ts";
import { BufferedSocketFile } from "../src/bufferedfile.ts";
import { RawSocketFile } from "../src/rawfile.ts";
import { type Newline, TextSocketFile } from "../src/textfile.ts";
import { codeOf, elapsed, fill, isWindows, needs, peer, receiveAll, slowness, Sockets, thrown } from "./help.ts";

/** Sockets whose descriptors are closed at the end of their scope, whatever files are still open. */
class Ends extends Sockets {
  readonly #sockets: Socket[] = [];

  override add<S extends Socket>(sock: S): S {
    this.#sockets.push(sock);
    return sock;
  }

  override [Symbol.dispose](): void {
    for (const sock of this.#sockets) {
      const fd = sock.detach();
      if (fd >= 0) close(fd);
    }
  }
}

/** The end that was given these bytes and will get no more, of a connection. */
function given(own: Ends, data: string | Uint8Array): Socket {
  const [a, b] = own.pair();
  b.send(data);
  b.shutdown(SHUT_WR);
  return a;
}

/** Everything that has come to the other end by now. Leaves it non-blocking. */
function arrivedBytes(sock: Socket): Buffer {
  const parts: Buffer[] = [];
  sock.setblocking(false);
  try {
    for (let part = sock.recv(1 << 20); part.length > 0; part = sock.recv(1 << 20)) parts.push(part);
  } catch (error) {
    if (!(error instanceof BlockingIOError)) throw error;
  }
  return Buffer.concat(parts);
}

const arrived = (sock: Socket): string => arrivedBytes(sock).toString();

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

describe("the kind of file", () => {
  test("follows from the mode and the buffering, for the compiler too", () => {
    using own = new Ends();
    const [sock] = own.pair();
    const text: TextSocketFile = sock.makefile();
    const both: TextSocketFile = sock.makefile("rw", 100);
    const buffered: BufferedSocketFile = sock.makefile("rb");
    const small: BufferedSocketFile = sock.makefile("br", 1);
    const raw: RawSocketFile = sock.makefile("rwb", 0);
    const byName: RawSocketFile = sock.makefile("rb", { buffering: 0 });
    const byDefault: BufferedSocketFile = sock.makefile("rb", null);
    const named: SocketFile<"w"> = sock.makefile("w", { encoding: "latin1" });
    const unknownMode: TextSocketFile | BufferedSocketFile = sock.makefile("r" as string);
    const unknownSize: RawSocketFile | BufferedSocketFile = sock.makefile("rb", 0 as number);
    const line: string = named.writable() && false ? named.readline() : "";
    expect(line).toBe("");
    for (const file of [text, both, named, unknownMode]) expect(file).toBeInstanceOf(TextSocketFile);
    for (const file of [buffered, small, byDefault]) expect(file).toBeInstanceOf(BufferedSocketFile);
    for (const file of [raw, byName, unknownSize]) expect(file).toBeInstanceOf(RawSocketFile);
  });

  test("tells its mode, its name and its format", () => {
    using own = new Ends();
    const [sock] = own.pair();
    expect([sock.makefile("br").mode, sock.makefile("bw", 0).mode, sock.makefile("wbr").mode]).toEqual([
      "rb",
      "wb",
      "rwb",
    ]);
    const text = sock.makefile("wr", { encoding: "UTF8", errors: "replace", buffering: 1 });
    expect([text.mode, text.encoding, text.errors, text.lineBuffering]).toEqual(["wr", "UTF8", "replace", true]);
    const plain = sock.makefile("");
    expect([plain.mode, plain.encoding, plain.errors, plain.lineBuffering]).toEqual(["", "utf-8", "strict", false]);
    for (const file of [text, sock.makefile("rb"), sock.makefile("rb", 0)]) {
      expect([file.name, file.fileno(), file.closed]).toEqual([sock.fileno(), sock.fileno(), false]);
      expect([file.isatty(), file.seekable()]).toEqual([false, false]);
      file.close();
      expect([file.name, file.closed]).toEqual([-1, true]);
    }
  });

  test("carries a dialogue over TCP", () => {
    using own = new Ends();
    const [client, server] = own.tcp();
    using ask = client.makefile("rw", { newline: "\r\n" });
    using answer = server.makefile("rw", { newline: "\r\n" });
    ask.write("HELO example.org\n");
    ask.flush();
    expect(answer.readline()).toBe("HELO example.org\r\n");
    answer.writelines(["250-hello\n", "250 OK\n"]);
    answer.flush();
    expect([ask.readline(), ask.readline()]).toEqual(["250-hello\r\n", "250 OK\r\n"]);
  });
});

describe("wrong arguments", () => {
  const wrong: [args: unknown[], type: typeof TypeError | typeof RangeError, says: string][] = [
    ...["a", "x", "+", "t", "rt", "r ", "R"].map(
      (mode) => [[mode], RangeError, "mode: "] as [unknown[], typeof RangeError, string],
    ),
    [[null], TypeError, "mode: "],
    [[5], TypeError, "mode: "],
    [[{}], TypeError, "mode: "],
    [["r", "1"], TypeError, "buffering: "],
    [["r", 1.5], TypeError, "buffering: "],
    [["rb", 2 ** 31], RangeError, "buffering: "],
    [["r", 0], RangeError, "buffering: "],
    [["w", { buffering: 0 }], RangeError, "options.buffering: "],
    [["rb", { buffering: true }], TypeError, "options.buffering: "],
    [["r", {}, {}], TypeError, "buffering: "],
    [["r", null, null], TypeError, "options: "],
    [["r", null, { buffering: 1 }], TypeError, "buffering"],
    [["r", { enconding: "utf-8" }], TypeError, "enconding"],
    [["r", { encoding: 5 }], TypeError, "options.encoding: "],
    [["r", { encoding: "" }], RangeError, "options.encoding: "],
    [["r", { encoding: "no-such" }], RangeError, "options.encoding: "],
    [["w", { encoding: "shift_jis" }], RangeError, "options.encoding: "],
    [["rw", { encoding: "utf-16be" }], RangeError, "options.encoding: "],
    [["r", { errors: 5 }], TypeError, "options.errors: "],
    [["r", { errors: "no-such" }], RangeError, "options.errors: "],
    [["r", { encoding: "shift_jis", errors: "ignore" }], RangeError, "options.errors: "],
    [["r", { newline: 5 }], TypeError, "options.newline: "],
    [["r", { newline: "\n\r" }], RangeError, "options.newline: "],
  ];
  for (const [args, type, says] of wrong) {
    test(`makefile(${args.map((arg) => JSON.stringify(arg)).join(", ")}) is a ${type.name} that says ${says}`, () => {
      const [a, b] = socketpair();
      const open = () => Reflect.apply(a.makefile, a, args);
      expect(open).toThrow(type);
      expect(open).toThrow(says);
      // No file was opened that would keep the descriptor.
      const fd = a.fileno();
      a.close();
      expect(isOpen(fd)).toBe(false);
      b.close();
    });
  }

  test("undefined and null are what was left out", () => {
    using own = new Ends();
    const sock = given(own, "é");
    const options: FileOptions = { encoding: null, errors: null, newline: null };
    expect(sock.makefile(undefined, undefined, undefined)).toBeInstanceOf(TextSocketFile);
    expect(sock.makefile("r", null, options).read()).toBe("é");
  });

  test("of methods are found before anything is received or sent, and named", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    b.send("kept");
    const text = a.makefile("rw");
    const buffered = a.makefile("rwb");
    const raw = a.makefile("rwb", 0);
    for (const file of [text, buffered, raw]) {
      const call =
        (name: "read" | "readline" | "readlines" | "write" | "writelines", ...args: unknown[]) =>
        () =>
          Reflect.apply(file[name], file, args);
      for (const value of ["1", 1.5, NaN, {}, true]) {
        expect(call("read", value)).toThrow(/^size: expected an integer/);
        expect(call("readline", value)).toThrow(/^limit: expected an integer/);
        expect(call("readlines", value)).toThrow(/^hint: expected an integer/);
      }
      for (const value of [5, null, undefined, {}, ["x"]]) expect(call("write", value)).toThrow(/^data: /);
      expect(call("writelines", 5)).toThrow(/^lines: /);
      expect(call("writelines", "text")).toThrow(/^lines: /);
      expect(call("writelines", ["fine", 5])).toThrow(/^lines\[1\]: /);
    }
    expect(() => text.write(Buffer.of(1) as unknown as string)).toThrow(TypeError);
    expect(() => buffered.read(-2)).toThrow(/^size: expected -1 or more, got -2/);
    for (const file of [buffered, raw]) {
      expect(() => file.readinto("x" as unknown as Buffer)).toThrow(/^buffer: /);
      expect(() => file.readinto(new ArrayBuffer(4) as unknown as Buffer)).toThrow(TypeError);
    }
    for (const file of [text, buffered, raw]) file.close();
    expect(arrived(b)).toBe("");
    expect(a.recv(100).toString()).toBe("kept");
  });

  test("a file that only writes is not readable, and the other way round", () => {
    using own = new Ends();
    const sock = given(own, "abc");
    for (const buffering of [0, 8192]) {
      const file = sock.makefile("wb", buffering);
      for (const call of [() => file.read(), () => file.readline(), () => file.readlines(), () => [...file]]) {
        expect(call).toThrow(RangeError);
        expect(call).toThrow("not readable");
      }
      expect(() => sock.makefile("rb", buffering).write("x")).toThrow("not writable");
      expect(() => sock.makefile("rb", buffering).writelines([])).toThrow("not writable");
    }
    expect(() => sock.makefile("w").read(0)).toThrow("not readable");
    expect(() => [...sock.makefile("w")]).toThrow("not readable");
    expect(() => sock.makefile("r").write("")).toThrow("not writable");
  });
});

describe("reading bytes", () => {
  test("gives Buffers of their own", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile("rb");
    b.send("one\ntwo\nthree");
    const shown = file.peek();
    const line = file.readline();
    shown.fill(0);
    line.fill(0);
    expect(file.readline().toString()).toBe("two\n");
    expect(file.read(5).toString()).toBe("three");
  });

  test("fills views of every kind", () => {
    using own = new Ends();
    const sock = given(own, "abcdefghijkl");
    const file = sock.makefile("rb");
    const memory = new ArrayBuffer(8);
    expect(file.readinto(new DataView(memory, 2, 3))).toBe(3);
    expect(Buffer.from(memory).toString("latin1")).toBe("\0\0abc\0\0\0");
    expect(file.readinto(new Uint32Array(memory))).toBe(8);
    expect(Buffer.from(memory).toString()).toBe("defghijk");
    expect(file.readinto(new Uint8Array(4))).toBe(1);
    expect(file.readinto(new Uint8Array(4))).toBe(0);
  });

  test("goes on where a loop over lines was left", () => {
    using own = new Ends();
    const file = given(own, "1\n2\n3\n4").makefile("rb");
    for (const line of file) if (line.toString() === "2\n") break;
    expect(file.closed).toBe(false);
    expect([...file].map(String)).toEqual(["3\n", "4"]);
    expect([...file]).toEqual([]);
  });

  test("reads a long line, and many short ones, in time that grows with their length alone", async () => {
    using own = new Ends();
    for (const mode of ["rb", "r"] as const) {
      const [a, b] = own.pair();
      const length = 16 << 20;
      using other = peer(
        ({ given }, length) => {
          const sock = given[0]!;
          sock.sendall(`${"x".repeat(length)}\n`);
          sock.sendall("a short line\n".repeat(100000));
        },
        [length],
        [b],
      );
      a.settimeout(null);
      const file = a.makefile(mode);
      let count = 0;
      const took = elapsed(() => {
        expect(file.readline().length).toBe(length + 1);
        for (const line of file) count += line.length === 13 ? 1 : 0;
      });
      expect(count).toBe(100000);
      expect(took).toBeLessThan(10000 * slowness);
      await other.output();
    }
  });
});

describe("reading text", () => {
  test("counts code points, and never cuts one", () => {
    using own = new Ends();
    const file = given(own, "😀a😀\n😀😀😀").makefile();
    expect(file.read(1)).toBe("😀");
    expect(file.readline(2)).toBe("a😀");
    expect(file.readline()).toBe("\n");
    expect(file.readlines(2)).toEqual(["😀😀😀"]);
  });

  test("keeps a byte order mark in UTF-8, as text", () => {
    using own = new Ends();
    expect(given(own, "\ufeffx").makefile().read()).toBe("\ufeffx");
  });

  test("UTF-16 without a mark is little-endian", () => {
    using own = new Ends();
    expect(given(own, Buffer.from("ab", "utf16le")).makefile("r", { encoding: "utf-16" }).read()).toBe("ab");
  });

  test("is the same wherever what comes is cut", () => {
    const text = "é\r\n€\n\r😀\r\r\n\nend\r\n";
    const lines = new Map<Newline, string[]>([
      [null, ["é\n", "€\n", "\n", "😀\n", "\n", "\n", "end\n"]],
      ["", ["é\r\n", "€\n", "\r", "😀\r", "\r\n", "\n", "end\r\n"]],
      ["\n", ["é\r\n", "€\n", "\r😀\r\r\n", "\n", "end\r\n"]],
      ["\r", ["é\r", "\n€\n\r", "😀\r", "\r", "\n\nend\r", "\n"]],
      ["\r\n", ["é\r\n", "€\n\r😀\r\r\n", "\nend\r\n"]],
    ]);
    for (const encoding of ["utf-8", "utf-16le"] as const) {
      const data = Buffer.from(text, encoding);
      for (const [newline, expected] of lines) {
        for (let at = 0; at <= data.length; at++) {
          using own = new Ends();
          const [a, b] = own.pair();
          a.setblocking(false);
          const file = a.makefile("r", { encoding, newline });
          b.send(data.subarray(0, at));
          // Receives and decodes what has come, and reads none of it.
          expect(() => file.readlines()).toThrow(BlockingIOError);
          b.send(data.subarray(at));
          b.shutdown(SHUT_WR);
          expect(file.readlines()).toEqual(expected);
        }
      }
    }
  });

  test("gives all text before the bytes that are none, and tells where they are", () => {
    using own = new Ends();
    const file = given(own, Buffer.from("good\nbad:\xff\nmore\n", "latin1")).makefile();
    const says = "cannot decode utf-8: 0xff at byte 9 of the stream";
    expect(file.readline()).toBe("good\n");
    for (const call of [() => file.readline(), () => file.read(), () => file.readlines(), () => file.read(5)]) {
      expect(call).toThrow(RangeError);
      expect(call).toThrow(says);
    }
    expect(file.read(4)).toBe("bad:");
    expect(() => file.read(1)).toThrow(says);
  });

  test("counts the bytes of a failure from the beginning of the stream", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile();
    for (const part of ["one\n", "tw€\n"]) {
      b.send(part);
      expect(file.readline()).toBe(part);
    }
    b.send(Buffer.of(0xe2, 0x82));
    b.close();
    expect(() => file.readline()).toThrow(
      "0xe282 at byte 10 of the stream: the stream ends in the midst of a character",
    );
    expect(() => file.readline()).toThrow("at byte 10 of the stream");
  });

  test("does so in the engine's encodings too", () => {
    using own = new Ends();
    const data = Buffer.of(0x82, 0xa0, 0x0a, 0x41, 0x82, 0x20, 0x42);
    const strict = given(own, data).makefile("r", { encoding: "Shift_JIS" });
    expect(strict.readline()).toBe("あ\n");
    expect(() => strict.read()).toThrow("cannot decode shift_jis: not valid near bytes 0 to 7 of the stream");
    expect(strict.read(1)).toBe("A");
    expect(() => strict.read(1)).toThrow(RangeError);
    expect(given(own, data).makefile("r", { encoding: "sjis", errors: "replace" }).read()).toBe("あ\nA\ufffd B");
  });

  test("tells in the engine's encodings with which bytes of the stream the failure came", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile("r", { encoding: "euc-jp" });
    b.send(Buffer.of(0xa4, 0xa2, 0x0a));
    expect(file.readline()).toBe("あ\n");
    b.send(Buffer.of(0x41, 0x0a, 0xa4));
    expect(file.readline()).toBe("A\n");
    b.close();
    for (const call of [() => file.readline(), () => file.read()]) {
      expect(call).toThrow(RangeError);
      expect(call).toThrow("cannot decode euc-jp: not valid near bytes 6 to 6 of the stream");
    }
  });

  test("takes U+FFFD as text in Unicode, by every name that the engine has for it, but not in gb18030", () => {
    using own = new Ends();
    const text = "\ufffd€";
    expect(given(own, text).makefile("r", { encoding: "unicode-1-1-utf-8" }).read()).toBe(text);
    expect(given(own, Buffer.from(text, "utf16le")).makefile("r", { encoding: "unicode" }).read()).toBe(text);
    const spelled = Buffer.of(0x41, 0x84, 0x31, 0xa4, 0x37);
    const strict = given(own, spelled).makefile("r", { encoding: "gb18030" });
    expect(strict.read(1)).toBe("A");
    expect(() => strict.read(1)).toThrow("cannot decode gb18030: not valid near bytes 0 to 5 of the stream");
    expect(given(own, spelled).makefile("r", { encoding: "gb18030", errors: "replace" }).read()).toBe("A\ufffd");
  });

  test("a \\r at the end of what came may be half of a newline, and is held back", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    a.settimeout(0);
    const file = a.makefile();
    b.send("one\r");
    expect(file.read(4)).toBe("one");
    expect(() => file.readline()).toThrow(BlockingIOError);
    b.send("\ntwo\r");
    expect([file.readline(), file.newlines]).toEqual(["\n", "\r\n"]);
    b.close();
    expect([file.readline(), file.newlines]).toEqual(["two\n", ["\r", "\r\n"]]);
  });
});

describe("writing", () => {
  test("takes strings and bytes of every kind into a binary file", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    for (const buffering of [0, 3, 8192]) {
      const file = a.makefile("wb", buffering);
      file.write("é");
      file.write(new Uint16Array([0x6261]));
      file.write(Buffer.from("cd").buffer.slice(0, 0));
      file.writelines(["e", new DataView(Buffer.from("xfgx").buffer.slice(0, 0)), Buffer.from("fg")]);
      file.close();
      expect(arrived(b)).toBe("éabefg");
    }
  });

  test("keeps a copy of what it was given", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile("wb");
    const data = Buffer.from("before");
    file.write(data);
    data.write("behind");
    file.close();
    expect(arrived(b)).toBe("before");
  });

  test("with buffering 1 sends text line by line", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile("w", 1);
    file.write("no line yet");
    expect(arrived(b)).toBe("");
    file.write(", now\nand");
    expect(arrived(b)).toBe(`no line yet, now${EOL}and`);
    file.write("\r");
    expect(arrived(b)).toBe("\r");
  });

  test("writes nothing of a text that cannot be encoded", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile("w", { encoding: "ascii" });
    expect(() => file.write("a😀é")).toThrow(RangeError);
    expect(() => file.write("a😀é")).toThrow("data: cannot encode U+1F600 at index 1 as ascii");
    file.close();
    expect(arrived(b)).toBe("");
  });

  test("does not disturb what was read and decoded", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const file = a.makefile("rw");
    b.send("one\ntwo\n");
    expect(file.readline()).toBe("one\n");
    file.write("question\n");
    file.flush();
    expect(file.readline()).toBe("two\n");
    expect(arrived(b)).toBe(`question${EOL}`);
  });

  test("to a peer that is gone is a BrokenPipeError", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    b.close();
    const file = a.makefile("wb");
    file.write("x");
    // Windows calls it a reset or an abort, and not before the first bytes were answered.
    const error = isWindows ? /^send ECONN(RESET|ABORTED)/ : BrokenPipeError;
    for (let i = 0; isWindows && i < 100 && codeOf(() => a.send("x")).startsWith("nothing"); i++) Bun.sleepSync(1);
    expect(() => file.flush()).toThrow(error);
    expect(() => file.close()).toThrow(error);
    expect(file.closed).toBe(true);
  });
});

describe("a timeout", () => {
  test("ends the reading of every kind of file, but loses nothing that was there", () => {
    using own = new Ends();
    for (const [mode, buffering] of [
      ["rb", 0],
      ["rb", 8192],
      ["rb", 2],
      ["r", 8192],
    ] as const) {
      const [a, b] = own.pair();
      const file = a.makefile(mode, buffering);
      b.send("one\ntwo\npart");
      a.settimeout(0.02);
      expect(() => file.readlines()).toThrow(TimeoutError);
      b.send("ial\n");
      const after = thrown(() => file.readlines());
      expect(after.message).toContain("cannot read from timed out object");
      expect(after).not.toBeInstanceOf(TimeoutError);
      if (buffering === 0) continue;
      expect([file.readline(), file.readline(), file.read(4)].map(String)).toEqual(["one\n", "two\n", "part"]);
      expect(thrown(() => file.read(1)).message).toContain("cannot read from timed out object");
    }
  });

  test("does not stop the writing", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    a.settimeout(0.02);
    const file = a.makefile("rwb");
    expect(() => file.read()).toThrow(TimeoutError);
    file.write("still");
    file.flush();
    expect(arrived(b)).toBe("still");
  });

  test("in a flush leaves in the buffer what was not sent, and only that", () => {
    using own = new Ends();
    for (const mode of ["wb", "w"] as const) {
      const [a, b] = own.pair();
      const before = fill(a);
      a.settimeout(0.02);
      const file = a.makefile(mode, { newline: "" } as FileOptions);
      file.write("0123456789".repeat(100));
      expect(() => file.flush()).toThrow(TimeoutError);
      expect(() => file.flush()).toThrow(TimeoutError);
      expect(arrived(b).length).toBe(before);
      file.write("end");
      file.flush();
      expect(arrived(b)).toBe(`${"0123456789".repeat(100)}end`);
    }
  });

  test("in a large write says how much of it was taken", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    a.setsockopt(SOL_SOCKET, SO_SNDBUF, 20000);
    a.settimeout(0.02);
    const data = Buffer.from(Array.from({ length: 300000 }, (_, i) => i % 251));
    const file = a.makefile("wb", 1000);
    let sent = 0;
    const got: Buffer[] = [];
    while (sent < data.length) {
      try {
        sent += file.write(data.subarray(sent));
        file.flush();
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
        sent += error.charactersWritten ?? 0;
      }
      got.push(arrivedBytes(b));
    }
    file.close();
    got.push(arrivedBytes(b));
    expect(Buffer.concat(got).equals(data)).toBe(true);
  });
});

describe("a non-blocking socket", () => {
  test("gives null to a raw file, and an error to the others, which lose nothing", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    a.setblocking(false);
    const raw = a.makefile("rb", 0);
    expect([raw.read(5), raw.read(), raw.readinto(Buffer.alloc(3))]).toEqual([null, null, null]);
    b.send("part");
    expect(() => raw.readline()).toThrow(BlockingIOError);
    b.send("s\nrest");
    expect(raw.readlines.bind(raw)).toThrow(BlockingIOError);
    expect(raw.readline().toString()).toBe("parts\n");
    expect(raw.read(100)?.toString()).toBe("rest");

    for (const mode of ["rb", "r"] as const) {
      const file = a.makefile(mode);
      for (const call of [() => file.read(), () => file.read(1), () => file.readline(), () => [...file]]) {
        expect(call).toThrow(BlockingIOError);
      }
      b.send("one\npa");
      expect(() => file.readlines()).toThrow(BlockingIOError);
      expect(String(file.readline())).toBe("one\n");
      expect(() => file.readline()).toThrow(BlockingIOError);
      b.send("rt\nmore");
      expect(String(file.readline())).toBe("part\n");
      expect(String(file.read(100))).toBe("more");
    }
    const buffered = a.makefile("rb");
    for (const call of [() => buffered.peek(), () => buffered.read1(), () => buffered.readinto(Buffer.alloc(1))]) {
      expect(call).toThrow(BlockingIOError);
    }
    expect([buffered.read(0).length, buffered.readline(0).length, buffered.readinto(Buffer.alloc(0))]).toEqual([
      0, 0, 0,
    ]);
  });

  test("takes no more than fits, and each byte once", () => {
    using own = new Ends();
    for (const buffering of [1, 100, 8192] as const) {
      const [a, b] = own.pair();
      a.setblocking(false);
      const file = a.makefile("wb", buffering);
      const data = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7 + (i >> 8)) & 255));
      const got: Buffer[] = [];
      for (let taken = 0; taken < data.length;) {
        try {
          taken += file.write(data.subarray(taken));
        } catch (error) {
          if (!(error instanceof BlockingIOError)) throw error;
          taken += error.charactersWritten!;
        }
        got.push(arrivedBytes(b));
      }
      file.close();
      got.push(arrivedBytes(b));
      expect(Buffer.concat(got).equals(data)).toBe(true);
    }
  });

  test("takes all of a text, and sends it once, however often it blocks", () => {
    using own = new Ends();
    for (const buffering of [1, 100, 8192]) {
      const [a, b] = own.pair();
      a.setblocking(false);
      const file = a.makefile("w", buffering, { newline: "" });
      let expected = "";
      let got = "";
      for (let i = 0; i < 40; i++) {
        const text = `${i}€\n`.repeat(10000);
        expected += text;
        try {
          expect(file.write(text)).toBe([...text].length);
        } catch (error) {
          if (!(error instanceof BlockingIOError)) throw error;
          expect(error.charactersWritten).toBe([...text].length);
        }
        if (i % 7 === 0) got += arrivedBytes(b).toString("latin1");
      }
      for (;;) {
        try {
          file.flush();
          break;
        } catch (error) {
          if (!(error instanceof BlockingIOError)) throw error;
        }
        got += arrivedBytes(b).toString("latin1");
      }
      got += arrivedBytes(b).toString("latin1");
      expect(Buffer.from(got, "latin1").toString() === expected).toBe(true);
    }
  });

  test("stops a raw writelines with the count of what was sent", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    a.setblocking(false);
    const file = a.makefile("wb", 0);
    const error = thrown(() => file.writelines([Buffer.alloc(10), Buffer.alloc(10 << 20), Buffer.alloc(10)]));
    expect(error).toBeInstanceOf(BlockingIOError);
    expect(error.charactersWritten).toBe(arrived(b).length);
    expect(error.charactersWritten).toBeGreaterThan(10);
  });
});

describe("closing", () => {
  const unix = needs("fstat of a socket", !isWindows);

  unix("the descriptor lives as long as the socket and all of its files", () => {
    const [a, b] = socketpair();
    const fd = a.fileno();
    const files = [a.makefile(), a.makefile("wb"), a.makefile("rwb", 0)];
    a.close();
    for (const file of files) {
      expect(isOpen(fd)).toBe(true);
      expect(file.fileno()).toBe(fd);
      file.close();
      file.close();
    }
    expect(isOpen(fd)).toBe(false);
    b.close();
  });

  unix("files that are closed leave the socket open", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    {
      using file = a.makefile("w");
      file.write("flushed at the end");
    }
    expect(arrived(b)).toBe(`flushed at the end`);
    expect(isOpen(a.fileno())).toBe(true);
    a.send("x");
  });

  unix("a flush that fails closes all the same, once", () => {
    for (const mode of ["w", "wb"] as const) {
      const [a, b] = socketpair();
      const fd = a.fileno();
      const other = a.makefile();
      const file = a.makefile(mode);
      file.write("x");
      b.close();
      a.close();
      expect(() => file.close()).toThrow(BrokenPipeError);
      expect(file.closed).toBe(true);
      file.close();
      // Had it been counted twice, the other file would have lost its descriptor.
      expect(isOpen(fd)).toBe(true);
      other.close();
      expect(isOpen(fd)).toBe(false);
    }
  });

  test("a closed file says so, whatever is asked of it", () => {
    using own = new Ends();
    const sock = given(own, "abc\n");
    for (const file of [sock.makefile("rw"), sock.makefile("rwb"), sock.makefile("rwb", 0)]) {
      file.close();
      const calls = [
        () => file.read(),
        () => file.read(0),
        () => file.readline(),
        () => file.readlines(),
        () => [...file],
        () => file.write("x"),
        () => file.writelines([]),
        () => file.flush(),
        () => file.fileno(),
        () => file.isatty(),
        () => file.seekable(),
        () => file.readable(),
        () => file.writable(),
      ];
      for (const call of calls) {
        expect(call).toThrow(RangeError);
        expect(call).toThrow("I/O operation on closed file");
      }
    }
    expect(sock.recv(100).toString()).toBe("abc\n");
  });

  test("a detached socket is a descriptor that is not its own", () => {
    const [a, b] = socketpair();
    const files = [a.makefile("rw"), a.makefile("rwb"), a.makefile("rwb", 0)];
    const fd = a.detach();
    for (const file of files) {
      expect(file.fileno()).toBe(-1);
      expect(thrown(() => file.read(1)).code).toBe("EBADF");
      expect(
        thrown(() => {
          file.write("x");
          file.flush();
        }).code,
      ).toBe("EBADF");
      expect(file instanceof RawSocketFile ? "EBADF" : thrown(() => file.close()).code).toBe("EBADF");
    }
    const again = new (a.constructor as typeof Socket)({ fileno: fd });
    again.send("still open");
    expect(b.recv(100).toString()).toBe("still open");
    again.close();
    b.close();
  });

  test("a file keeps a socket that nobody else knows", async () => {
    const open = (): [BufferedSocketFile, Socket] => {
      const [a, b] = socketpair();
      const file = a.makefile("rb");
      a.close();
      return [file, b];
    };
    const [file, b] = open();
    for (let i = 0; i < 10; i++) {
      Bun.gc(true);
      await Bun.sleep(2);
    }
    b.send("here\n");
    expect(file.readline().toString()).toBe("here\n");
    file.close();
    b.close();
  });
});

describe("detach", () => {
  test("takes the layers off, one by one", () => {
    using own = new Ends();
    const [a, b] = own.pair();
    const text = a.makefile("rw");
    text.write("text");
    const buffered = text.detach();
    expect(arrived(b)).toBe("text");
    buffered.write("bytes");
    const raw = buffered.detach();
    expect(arrived(b)).toBe("bytes");
    raw.write("raw");
    expect(arrived(b)).toBe("raw");
    for (const file of [text, buffered]) {
      expect(file.closed).toBe(true);
      expect(
        [() => file.read(), () => file.write("x"), () => file.flush(), () => file.detach()].map(failureOf),
      ).toEqual(Array(4).fill("RangeError: the file has been detached"));
      file.close();
    }
    expect(raw.closed).toBe(false);
    raw.close();
  });
});

function failureOf(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    return String(error);
  }
}

test("what one file writes another reads, in every encoding and with every newline", () => {
  using own = new Ends();
  const newlines = [null, "", "\n", "\r", "\r\n"] as const;
  for (const encoding of ["utf-8", "utf-16le", "utf-16", "latin1", "ascii"]) {
    for (const newline of newlines) {
      for (const buffering of [1, 2, 3, 8192]) {
        const [a, b] = own.pair();
        const text = encoding === "ascii" ? "one\ntwo\n\nthree" : encoding === "latin1" ? "é\nÿ\n\nü" : "€\n😀\n\nend";
        const file = a.makefile("w", buffering, { encoding, newline });
        file.writelines([text, "\n"]);
        file.close();
        a.close();
        const ending = newline === null ? "\n" : newline === "" ? "\n" : newline;
        const expected = `${text}\n`.replaceAll("\n", ending);
        expect(b.makefile("r", buffering, { encoding, newline }).read()).toBe(expected);
        b.close();
      }
    }
  }
});

test("a stream in any pieces is the same stream", async () => {
  using own = new Ends();
  const [a, b] = own.pair();
  using other = peer(
    async ({ given }) => {
      const sock = given[0]!;
      for (const byte of Buffer.from("é€\r\n😀\r\nlast")) {
        sock.send(Buffer.of(byte));
        await Bun.sleep(1);
      }
    },
    [],
    [b],
  );
  a.settimeout(null);
  expect([...a.makefile()]).toEqual(["é€\n", "😀\n", "last"]);
  await other.output();
  expect(receiveAll(a).length).toBe(0);
});

test("errors are the library's own", () => {
  using own = new Ends();
  const [a] = own.pair();
  a.setblocking(false);
  const error = thrown(() => a.makefile("rb").read());
  expect(error).toBeInstanceOf(OSError);
  expect([error.code, error.syscall]).toEqual(["EAGAIN", "recv"]);
});
