import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import * as sockets from "../src/index.ts";
import {
  AF_INET,
  AF_INET6,
  AI_CANONNAME,
  AI_NUMERICHOST,
  AI_PASSIVE,
  gaierror,
  getaddrinfo,
  getfqdn,
  gethostbyaddr,
  gethostbyname,
  gethostbyname_ex,
  gethostname,
  getnameinfo,
  getprotobyname,
  getservbyname,
  getservbyport,
  NI_NUMERICHOST,
  NI_NUMERICSERV,
  OSError,
  sethostname,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../src/index.ts";
import { isLinux, isWindows, muslVersion, needs, slowness } from "./help.ts";
import { inNamespace, missing } from "./namespace.ts";

const onMusl = muslVersion !== null;
const library = join(import.meta.dir, "..", "src", "index.ts");
const no = (value: unknown): never => value as never;
const numeric = NI_NUMERICHOST | NI_NUMERICSERV;

function failed(call: () => unknown): OSError {
  try {
    call();
  } catch (error) {
    if (error instanceof OSError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("getaddrinfo", () => {
  test("a number and a port", () => {
    const [four, six] = onMusl ? ["127.0.0.1", "::1"] : ["", ""]; // musl tells the canonical name unasked
    expect(getaddrinfo("127.0.0.1", 80, AF_INET, SOCK_STREAM)).toEqual([
      [AF_INET, SOCK_STREAM, isWindows ? 0 : 6, four, ["127.0.0.1", 80]], // Windows tells the protocol that it was asked for
    ]);
    expect(getaddrinfo("::1", "80", { type: SOCK_DGRAM })).toEqual([
      [AF_INET6, SOCK_DGRAM, isWindows ? 0 : 17, six, ["::1", 80, 0, 0]],
    ]);
    expect(getaddrinfo("127.1", null, { type: SOCK_STREAM })[0]?.[4]).toEqual(["127.0.0.1", 0]);
  });

  test("no host: the loopback, or every address", () => {
    const hosts = (flags: number): string[] =>
      getaddrinfo(null, 9, { type: SOCK_STREAM, flags }).map(([, , , , [host]]) => host);
    for (const host of hosts(0)) expect(["127.0.0.1", "::1"]).toContain(host);
    for (const host of hosts(AI_PASSIVE)) expect(["0.0.0.0", "::"]).toContain(host);
    expect(hosts(0).length).toBeGreaterThan(0);
  });

  test("the canonical name is that of the first answer", () => {
    const found = getaddrinfo("127.0.0.1", 9, { flags: AI_CANONNAME });
    const others = onMusl ? "127.0.0.1" : ""; // and with every answer
    expect(found.map(([, , , name]) => name)).toEqual(["127.0.0.1", ...found.slice(1).map(() => others)]);
  });

  test("what it answers with is what sockets take", () => {
    for (const [family, type, proto, , address] of getaddrinfo("127.0.0.1", 0, { type: SOCK_STREAM })) {
      using sock = new sockets.Socket(family, type, proto);
      sock.bind(address);
      expect(sock.getsockname()).toMatchObject(["127.0.0.1", expect.any(Number)]);
    }
  });

  const refused: [code: string, host: string | null, port: number | string | null, options: sockets.LookupOptions][] = [
    ["EAI_NONAME", "256.1.1.1", 80, { flags: AI_NUMERICHOST }],
    ["EAI_NONAME", null, null, {}],
    ["EAI_FAMILY", "127.0.0.1", 80, { family: 99 }],
    [onMusl ? "EAI_SERVICE" : "EAI_SOCKTYPE", "127.0.0.1", 80, { type: 99 }],
    ["EAI_SERVICE", "127.0.0.1", "nosuch", { type: SOCK_STREAM }],
    ["EAI_BADFLAGS", "127.0.0.1", 80, { flags: 0x4000_0000 }],
    // musl gives no name to no host; others refuse to be asked.
    ...(onMusl ? [] : ([["EAI_BADFLAGS", null, 80, { flags: AI_CANONNAME }]] as [string, null, number, object][])),
  ];
  // Wine takes every flag.
  const told = isWindows ? refused.filter(([code]) => code !== "EAI_BADFLAGS") : refused;
  needs("resolver whose errors are known here", isLinux || isWindows).each(told)("%s", (code, host, port, options) => {
    const error = failed(() => getaddrinfo(host, port, options));
    expect(error).toBeInstanceOf(gaierror);
    expect(error.syscall).toBe("getaddrinfo");
    expect(error.code).toBe(code);
    expect(error.errno).toBe((sockets as unknown as Record<string, number>)[code] ?? NaN);
    expect(error.message).toStartWith(`getaddrinfo ${code}${host === null ? "" : ` ${host}`}: `);
  });

  test("wrong arguments", () => {
    for (const host of [undefined, 1, true, Buffer.from("x"), ["x"]])
      expect(() => getaddrinfo(no(host), 80, 0)).toThrow(TypeError);
    for (const port of [undefined, 1.5, NaN, true, {}, 1n])
      expect(() => getaddrinfo("::1", no(port), 0)).toThrow(TypeError);
    for (const port of [-1, 65536, 2 ** 32, "65536", "99999999999", "+65616", " 65616"])
      expect(() => getaddrinfo("::1", port)).toThrow(RangeError);
    for (const text of ["a\0", "\0", "\ud800"]) {
      expect(() => getaddrinfo(text, 80)).toThrow(RangeError);
      expect(() => getaddrinfo("::1", text)).toThrow(RangeError);
    }
    for (const name of ["family", "type", "proto", "flags"]) {
      for (const value of [undefined, null, "1", 1.5]) {
        expect(() => getaddrinfo("::1", 80, no({ [name]: value }))).toThrow(TypeError);
      }
    }
    expect(() => getaddrinfo("::1", 80, no({ socktype: 1 }))).toThrow('there is no option "socktype"');
    expect(() => getaddrinfo("::1", 80, no(undefined))).toThrow("a constant that this platform lacks");
  });

  test.each([
    "a..b",
    ".a",
    "..",
    ".",
    "a".repeat(64),
    `${"a".repeat(64)}.b`,
    `b.${"a".repeat(64)}`,
    "é".repeat(64),
    ...["é/x", "é?x", "é#x", "é:80", "u@é", "é%41", "é\tx", "é x", "é\\x", "[é]"],
  ])("%p is no host's name", (host) => {
    for (const call of [
      () => getaddrinfo(host, 80),
      () => gethostbyname(host),
      () => gethostbyname_ex(host),
      () => gethostbyaddr(host),
      () => getfqdn(host),
      () => getnameinfo([host, 80], numeric),
    ]) {
      expect(call).toThrow(RangeError);
    }
  });
});

describe("getnameinfo", () => {
  test("numbers", () => {
    expect(getnameinfo(["127.0.0.1", 80], numeric)).toEqual(["127.0.0.1", "80"]);
    expect(getnameinfo(["::1", 0, 0, 0], numeric)).toEqual(["::1", "0"]);
    expect(getnameinfo(["2001:DB8::0:1", 65535], numeric)).toEqual(["2001:db8::1", "65535"]);
  });

  test("a scope is shown by its interface's name", () => {
    const [index, name] = sockets.if_nameindex()[0] ?? [1, ""];
    const [host, port] = getnameinfo(["fe80::1", 80, 0, index], numeric);
    expect([host.split("%")[0], port]).toEqual(["fe80::1", "80"]);
    if (isWindows) return expect(getnameinfo([host, 80], numeric)).toEqual([host, "80"]); // its number, under Wine Linux' name
    expect(host).toBe(`fe80::1%${name}`);
    expect(getnameinfo([`fe80::1%${name}`, 80], numeric)).toEqual([`fe80::1%${name}`, "80"]);
    expect(getnameinfo(["fe80::1", 80], numeric)).toEqual(["fe80::1", "80"]);
  });

  test("what is no address of a number", () => {
    expect(failed(() => getnameinfo(["localhost", 80], numeric)).code).toBe("EAI_NONAME");
    expect(failed(() => getnameinfo(["127.0.0.1", 80, 0], numeric)).message).toContain("IPv4 sockaddr must be 2 tuple");
    for (const port of [-1, 65536, 2 ** 31])
      expect(() => getnameinfo(["127.0.0.1", port], numeric)).toThrow(RangeError);
    for (const flow of [-1, 0x100000]) expect(() => getnameinfo(["::1", 1, flow], numeric)).toThrow(RangeError);
    for (const address of [undefined, null, "::1", [], ["::1"], ["::1", 1, 2, 3, 4], [1, 1], ["::1", "1"]]) {
      expect(() => getnameinfo(no(address), numeric)).toThrow(TypeError);
    }
    for (const flags of [undefined, null, "1", 1.5])
      expect(() => getnameinfo(["::1", 1], no(flags))).toThrow(TypeError);
  });
});

describe("hosts", () => {
  test("numbers, and the two that stand for some", () => {
    expect(gethostbyname("1.2.3.4")).toBe("1.2.3.4");
    expect(gethostbyname("127.1")).toBe("127.0.0.1");
    expect(gethostbyname("")).toBe("0.0.0.0");
    expect(gethostbyname("<broadcast>")).toBe("255.255.255.255");
    expect(gethostbyname_ex("127.0.0.1")).toEqual(["127.0.0.1", onMusl ? ["127.0.0.1"] : [], ["127.0.0.1"]]);
    expect(() => gethostbyaddr("")).toThrow("wildcard resolved to multiple addresses");
  });

  test("wrong types", () => {
    for (const host of [undefined, null, 1, Buffer.from("x"), []]) {
      for (const call of [gethostbyname, gethostbyname_ex, gethostbyaddr])
        expect(() => call(no(host))).toThrow(TypeError);
    }
    expect(() => getfqdn(no(null))).toThrow(TypeError);
  });

  test("this machine's name", () => {
    expect(gethostname()).toBe(hostname());
  });

  test("sethostname: wrong arguments", () => {
    if (isWindows) return expect(() => sethostname("x")).toThrow(/^sethostname: win32 has no such call/);
    for (const name of [undefined, null, 1, []]) expect(() => sethostname(no(name))).toThrow(TypeError);
    for (const name of ["a\0b", "\ud800"]) expect(() => sethostname(name)).toThrow(RangeError);
  });

  // Root may, so that it asks in a namespace where it is nobody.
  const nobody = process.getuid?.() === 0 ? ["unshare", "--user"] : [];
  const lacking =
    process.platform === "win32"
      ? "sethostname"
      : nobody.length > 0 && Bun.spawnSync([...nobody, process.execPath, "--version"]).exitCode !== 0
        ? "unshare --user"
        : "";
  test.skipIf(lacking !== "")(`sethostname: not allowed${lacking && ` (no ${lacking} here)`}`, () => {
    const body = `
      const { gethostname, OSError, PermissionError, sethostname } = await import(${JSON.stringify(library)});
      try {
        sethostname(gethostname());
      } catch (error) {
        console.log(error instanceof PermissionError, error.code, error.syscall, error.address);
      }`;
    const { stdout } = Bun.spawnSync([...nobody, process.execPath, "-e", body], { timeout: 10_000 * slowness });
    expect(stdout.toString()).toBe("true EPERM sethostname undefined\n");
  });
});

describe("services and protocols", () => {
  test("the well-known", () => {
    expect([getservbyname("http"), getservbyname("http", "tcp"), getservbyname("domain", "udp")]).toEqual([80, 80, 53]);
    expect([getservbyport(80, "tcp"), getservbyport(53, "udp")]).toEqual(["http", "domain"]);
    expect([getprotobyname("icmp"), getprotobyname("tcp"), getprotobyname("udp")]).toEqual([1, 6, 17]);
  });

  test("every service is found again by the port that it has", () => {
    const all = isWindows ? "http 80/tcp" : readFileSync("/etc/services", "utf8");
    // The first line that has a name, as its own or as an alias, counts.
    const ports = new Map<string, number>();
    const names = new Map<string, string>();
    for (const line of all.split("\n")) {
      const [name = "", port = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
      const [number = "", protocol = ""] = port.split("/");
      if (protocol === "" || (onMusl && !["tcp", "udp"].includes(protocol))) continue; // musl knows these two
      for (const one of [name, ...aliases]) {
        if (!ports.has(`${one} ${protocol}`)) ports.set(`${one} ${protocol}`, Number(number));
      }
      if (!names.has(port)) names.set(port, onMusl && name.length > 15 ? "" : name); // RFC 6335: 15 letters at most
    }
    expect(names.size).toBeGreaterThan(0);
    for (const [service, port] of ports) {
      const [name = "", protocol = ""] = service.split(" ");
      expect([service, getservbyname(name, protocol)]).toEqual([service, port]);
    }
    for (const [port, name] of names) {
      const [number, protocol] = port.split("/");
      if (name === "") expect(() => getservbyport(Number(number), protocol)).toThrow("ENOENT");
      else expect([port, getservbyport(Number(number), protocol)]).toEqual([port, name]);
    }
  });

  test("the unknown", () => {
    const calls: [syscall: string, address: unknown, call: () => unknown][] = [
      ["getservbyname", "nosuch", () => getservbyname("nosuch")],
      ["getservbyname", "http", () => getservbyname("http", "nosuch")],
      ["getservbyport", 1, () => getservbyport(1, "nosuch")],
      ["getprotobyname", "nosuch", () => getprotobyname("nosuch")],
    ];
    for (const [syscall, address, call] of calls) {
      const error = failed(call);
      expect([error.constructor, error.code, error.syscall, error.address]).toEqual([
        OSError,
        "ENOENT",
        syscall,
        address,
      ]);
      expect(error.message).toMatch(/: no such (service|protocol)$/);
    }
  });

  test("wrong arguments", () => {
    for (const name of [undefined, null, 1, []]) {
      expect(() => getservbyname(no(name))).toThrow(TypeError);
      expect(() => getprotobyname(no(name))).toThrow(TypeError);
    }
    for (const protocol of [null, 1, []]) {
      expect(() => getservbyname("http", no(protocol))).toThrow(TypeError);
      expect(() => getservbyport(80, no(protocol))).toThrow(TypeError);
    }
    for (const name of ["http\0", "\0", "\ud800"]) {
      expect(() => getservbyname(name)).toThrow(RangeError);
      expect(() => getservbyname("http", name)).toThrow(RangeError);
      expect(() => getprotobyname(name)).toThrow(RangeError);
    }
    for (const port of [-1, 65536, 2 ** 32]) expect(() => getservbyport(port)).toThrow(RangeError);
    for (const port of [undefined, null, "80", 1.5, NaN]) expect(() => getservbyport(no(port))).toThrow(TypeError);
  });
});

/** What names-there.ts tells. */
const there = {
  both: [
    [AF_INET6, "fd00::1"],
    [AF_INET, "10.0.0.1"],
  ],
  canonical: "one.test",
  idna: ["10.0.0.7", "10.0.0.7", "10.0.0.7"],
  many: 25,
  hosted: ["hosted.test", ["hosted", "other"], ["10.1.1.1", "10.1.1.2"]],
  reverse: ["one.test", [], ["10.0.0.1"]],
  reverse6: ["one.test", [], ["fd00::1"]],
  full: ["hosted.test", "nick.test", "nodots", "missing.test", "two"],
  named: ["one.test", "http"],
  hostnames: ["hosted", "second", "bytes", "\udcff"],
  failures: [
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name or service not known",
    "gaierror -3: getaddrinfo EAI_AGAIN servfail.test: Temporary failure in name resolution",
    "gaierror -5: getaddrinfo EAI_NODATA nodata.test: No address associated with hostname",
    "gaierror -9: getaddrinfo EAI_ADDRFAMILY ::1: Address family for hostname not supported",
    "gaierror -2: getaddrinfo EAI_NONAME bücher.missing.test: Name or service not known",
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name or service not known",
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name or service not known",
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name or service not known",
    "gaierror -2: getnameinfo EAI_NONAME 10.0.0.3: Name or service not known",
    "gaierror -3: getnameinfo EAI_AGAIN 10.0.0.4: Temporary failure in name resolution",
    "herror 1: gethostbyaddr HOST_NOT_FOUND 10.0.0.3: Unknown host",
    "herror 2: gethostbyaddr TRY_AGAIN 10.0.0.4: Host name lookup failure",
    "herror 4: gethostbyaddr NO_DATA 10.0.0.5: No address associated with name",
    "herror 1: gethostbyname_ex HOST_NOT_FOUND <broadcast>: Unknown host",
  ],
};

// Before 1.2.4 musl asked by UDP alone, of whose answers 512 bytes count, and told nothing of names without an address.
const oldMusl = muslVersion !== null && Bun.semver.order(muslVersion, "1.2.4") < 0;
const noData = oldMusl
  ? (host: string) => `gaierror -2: getaddrinfo EAI_NONAME ${host}: Name does not resolve`
  : (host: string) => `gaierror -5: getaddrinfo EAI_NODATA ${host}: Name has no usable address`;

/** The same on musl: names have no other names but themselves, and a number without a name is its own. */
const thereOnMusl: typeof there = {
  ...there,
  both: there.both.toReversed(), // IPv4 first where no route leads to either
  many: oldMusl ? 19 : 25,
  hosted: ["hosted.test", ["hosted.test"], ["10.1.1.1", "10.1.1.2"]],
  reverse: ["one.test", ["one.test"], ["10.0.0.1"]],
  reverse6: ["one.test", ["one.test"], ["fd00::1"]],
  full: ["hosted.test", "plain", "nodots", "missing.test", "two.test"],
  failures: [
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name does not resolve",
    "gaierror -3: getaddrinfo EAI_AGAIN servfail.test: Try again",
    noData("nodata.test"),
    noData("::1"),
    "gaierror -2: getaddrinfo EAI_NONAME bücher.missing.test: Name does not resolve",
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name does not resolve",
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name does not resolve",
    "gaierror -2: getaddrinfo EAI_NONAME missing.test: Name does not resolve",
    "gaierror -2: getnameinfo EAI_NONAME 10.0.0.3: Name does not resolve",
    "gaierror -2: getnameinfo EAI_NONAME 10.0.0.4: Name does not resolve",
    'no failure: ["10.0.0.3",["10.0.0.3"],["10.0.0.3"]]',
    'no failure: ["10.0.0.4",["10.0.0.4"],["10.0.0.4"]]',
    'no failure: ["10.0.0.5",["10.0.0.5"],["10.0.0.5"]]',
    "herror 1: gethostbyname_ex HOST_NOT_FOUND <broadcast>: Host not found",
  ],
};

describe("a name server of its own", () => {
  test.skipIf(missing !== "")(
    `its answers, its failures and their texts${missing && ` (no ${missing} here)`}`,
    () => {
      const found = inNamespace<unknown>(join(import.meta.dir, "names-there.ts"));
      expect(found).toEqual(onMusl ? thereOnMusl : there);
    },
    30_000 * slowness,
  );
});
