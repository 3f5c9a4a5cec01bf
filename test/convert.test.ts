import { describe, expect, test } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  CMSG_LEN,
  CMSG_SPACE,
  htonl,
  htons,
  inet_aton,
  inet_ntoa,
  inet_ntop,
  inet_pton,
  ntohl,
  ntohs,
  OSError,
} from "../src/index.ts";
import { decodeFileName, encodeFileName } from "../src/filenames.ts";

/** What a call throws: the name of the error, and its number where it has one. */
function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof OSError ? `${error.name} ${error.code}` : (error as Error).name;
  }
  return "nothing";
}

const no = (value: unknown): never => value as never;

describe("byte order", () => {
  const swapped16 = [
    [0, 0],
    [1, 0x0100],
    [0x0102, 0x0201],
    [0x00ff, 0xff00],
    [0x8000, 0x0080],
    [0xffff, 0xffff],
  ] as const;
  const swapped32 = [
    [0, 0],
    [1, 0x0100_0000],
    [0x0102_0304, 0x0403_0201],
    [0x7fff_ffff, 0xffff_ff7f],
    [0x8000_0000, 0x0000_0080],
    [0x0000_0080, 0x8000_0000],
    [0xffff_ffff, 0xffff_ffff],
  ] as const;

  test.each(swapped16)("16 bits: %d", (host, network) => {
    expect([htons(host), ntohs(host), htons(network), ntohs(network)]).toEqual([network, network, host, host]);
  });
  test.each(swapped32)("32 bits: %d", (host, network) => {
    expect([htonl(host), ntohl(host), htonl(network), ntohl(network)]).toEqual([network, network, host, host]);
  });

  test("the order of the network is that of the bytes", () => {
    expect(new Uint8Array(Uint16Array.of(htons(0x1234)).buffer)).toEqual(Uint8Array.of(0x12, 0x34));
    expect(new Uint8Array(Uint32Array.of(htonl(0x1234_5678)).buffer)).toEqual(Uint8Array.of(0x12, 0x34, 0x56, 0x78));
  });

  test.each([htons, ntohs, htonl, ntohl])("%p refuses what does not fit", (swap) => {
    const most = swap === htons || swap === ntohs ? 0xffff : 0xffff_ffff;
    expect(swap(most)).toBe(most);
    for (const value of [-1, most + 1, 2 ** 53, -(2 ** 53)]) expect(() => swap(value)).toThrow(RangeError);
    for (const value of [1.5, NaN, Infinity, "1", null, undefined, true, 1n, [1], {}]) {
      expect(() => swap(no(value))).toThrow(TypeError);
    }
    expect(() => swap(-1)).toThrow("x: expected an integer from 0");
    expect(() => swap(no("1"))).toThrow('x: expected an integer, got "1"');
  });
});

describe("IPv4", () => {
  test.each([
    ["1.2.3.4", "01020304"],
    ["127.1", "7f000001"],
    ["1", "00000001"],
    ["1.2.3", "01020003"],
    ["0x7f.1", "7f000001"],
    ["0177.0.0.1", "7f000001"],
    ["4294967295", "ffffffff"],
    ["0.0.0.0", "00000000"],
    ["255.255.255.255", "ffffffff"],
  ])("inet_aton(%p)", (text, hex) => {
    expect(inet_aton(text).toString("hex")).toBe(hex);
  });

  test.each(["", " ", "256.1", "1.2.3.256", "1.2.3.4.5", "1..2", "x", "::1", "08.1.1.1", "1.2.3.4x", "٣"])(
    "inet_aton(%p) is no address",
    (text) => {
      expect(thrown(() => inet_aton(text))).toBe("OSError EINVAL");
    },
  );

  test("inet_ntoa and inet_ntop are the way back, for each byte at each place", () => {
    for (let at = 0; at < 4; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const packed = Buffer.alloc(4);
        packed[at] = byte;
        const text = [...packed].join(".");
        expect(inet_ntoa(packed)).toBe(text);
        expect(inet_ntop(AF_INET, packed)).toBe(text);
        expect(inet_pton(AF_INET, text)).toEqual(packed);
      }
    }
  });

  test("a view is its own bytes, not those of its buffer", () => {
    const all = Uint8Array.of(9, 9, 1, 2, 3, 4, 9, 9);
    expect(inet_ntoa(all.subarray(2, 6))).toBe("1.2.3.4");
    expect(inet_ntop(AF_INET, new DataView(all.buffer, 2, 4))).toBe("1.2.3.4");
    expect(inet_ntoa(all.slice(2, 6).buffer)).toBe("1.2.3.4");
    expect(inet_ntoa(Uint32Array.of(0x0403_0201))).toBe("1.2.3.4");
  });

  test("wrong lengths", () => {
    for (const length of [0, 1, 3, 5, 16]) {
      expect(thrown(() => inet_ntoa(Buffer.alloc(length)))).toBe("OSError EINVAL");
      expect(thrown(() => inet_ntop(AF_INET, Buffer.alloc(length)))).toBe("RangeError");
    }
  });
});

describe("IPv6", () => {
  test.each([
    ["::", "00000000000000000000000000000000", "::"],
    ["::1", "00000000000000000000000000000001", "::1"],
    ["1::", "00010000000000000000000000000000", "1::"],
    ["2001:DB8::A", "20010db800000000000000000000000a", "2001:db8::a"],
    ["1:0:0:2:0:0:0:3", "00010000000000020000000000000003", "1:0:0:2::3"],
    ["1:0:0:2:3:0:0:4", "00010000000000020003000000000004", "1::2:3:0:0:4"],
    ["::ffff:1.2.3.4", "00000000000000000000ffff01020304", "::ffff:1.2.3.4"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008", "1:2:3:4:5:6:7:8"],
  ])("%p", (text, hex, shortest) => {
    expect(inet_pton(AF_INET6, text).toString("hex")).toBe(hex);
    expect(inet_ntop(AF_INET6, Buffer.from(hex, "hex"))).toBe(shortest);
  });

  test.each([
    "",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::g",
    "::12345",
    "::1%lo",
    "[::1]",
    "1.2.3.4",
    " ::1",
  ])("%p is no address", (text) => {
    expect(thrown(() => inet_pton(AF_INET6, text))).toBe("OSError EINVAL");
  });

  test("other families, wrong types", () => {
    for (const family of [0, AF_UNIX, 99, -1]) {
      expect(thrown(() => inet_pton(family, "::1"))).toBe("OSError EAFNOSUPPORT");
      expect(thrown(() => inet_ntop(family, Buffer.alloc(16)))).toBe("OSError EAFNOSUPPORT");
    }
    for (const family of [undefined, null, "2", 1.5, 2 ** 31]) {
      const name = family === 2 ** 31 ? "RangeError" : "TypeError";
      expect(thrown(() => inet_pton(no(family), "::1"))).toBe(name);
      expect(thrown(() => inet_ntop(no(family), Buffer.alloc(16)))).toBe(name);
    }
    for (const text of [undefined, null, 1, Buffer.of(1)])
      expect(thrown(() => inet_pton(AF_INET6, no(text)))).toBe("TypeError");
    for (const text of ["::1\0", "\0", "\ud800"]) expect(thrown(() => inet_pton(AF_INET6, text))).toBe("RangeError");
  });
});

describe("sizes of control messages", () => {
  test("a header and the data; the space is padded", () => {
    const head = CMSG_LEN(0);
    expect(head).toBeGreaterThanOrEqual(12);
    for (let n = 0; n < 100; n++) {
      expect(CMSG_LEN(n)).toBe(head + n);
      expect(CMSG_SPACE(n)).toBeGreaterThanOrEqual(CMSG_LEN(n));
      expect(CMSG_SPACE(n) % 4).toBe(0);
      expect(CMSG_SPACE(n) - CMSG_LEN(n)).toBeLessThan(8);
    }
  });

  test("what does not fit an int", () => {
    for (const size of [CMSG_LEN, CMSG_SPACE]) {
      expect(size(2 ** 31 - 1000)).toBeGreaterThan(2 ** 31 - 1000);
      for (const length of [-1, 2 ** 31 - 1, 2 ** 31, 2 ** 63]) expect(() => size(length)).toThrow(RangeError);
      for (const length of ["1", null, undefined, 1.5, 1n]) expect(() => size(no(length))).toThrow(TypeError);
    }
  });
});

describe("names of files", () => {
  const roundTrip = (bytes: Uint8Array): Uint8Array => new Uint8Array(encodeFileName(decodeFileName(bytes), "name"));

  test("every byte, and every two bytes", () => {
    for (let a = 0; a < 256; a++) {
      expect(decodeFileName(Uint8Array.of(a))).toBe(String.fromCharCode(a < 0x80 ? a : 0xdc00 + a));
      for (let b = 0; b < 256; b++) {
        const bytes = Uint8Array.of(a, b);
        if (!Bun.deepEquals(roundTrip(bytes), bytes)) throw new Error(`${a} ${b} is not the same any more`);
      }
    }
  });

  test.each([
    ["e282ac", "€"],
    ["f09f9880", "😀"],
    ["efbbbf41", "\ufeffA"],
    ["c080", "\udcc0\udc80"], // an overlong NUL
    ["e08080", "\udce0\udc80\udc80"],
    ["f0808080", "\udcf0\udc80\udc80\udc80"],
    ["eda080", "\udced\udca0\udc80"], // half of a surrogate pair
    ["f4908080", "\udcf4\udc90\udc80\udc80"], // above U+10FFFF
    ["e282", "\udce2\udc82"], // cut
    ["f09f98", "\udcf0\udc9f\udc98"],
    ["e28241", "\udce2\udc82A"],
    ["c3a9ff", "é\udcff"],
  ])("%s", (hex, text) => {
    expect(decodeFileName(Buffer.from(hex, "hex"))).toBe(text);
    expect(encodeFileName(text, "name").toString("hex")).toBe(hex);
  });

  test("any bytes come back", () => {
    for (let i = 0; i < 3000; i++) {
      const bytes = crypto.getRandomValues(new Uint8Array(1 + (i % 40)));
      if (!Bun.deepEquals(roundTrip(bytes), bytes)) throw new Error(`${Buffer.from(bytes).toString("hex")} did not`);
    }
  });

  test("other halves of surrogate pairs stand for nothing", () => {
    for (const text of ["\ud800", "\udbff", "\udc00", "\udc7f", "\udd00", "\udfff", "a\ud800b", "\udc80\ud83d"]) {
      expect(() => encodeFileName(text, "path")).toThrow(RangeError);
      expect(() => encodeFileName(text, "path")).toThrow("path: expected text without halves of surrogates");
    }
  });
});
