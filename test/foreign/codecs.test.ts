/**
 * The address codecs of every platform, run on this one, against bytes that each platform's own compiler laid out
 * (layouts.tsv): what they write, what they read, and what they refuse.
 */
import { deserialize, serialize } from "bun:jsc";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type Platform, platforms } from "../../constants/by-hand.ts";
import { errorsOf, hasLo, needs } from "../help.ts";
import type { Answer, Request } from "./child.ts";
import { readLayouts, writeLayouts, writtenLayouts } from "./layouts.ts";
import { numbers, vectors } from "./structures.ts";
import { hasZig, zigPackage } from "./zig.ts";

setDefaultTimeout(60_000); // it compiles

const here = import.meta.dir;
const own = join(here, "..", "..", "shim", "lib", `${process.platform}-${process.arch}`);
const suffix = { darwin: "dylib", win32: "dll" }[process.platform as string] ?? "so";

/** What a process says that pretends to be of the platform. */
function ask(platform: Platform, requests: readonly Request[]): Answer[] {
  const child = Bun.spawnSync([process.execPath, "--preload", join(here, "pretend.ts"), join(here, "child.ts")], {
    stdin: serialize(requests, { binaryType: "nodebuffer" }),
    env: {
      ...process.env,
      PRETEND: `${platform}-${platform === "darwin" ? "arm64" : "x64"}`,
      BERKELEY_SOCKETS_LIBRARY: process.env["BERKELEY_SOCKETS_LIBRARY"] ?? `${own}.${suffix}`,
    },
  });
  expect(errorsOf(child.stderr.toString())).toBe("");
  return deserialize(child.stdout) as Answer[];
}

/** The values, as they are when they come from another process: a Buffer is a Uint8Array then. */
const sent = (value: unknown): unknown => deserialize(serialize(value));
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (value: unknown): string => Buffer.from(value as Uint8Array).toString("hex");

needs(zigPackage, hasZig)("the table of layouts is what the compilers say", async () => {
  expect(await writtenLayouts()).toBe(await writeLayouts());
});

const hasLengthByte = (platform: Platform) => platform !== "linux" && platform !== "win32";

/** The header of a name: its length and family, where the platform has that. */
function header(platform: Platform, family: number, length: number): number[] {
  return hasLengthByte(platform) ? [length, family] : [family & 0xff, family >> 8];
}

interface Refused {
  family: string;
  proto?: string;
  platforms: readonly Platform[];
  /** Each address, and what the message of its error begins with. */
  addresses: readonly (readonly [address: unknown, error: string])[];
}

const bdaddr = "01:23:45:67:89:AB";
const notDevices: Refused["addresses"] = [
  ["01:23:45:67:89", "RangeError address[0]"],
  ["01:23:45:67:89:AB:CD", "RangeError address[0]"],
  ["01:23:45:67:89:1AB", "RangeError address[0]"],
  ["01:23:45:67:89:", "RangeError address[0]"],
  ["01-23-45-67-89-AB", "RangeError address[0]"],
  [" 1:23:45:67:89:AB", "RangeError address[0]"],
  ["01:23:45:67:89:AB\0", "RangeError address[0]"],
  ["01:23:45:67:89:AG", "RangeError address[0]"],
  ["", "RangeError address[0]"],
  [5, "TypeError address[0]"],
  [null, "TypeError address[0]"],
];
/** What is no interface, with the rest of an address behind it. */
const notInterfaces = (rest: readonly unknown[]): Refused["addresses"] => [
  [[1, ...rest], "TypeError address[0]"],
  [[null, ...rest], "TypeError address[0]"],
  [[Buffer.from("lo"), ...rest], "TypeError address[0]"],
  [["x".repeat(16), ...rest], "RangeError address[0]"],
  [["é".repeat(8), ...rest], "RangeError address[0]"],
  [["lo\0", ...rest], "RangeError address[0]"],
  [["no-such-one", ...rest], "OSError if_nametoindex ENODEV"],
];
const notTuples = [undefined, null, 5, {}, [], "", "x", [1, 2, 3, 4, 5]];

const refused: readonly Refused[] = [
  {
    family: "AF_NETLINK",
    platforms: ["linux", "freebsd"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      [[1], "TypeError address:"],
      [[1, 2, 3], "TypeError address:"],
      [["1", 2], "TypeError address[0]"],
      [[1, "2"], "TypeError address[1]"],
      [[1, 2n], "TypeError address[1]"],
      [[1.5, 2], "TypeError address[0]"],
      [[-1, 2], "RangeError address[0]"],
      [[1, -(2 ** 31) - 1], "RangeError address[1]"],
      [[2 ** 32, 0], "RangeError address[0]"],
      [[0, 2 ** 32], "RangeError address[1]"],
    ],
  },
  {
    family: "AF_CAN",
    proto: "CAN_RAW",
    platforms: ["linux"],
    addresses: [...notTuples.map((address) => [address, "TypeError address:"] as const), ...notInterfaces([])],
  },
  {
    family: "AF_CAN",
    proto: "CAN_ISOTP",
    platforms: ["linux"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      ...notInterfaces([1, 2]),
      [["lo", 1], "TypeError address:"],
      [["lo", "1", 2], "TypeError address[1]"],
      [["lo", 1, 2n], "TypeError address[2]"],
      [["lo", 2 ** 32, 2], "RangeError address[1]"],
      [["lo", 1, -(2 ** 31) - 1], "RangeError address[2]"],
    ],
  },
  {
    family: "AF_CAN",
    proto: "CAN_J1939",
    platforms: ["linux"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      ...notInterfaces([0n, 0, 0]),
      [["lo", 0n, 0], "TypeError address:"],
      [["lo", "0", 0, 0], "TypeError address[1]"],
      [["lo", 0.5, 0, 0], "TypeError address[1]"],
      [["lo", 2 ** 53, 0, 0], "TypeError address[1]"],
      [["lo", -1n, 0, 0], "RangeError address[1]"],
      [["lo", 2n ** 64n, 0, 0], "RangeError address[1]"],
      [["lo", 0n, 0n, 0], "TypeError address[2]"],
      [["lo", 0n, -1, 0], "RangeError address[2]"],
      [["lo", 0n, 2 ** 32, 0], "RangeError address[2]"],
      [["lo", 0n, 0, null], "TypeError address[3]"],
      [["lo", 0n, 0, 256], "RangeError address[3]"],
      [["lo", 0n, 0, -1], "RangeError address[3]"],
    ],
  },
  {
    family: "AF_TIPC",
    platforms: ["linux"],
    addresses: [
      ...notTuples.slice(0, -1).map((address) => [address, "TypeError address:"] as const),
      [[2, 1, 2], "TypeError address:"],
      [[2, 1, 2, 0, 2, 0], "TypeError address:"],
      [["2", 1, 2, 0], "TypeError address[0]"],
      [[0, 1, 2, 0], "RangeError address[0]"],
      [[4, 1, 2, 0], "RangeError address[0]"],
      [[2, null, 2, 0], "TypeError address[1]"],
      [[2, -1, 2, 0], "RangeError address[1]"],
      [[2, 1, 2 ** 32, 0], "RangeError address[2]"],
      [[2, 1, 2, 0.5], "TypeError address[3]"],
      [[2, 1, 2, 2 ** 32], "RangeError address[3]"],
      [[2, 1, 2, 0, undefined], "TypeError address[4]"],
      [[2, 1, 2, 0, 128], "RangeError address[4]"],
      [[2, 1, 2, 0, -129], "RangeError address[4]"],
    ],
  },
  {
    family: "AF_ALG",
    platforms: ["linux"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address"] as const),
      [["hash"], "TypeError address:"],
      [["hash", "sha256", 0, 0, 0], "TypeError address:"],
      [[5, "sha256"], "TypeError address[0]"],
      [["hash", Buffer.from("sha256")], "TypeError address[1]"],
      [["t".repeat(14), "n"], "RangeError address[0]"],
      [["é".repeat(7), "n"], "RangeError address[0]"],
      [["hash", "n".repeat(64)], "RangeError address[1]"],
      [["hash\0", "sha256"], "RangeError address[0]"],
      [["hash", "sha256\0x"], "RangeError address[1]"],
      [["hash", "sha256", "0"], "TypeError address[2]"],
      [["hash", "sha256", undefined], "TypeError address[2]"],
      [["hash", "sha256", -1], "RangeError address[2]"],
      [["hash", "sha256", 0, 2 ** 32], "RangeError address[3]"],
    ],
  },
  ...["AF_VSOCK", "AF_QIPCRTR"].map((family): Refused => ({
    family,
    platforms: ["linux"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      [[1], "TypeError address:"],
      [[1, 2, 3], "TypeError address:"],
      [["1", 2], "TypeError address[0]"],
      [[1, 2n], "TypeError address[1]"],
      [[1.5, 2], "TypeError address[0]"],
      [[-1, 2], "RangeError address[0]"],
      [[1, 2 ** 32], "RangeError address[1]"],
    ],
  })),
  {
    family: "AF_SYSTEM",
    proto: "SYSPROTO_CONTROL",
    platforms: ["darwin"],
    addresses: [
      ...notTuples
        .filter((address) => typeof address !== "string")
        .map((address) => [address, "TypeError address:"] as const),
      [[1], "TypeError address:"],
      [["com.apple", 2], "TypeError address[0]"],
      [[1, -1], "RangeError address[1]"],
      [[2 ** 32, 0], "RangeError address[0]"],
      ["a\0b", "RangeError address:"],
      ["a\ud800", "RangeError address:"],
      ["x".repeat(96), "RangeError address:"],
      ["é".repeat(48), "RangeError address:"],
    ],
  },
  {
    family: "AF_HYPERV",
    platforms: ["win32"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      [[5, "00000400-facb-11e6-bd58-64006a7986d3"], "TypeError address[0]"],
      [["00000400-facb-11e6-bd58-64006a7986d3", null], "TypeError address[1]"],
      [["00000400-facb-11e6-bd58-64006a7986d3", ""], "RangeError address[1]"],
      [["{00000400-facb-11e6-bd58-64006a7986d3}", ""], "RangeError address[0]"],
      [["00000400facb11e6bd5864006a7986d3", ""], "RangeError address[0]"],
      [["00000400-facb-11e6-bd58-64006a7986dg", ""], "RangeError address[0]"],
      [["00000400-facb-11e6-bd58-64006a7986d3\n", ""], "RangeError address[0]"],
    ],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_L2CAP",
    platforms: ["linux", "freebsd", "netbsd"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      ...notDevices.map(([device, error]) => [[device, 1], error] as const),
      [[bdaddr], "TypeError address:"],
      [[bdaddr, "1"], "TypeError address[1]"],
      [[bdaddr, 0x10000], "RangeError address[1]"],
      [[bdaddr, 1, -1], "RangeError address[2]"],
      [[bdaddr, 1, 0x10000], "RangeError address[2]"],
      [[bdaddr, 1, undefined], "TypeError address[2]"],
      [[bdaddr, 1, 0, 256], "RangeError address[3]"],
    ],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_L2CAP",
    platforms: ["netbsd"],
    addresses: [
      [[bdaddr, 1, 0x100], "RangeError address[2]"],
      [[bdaddr, 1, 0, 1], "RangeError address[3]"],
    ],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_RFCOMM",
    platforms: ["linux", "freebsd", "netbsd", "win32"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      ...notDevices.map(([device, error]) => [[device, 1], error] as const),
      [[bdaddr], "TypeError address:"],
      [[bdaddr, 1, 2], "TypeError address:"],
      [[bdaddr, 1.5], "TypeError address[1]"],
      [[bdaddr, -1], "RangeError address[1]"],
      [[bdaddr, 2 ** 32], "RangeError address[1]"],
    ],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_RFCOMM",
    platforms: ["linux", "freebsd", "netbsd"],
    addresses: [[[bdaddr, 256], "RangeError address[1]"]],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_HCI",
    platforms: ["linux"],
    addresses: [
      ...notTuples.map((address) => [address, "TypeError address:"] as const),
      [[bdaddr], "TypeError address[0]"],
      [[0x10000], "RangeError address[0]"],
      [[0, 0x10000], "RangeError address[1]"],
      [[0, 0, 0], "TypeError address:"],
    ],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_HCI",
    platforms: ["freebsd"],
    addresses: [
      [[0], "TypeError address:"],
      [0, "TypeError address:"],
      ["x".repeat(32), "RangeError address:"],
      ["ubt0\0hci", "RangeError address:"],
    ],
  },
  {
    family: "AF_BLUETOOTH",
    proto: "BTPROTO_SCO",
    platforms: ["linux", "freebsd", "netbsd"],
    addresses: [
      ...notDevices.map(([device, error]) => [device, error.replace("[0]", "")] as const),
      [[bdaddr], "TypeError address:"],
    ],
  },
];

describe.each(platforms)("%s", async (platform) => {
  const layouts = await readLayouts(platform);
  // An address with an interface's name needs the interface; it is tried where the machine has Linux's loopback.
  const needsLo = ({ address }: { address: unknown }) => Array.isArray(address) && address[0] === "lo";
  const here = vectors.filter((vector) => vector.structures[platform] !== undefined && (hasLo || !needsLo(vector)));
  const nameOf = (name: string): Uint8Array => {
    const whole = bytes(layouts.get(name)!);
    return whole.subarray(0, vectors.find((vector) => vector.name === name)?.length?.[platform] ?? whole.length);
  };
  const decode = (name: Uint8Array, proto?: string | number): Request => ({
    do: "decode",
    bytes: name,
    ...(proto === undefined ? {} : { proto }),
  });

  test("addresses become the bytes that the compiler laid out", () => {
    const answers = ask(
      platform,
      here.map(({ family, proto, address }) => ({ do: "encode", family, address, ...(proto ? { proto } : {}) })),
    );
    const wrong = here.flatMap(({ name }, i) => {
      const answer = answers[i]!;
      const written = "value" in answer ? hex(answer.value) : `${answer.thrown} ${answer.message}`;
      return written === hex(nameOf(name)) ? [] : [{ name, written, laidOut: hex(nameOf(name)) }];
    });
    expect(wrong).toEqual([]);
    expect(here.length).toBeGreaterThan(2);
  });

  test("the bytes that the compiler laid out become addresses", () => {
    // Thrice: the third time an address may come from where those that were seen are kept.
    const requests = [0, 1, 2].flatMap(() => here.map(({ name, proto }) => decode(nameOf(name), proto)));
    expect(ask(platform, requests)).toEqual(
      [0, 1, 2].flatMap(() => here.map(({ address, decoded }) => ({ value: sent(decoded ?? address) }))),
    );
  });

  test("a name of any length is an address or its bytes, never what lies behind it", () => {
    const cut = here.flatMap(({ name, proto, least }) => {
      const whole = nameOf(name);
      return Array.from({ length: (least ?? whole.length) - 1 }, (_, i) => ({
        whole,
        name: whole.subarray(0, i + 1),
        proto,
      }));
    });
    const answers = ask(
      platform,
      // Something longer goes before each, so that its remains would be seen.
      cut.flatMap(({ name, proto }) => [decode(new Uint8Array(128).fill(0xee)), decode(name, proto)]),
    );
    const wrong = cut.flatMap(({ whole, name }, i) => {
      const answer = answers[2 * i + 1]!;
      const value = "value" in answer ? answer.value : answer;
      if (name.length < 2) return value === null ? [] : [{ name: hex(name), value }];
      const family = hasLengthByte(platform) ? name[1]! : name[0]! | (name[1]! << 8);
      const isBytes =
        Array.isArray(value) &&
        value[0] === family &&
        value[1] instanceof Uint8Array &&
        hex(value[1]) === hex(name.subarray(2));
      // A path may end anywhere; IPv4 ends with padding, IPv6 once ended without a scope.
      const isShort = typeof value === "string" && hex(whole).slice(4).startsWith(Buffer.from(value).toString("hex"));
      const isInternet = Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number";
      return isBytes || isShort || (isInternet && name.length >= 8) ? [] : [{ name: hex(name), value }];
    });
    expect(wrong).toEqual([]);
  });

  test("a name that is longer than its structure is the same address", () => {
    const fixed = here.filter(({ family }) => family !== "AF_UNIX");
    const requests = fixed.map(({ name, proto }) =>
      decode(new Uint8Array([...nameOf(name), ...Array(40).fill(0xee)]), proto),
    );
    expect(ask(platform, requests)).toEqual(fixed.map(({ address, decoded }) => ({ value: sent(decoded ?? address) })));
  });

  test("a name may end where its address does", () => {
    const early = here.filter(({ least }) => least !== undefined);
    const requests = early.map(({ name, proto, least }) => decode(nameOf(name).subarray(0, least), proto));
    expect(ask(platform, requests)).toEqual(early.map(({ address, decoded }) => ({ value: sent(decoded ?? address) })));
    expect(early.length > 0).toBe(platform === "linux");
  });

  test("a path may fill its place, and has no NUL then; on Windows one must follow", () => {
    const max = Number(layouts.get("sizeof(((struct sockaddr_un *)0)->sun_path)"));
    const full = `/${"x".repeat(max - 1)}`;
    const path = platform === "win32" ? full.slice(1) : full;
    const name = new Uint8Array([...header(platform, 1, max + 2), ...Buffer.from(path)]);
    const [encoded, decoded, tooLong, padded, unnamed, abstract] = ask(platform, [
      { do: "encode", family: "AF_UNIX", address: path },
      decode(new Uint8Array([...header(platform, 1, max + 2), ...Buffer.from(full)])),
      { do: "encode", family: "AF_UNIX", address: `${path}x` },
      decode(new Uint8Array([...header(platform, 1, 106), ...Buffer.from("/a\0b"), ...new Uint8Array(100)])),
      decode(new Uint8Array(header(platform, 1, 2))),
      { do: "encode", family: "AF_UNIX", address: Buffer.from("\0name") },
    ]);
    expect(encoded).toEqual({ value: platform === "win32" ? new Uint8Array([...name, 0]) : name });
    expect(decoded).toEqual({ value: full });
    expect(tooLong).toMatchObject({ thrown: "OSError", message: expect.stringMatching(/^bind ENAMETOOLONG /) });
    expect(padded).toEqual({ value: "/a" });
    expect(unnamed).toEqual({ value: "" });
    if (platform === "linux") expect(abstract).toEqual({ value: bytes("0100006e616d65") });
    else expect(abstract).toMatchObject({ thrown: "RangeError", message: expect.stringMatching(/^address: /) });
  });

  test("a family without a codec has its number and its bytes", () => {
    const family = 77; // nobody's
    const name = new Uint8Array([...header(platform, family, 5), 1, 2, 3]);
    const [encoded, decoded, tooLarge, tooLong, fits] = ask(platform, [
      { do: "encode", family, address: [family, new Uint8Array([1, 2, 3])] },
      decode(name),
      { do: "encode", family, address: [hasLengthByte(platform) ? 256 : 65536, new Uint8Array(1)] },
      { do: "encode", family, address: [family, new Uint8Array(127)] },
      { do: "encode", family, address: [family, new Uint8Array(126)] },
    ]);
    expect(encoded).toEqual({ value: name });
    expect(decoded).toEqual({ value: [family, bytes("010203")] });
    expect(tooLarge).toMatchObject({ thrown: "RangeError", message: expect.stringMatching(/^address\[0\]: /) });
    expect(tooLong).toMatchObject({ thrown: "RangeError", message: expect.stringMatching(/^address\[1\]: /) });
    expect(fits).toEqual({ value: new Uint8Array([...header(platform, family, 128), ...new Uint8Array(126)]) });
  });

  test("what is no address is refused, and named", () => {
    const rows = refused
      .filter(({ platforms }) => platforms.includes(platform))
      .flatMap(({ family, proto, addresses }) =>
        addresses.map(([address, error]) => ({ family, proto, address, error })),
      );
    const answers = ask(
      platform,
      rows.map(({ family, proto, address }) => ({ do: "encode", family, address, ...(proto ? { proto } : {}) })),
    );
    const wrong = rows.flatMap(({ error, address, proto }, i) => {
      const answer = answers[i]!;
      const got = "thrown" in answer ? `${answer.thrown} ${answer.message}` : `value ${hex(answer.value)}`;
      return got.startsWith(error) ? [] : [{ proto, address, error, got }];
    });
    expect(wrong).toEqual([]);
    // macOS has no family of these but its own.
    expect(rows.length).toBeGreaterThan(5);
  });

  test("constants are those of the headers", () => {
    const names = numbers[platform].filter((name) => /^[A-Z]\w+$/.test(name));
    const [answer] = ask(platform, [{ do: "constants", names }]);
    expect(answer).toEqual({ value: names.map((name) => Number(layouts.get(name))) });
  });

  test("no control message is shorter than the library takes for the shortest", () => {
    expect(Number(layouts.get("sizeof(struct cmsghdr)"))).toBeGreaterThanOrEqual(12); // HEAD of message.ts
    expect(Number(layouts.get("sizeof(struct sockaddr_storage)"))).toBe(128); // NAME_MAX of native.ts
  });
});

const bluetooth = ["linux", "freebsd", "netbsd", "win32"] as const;
test.each(bluetooth)("%s: Bluetooth of a protocol without a codec has bytes", (platform) => {
  const [constants] = ask(platform, [{ do: "constants", names: ["AF_BLUETOOTH"] }]);
  const [family] = (constants as { value: [number] }).value;
  const address = [family, new Uint8Array([1, 2, 3])];
  const [encoded, decoded] = ask(platform, [
    { do: "encode", family, proto: 99, address },
    { do: "decode", bytes: new Uint8Array([...header(platform, family, 5), 1, 2, 3]), proto: 99 },
  ]);
  expect(encoded).toEqual({ value: new Uint8Array([...header(platform, family, 5), 1, 2, 3]) });
  expect(decoded).toEqual({ value: address });
});

test("FreeBSD's AF_HYPERV is not that of Windows, and has bytes", () => {
  const name = new Uint8Array([16, 43, ...new Uint8Array(14).fill(1)]);
  expect(ask("freebsd", [{ do: "decode", bytes: name }])).toEqual([{ value: [43, new Uint8Array(14).fill(1)] }]);
});

test("Windows' AF_LINK has bytes", () => {
  const name = new Uint8Array([33, 0, ...new Uint8Array(14).fill(1)]);
  expect(ask("win32", [{ do: "decode", bytes: name }])).toEqual([{ value: [33, new Uint8Array(14).fill(1)] }]);
});

test("macOS: a kernel event's name is not taken for a control's", () => {
  const name = new Uint8Array([32, 32, 1, 0, ...new Uint8Array(28)]);
  expect(ask("darwin", [{ do: "decode", bytes: name }])).toEqual([{ value: [32, name.slice(2)] }]);
});

test("macOS: a control's name is looked up by CTLIOCGINFO", async () => {
  const layouts = await readLayouts("darwin");
  const info = layouts.get("ctl_info")!;
  const control = "com.apple.net.utun_control";
  const [found, unknown] = ask("darwin", [
    { do: "lookup", control, address: control },
    { do: "lookup", control: "another", address: "x".repeat(95) },
  ]);
  // The structure as the compiler has it, but for the number, which is the kernel's to write.
  const argument = `00000000${info.slice(8)}`;
  const name = bytes(layouts.get("system")!);
  name[8] = 0; // any unit
  expect(found).toEqual({ value: { name, asked: [{ request: Number(layouts.get("CTLIOCGINFO")), argument }] } });
  expect(unknown).toMatchObject({ thrown: "FileNotFoundError", message: expect.stringMatching(/^ioctl ENOENT x+: /) });
});

test.each(["darwin", "freebsd", "netbsd"] as const)("%s: linkAddress reads a sockaddr_dl", async (platform) => {
  const link = bytes((await readLayouts(platform)).get("link")!);
  const expected = { value: ["en0", 0x102, 6, bytes("0200005e1001")] };
  const without = new Uint8Array([8, 18, 0, 0, 0, 0, 0, 0]); // what IP_RECVIF gives where there is no interface
  const answers = ask(platform, [
    { do: "decode", bytes: link },
    { do: "link", address: link },
    { do: "link", address: [18, link.subarray(2)] },
    { do: "link", address: link.subarray(0, 17) },
    { do: "link", address: without },
    { do: "link", address: link.subarray(0, 16) },
    { do: "link", address: link.subarray(0, 7) },
    { do: "link", address: [33, link.subarray(2)] },
    { do: "link", address: new Uint8Array([255, 18, 1, 0, 6, 255, 255, 255, ...new Uint8Array(20)]) },
    { do: "link", address: new Uint8Array([0, 18, 1, 0, 6, 1, 0, 0, 65]) },
  ]);
  expect(answers.slice(0, 5)).toEqual([
    { value: [18, link.slice(2)] },
    expected,
    expected,
    expected,
    { value: ["", 0, 0, new Uint8Array(0)] },
  ]);
  for (const answer of answers.slice(5)) {
    expect(answer).toMatchObject({ thrown: "RangeError", message: expect.stringMatching(/^address: .*sockaddr_dl/) });
  }
});
