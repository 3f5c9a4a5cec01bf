/**
 * The tools of networks in examples/, each with a real other end: hosts in networks of the test's own, with routers between
 * them, and servers of other people. Peers: iputils-ping, dnsmasq, dig, socat.
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import dns, { type Answer, type Packet } from "dns-packet";
import {
  AF_INET,
  AF_INET6,
  getnameinfo,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IP,
  IPPROTO_TCP,
  IP_RECVERR,
  SO_LINGER,
  SO_TIMESTAMPING,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_SOCKET,
  TCP_INFO,
} from "../src/index.ts";
import { createServer, Socket as AsyncSocket } from "../src/promises.ts";
import { linger } from "../src/messages.ts";
import { isLinux, isWindows, needs, slowness, works, worksInEmulator } from "./help.ts";
import { join as link, lacking, Network } from "./networks.ts";
import { Program } from "./program.ts";
import { program, Server } from "./promises/servers.ts";

// Programs start slowly on a machine that is busy.
setDefaultTimeout(30_000 * slowness);

const command = (name: string, ...args: string[]) => [
  process.execPath,
  join(import.meta.dir, "..", "examples", name),
  ...args,
];
const example = (name: string, ...args: string[]) => new Program(command(name, ...args));
const run = (name: string, ...args: string[]) => example(name, ...args).end();
const runIn = (net: Network, name: string, ...args: string[]) =>
  net.inside(() => new Program(command(name, ...args))).end();

afterEach(async () => {
  for (const program of Program.running) await program.kill();
});

const inNetwork = needs(lacking, lacking === "");

/** A client, two routers and a target, each with IPv4 and IPv6. */
const chain: Network[] = [];
const TARGET = "10.3.0.2";
const TARGET6 = "fd00:3::2";

beforeAll(() => {
  if (lacking !== "") return;
  for (let i = 0; i < 4; i++) {
    const net = new Network();
    chain.push(net);
    // So that no test has to wait for the last one's: Linux sends a host six reports at once, and then one each second.
    net.run("sh", "-c", "cd /proc/sys/net; echo 0 > ipv4/icmp_ratemask; echo > ipv6/icmp/ratemask");
    if (i === 0) continue;
    const [near, far] = [chain[i - 1]!, chain[i]!];
    link(near, "right", far, "left");
    const ends = [
      [near, "right", 1],
      [far, "left", 2],
    ] as const;
    for (const [net, ifname, number] of ends) {
      net.run("sh", "-c", `echo 0 > /proc/sys/net/ipv6/conf/${ifname}/disable_ipv6`);
      net.ip(`address add 10.${i}.0.${number}/24 dev ${ifname}`);
      net.ip(`address add fd00:${i}::${number}/64 dev ${ifname} nodad`);
    }
  }
  for (const [i, net] of chain.entries()) {
    if (i < 3) {
      net.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
      net.ip(`route add ${i === 2 ? "10.9.0.0/16" : "default"} via 10.${i + 1}.0.2`);
      net.ip(`-6 route add ${i === 2 ? "fd00:9::/32" : "default"} via fd00:${i + 1}::2`);
    }
    for (let to = 1; to < i; to++) {
      net.ip(`route add 10.${to}.0.0/24 via 10.${i}.0.1`);
      net.ip(`-6 route add fd00:${to}::/64 via fd00:${i}::1`);
    }
  }
  // An address is found by the others some time after it was added.
  while (chain.some((net) => net.ip("-6 address show tentative") !== "")) Bun.sleepSync(20);
});
afterAll(() => {
  for (const net of chain) net[Symbol.dispose]();
});

/** Makes the loopback of a network a slow line (20 Mbit/s), which drops what would wait for more than 30 ms. */
function slowDown(net: Network): void {
  net.ip("link set lo mtu 1500");
  net.run(...`${program("tc")} qdisc add dev lo root tbf rate 20mbit burst 5000 latency 30ms`.split(" "));
}

function maySlowDown(): boolean {
  try {
    using net = new Network();
    slowDown(net);
    return true;
  } catch {
    return false;
  }
}

describe("ping.ts", () => {
  const mayPingUnprivileged = works(() => new Socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  const mayPing = mayPingUnprivileged || works(() => new Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  const mayPing6 =
    works(() => new Socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6)) ||
    works(() => new Socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));

  const figures = String.raw`min/avg/max/mdev ([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+) ms$`;
  const answered = (host: string, kind: string, bytes: number, ttl: string) =>
    new RegExp(
      `^ping ${host} \\(${host}\\), ${kind}\n` +
        [1, 2, 3].map((seq) => `${bytes} bytes from ${host}: seq=${seq}${ttl} time=[\\d.]+ ms\n`).join("") +
        `3 sent, 3 received, 0% lost\n${figures}`,
    );

  needs("right to ping", mayPing)("127.0.0.1 answers", async () => {
    const { status, stdout, stderr } = await run("ping.ts", "-c", "3", "-i", "0", "127.0.0.1");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(answered("127.0.0.1", "(datagram|raw) socket", 64, "( ttl=\\d+)?"));
    const [, , min, average, max] = new RegExp(`(.*)\n${figures}`).exec(stdout)!.map(Number);
    expect(min).toBeLessThanOrEqual(average!);
    expect(average).toBeLessThanOrEqual(max!);
  });

  needs("right to ping", mayPing6)("::1 answers, with as many bytes as were asked for", async () => {
    const { stdout } = await run("ping.ts", "-6", "-c3", "-i0.01", "-s", "1001", "::1");
    expect(stdout).toMatch(answered("::1", "(datagram|raw) socket", 1009, "( ttl=\\d+)?"));
  });

  needs("right to ping and signals", mayPing && !isWindows)("Ctrl-C ends it with the figures", async () => {
    const program = example("ping.ts", "-i", "0.05", "127.0.0.1");
    await program.line(/seq=3/);
    process.kill(program.pid, "SIGINT");
    const { status, stdout } = await program.end();
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`\n(\\d+) sent, (?:\\1|\\d+) received, \\d+% lost\n${figures}`));
  });

  needs("ping for root alone", !mayPing)("who may not ping is told so", async () => {
    const { status, stdout, stderr } = await run("ping.ts", "-c1", "127.0.0.1");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^socket E\w+: .*\n$/);
  });

  const wrong: [args: string[], message: string | RegExp, status: number][] = [
    [["-t", "300", "127.0.0.1"], "-t takes a whole number from 1 to 255, not 300\n", 2],
    [["-c", "1.5", "127.0.0.1"], "-c takes a whole number from 1 to 2147483648, not 1.5\n", 2],
    [["-i", "", "127.0.0.1"], "-i takes a number from 0 to 3600, not \n", 2],
    [["-s", "65508", "127.0.0.1"], "-s takes a whole number from 0 to 65507, not 65508\n", 2],
    [["nowhere.invalid"], /^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/, 1],
    [["-6", "127.0.0.1"], /^getaddrinfo EAI_\w+ 127\.0\.0\.1: .+\n$/, 1],
  ];
  test.each(wrong)("%j is told in a line", async (args, message, status) => {
    const ended = await run("ping.ts", ...args);
    expect(ended).toMatchObject({ status, stdout: "" });
    if (typeof message === "string") expect(ended.stderr).toBe(message);
    else expect(ended.stderr).toMatch(message);
  });

  /** Opens the range of groups that may have a datagram socket, or closes it. */
  const setRange = (range: string) => chain[0]!.run("sh", "-c", `echo ${range} > /proc/sys/net/ipv4/ping_group_range`);

  describe.each([
    ["datagram socket", "0 2147483647"],
    ["raw socket", "1 0"],
  ])("over two routers, by a %s", (kind, range) => {
    beforeAll(() => {
      if (lacking === "") setRange(range);
    });

    inNetwork.each([TARGET, TARGET6])("%s answers", async (host) => {
      const { status, stdout } = await runIn(chain[0]!, "ping.ts", "-c3", "-i0.1", "-W3", host);
      expect(stdout).toMatch(answered(host, kind, 64, " ttl=62"));
      expect(status).toBe(0);
      // The time is the kernel's: it has nothing of how long this busy machine takes to run the program.
      expect(Number(new RegExp(figures).exec(stdout)![1])).toBeLessThan(1 * slowness);
    });

    const reported: [host: string, ttl: string, by: string, what: string][] = [
      [TARGET, "1", "10.1.0.2", "time to live exceeded"],
      [TARGET, "2", "10.2.0.2", "time to live exceeded"],
      [TARGET6, "2", "fd00:2::2", "time to live exceeded"],
      ["10.77.0.1", "9", "10.2.0.2", "unreachable: network"],
      ["fd00:77::1", "9", "fd00:2::2", "unreachable: no route to the address"],
    ];
    inNetwork.each(reported)("%s with a TTL of %s: %s reports %s", async (host, ttl, by, what) => {
      const { status, stdout } = await runIn(chain[0]!, "ping.ts", "-c1", "-t", ttl, "-W", "5", host);
      expect(stdout).toEndWith(`\nfrom ${by}: seq=1 ${what}\n1 sent, 0 received, 100% lost`);
      expect(status).toBe(1);
    });
  });

  needs(lacking || "ping: install Debian's iputils-ping", lacking === "" && Bun.which("ping") !== null).each([
    TARGET,
    TARGET6,
  ])("%s answers ping as often, and by the same number of routers", async (host) => {
    const [, theirCount, theirTtl] = /ttl=(\d+)[^]*? (\d+) received/.exec(
      chain[0]!.run("ping", "-c", "4", "-i", "0.01", host),
    )!;
    const { stdout } = await runIn(chain[0]!, "ping.ts", "-c4", "-i0.01", host);
    const [, ourCount, ourTtl] = /ttl=(\d+)[^]*? (\d+) received/.exec(stdout)!;
    expect([ourCount, ourTtl]).toEqual([theirCount, theirTtl]);
  });

  inNetwork("no answer is told, and is status 1", async () => {
    chain[3]!.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all");
    try {
      const { status, stdout } = await runIn(chain[0]!, "ping.ts", "-c2", "-i0.01", "-W0.3", TARGET);
      expect(stdout).toEndWith("no answer: seq=1\nno answer: seq=2\n2 sent, 0 received, 100% lost");
      expect(status).toBe(1);
    } finally {
      chain[3]!.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all");
    }
  });

  inNetwork("what cannot be sent is told", async () => {
    using alone = new Network();
    const { status, stdout } = await runIn(alone, "ping.ts", "-c1", "10.0.0.1");
    expect(stdout).toMatch(/\nseq=1 sendto ENETUNREACH .*\n1 sent, 0 received, 100% lost$/);
    expect(status).toBe(1);
  });
});

describe("traceroute.ts", () => {
  const hasErrorQueue =
    isLinux &&
    worksInEmulator(() => {
      using sock = new Socket(AF_INET, SOCK_DGRAM);
      sock.setsockopt(IPPROTO_IP, IP_RECVERR, 1);
      sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, 18);
    });

  const took = String.raw`  \d+\.\d{3} ms`;
  const hop = (ttl: number, from: string, times = 3) => `\n ${ttl}  ${from}${took.repeat(times)}`;

  const ways: [host: string, way: string[]][] = [
    [TARGET, ["10.1.0.2", "10.2.0.2", TARGET]],
    [TARGET6, ["fd00:1::2", "fd00:2::2", TARGET6]],
  ];
  inNetwork.each(ways)("the way to %s is that of the routers", async (host, way) => {
    const { status, stdout, stderr } = await runIn(chain[0]!, "traceroute.ts", "-n", host);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const hops = way.map((from, i) => hop(i + 1, from)).join("");
    expect(stdout).toMatch(
      new RegExp(`^traceroute to ${host} \\(${host}\\), 30 hops at most, packets of 32 bytes${hops}$`),
    );
  });

  inNetwork("-m ends it before, -q says how many packets go", async () => {
    const { stdout } = await runIn(chain[0]!, "traceroute.ts", "-n", "-m2", "-q1", "-p", "40000", TARGET);
    expect(stdout).toMatch(new RegExp(`2 hops at most.*${hop(1, "10.1.0.2", 1)}${hop(2, "10.2.0.2", 1)}$`));
  });

  inNetwork("a router that drops packets is a star, what is unreachable is marked", async () => {
    chain[1]!.ip("route add blackhole 10.66.0.0/16");
    const silent = await runIn(chain[0]!, "traceroute.ts", "-n", "-m3", "-q2", "-w0.3", "10.66.0.1");
    expect(silent.stdout).toEndWith("\n 1  *  *\n 2  *  *\n 3  *  *");
    for (const [host, by] of [
      ["10.77.0.1", "10.2.0.2"],
      ["fd00:77::1", "fd00:2::2"],
    ]) {
      const nowhere = await runIn(chain[0]!, "traceroute.ts", "-n", "-m2", "-q1", host!);
      expect(nowhere.stdout).toMatch(new RegExp(`\n 2  ${by}${took}  !N$`));
    }
  });

  needs("error queue", hasErrorQueue)("hosts are called by their names", async () => {
    const [name] = getnameinfo(["127.0.0.1", 0], 0);
    const { status, stdout } = await run("traceroute.ts", "127.0.0.1");
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`${hop(1, `${name} \\(127\\.0\\.0\\.1\\)`)}$`));
  });

  needs(lacking || "signals", lacking === "")("Ctrl-C ends it", async () => {
    chain[1]!.ip("route replace blackhole 10.66.0.0/16");
    const program = chain[0]!.inside(() => new Program(command("traceroute.ts", "-w", "20", "10.66.0.1")));
    await program.line(/^traceroute to/);
    process.kill(program.pid, "SIGINT");
    expect(await program.end()).toMatchObject({ status: 130, stderr: "" });
  });

  const wrong: [args: string[], message: string | RegExp, status: number][] = [
    [["-p", "65536", "127.0.0.1"], "-p takes a whole number from 1 to 65535, not 65536\n", 2],
    [["-p", "65500", "127.0.0.1"], "-p 65500 leaves too few ports: 90 packets have one each\n", 2],
    [["-m", "0", "127.0.0.1"], "-m takes a whole number from 1 to 255, not 0\n", 2],
  ];
  test.each(wrong)("%j is told in a line", async (args, message, status) => {
    expect(await run("traceroute.ts", ...args)).toEqual({ status, stdout: "", stderr: message as string });
  });

  needs("Linux", isLinux)("a host that does not exist is told in a line", async () => {
    const { status, stdout, stderr } = await run("traceroute.ts", "nowhere.invalid");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/);
  });

  needs("system without an error queue", !isLinux)("elsewhere it says what it needs", async () => {
    const ended = await run("traceroute.ts", "127.0.0.1");
    expect(ended).toMatchObject({ status: 1, stderr: "traceroute.ts needs the error queue of Linux\n" });
  });
});

describe("dns-query.ts", () => {
  const dnsmasq = program("dnsmasq");
  const withServer = needs("dnsmasq: install Debian's dnsmasq-base", dnsmasq !== null);
  const hasIPv6 = works(() => {
    const sock = new Socket(AF_INET6, SOCK_DGRAM);
    sock.bind(["::1", 0]);
    return sock;
  });
  /** What does not fit into a datagram. */
  const long = Array.from({ length: 10 }, (_, i) => `${i}`.repeat(200));
  const hex = (name: string): string =>
    `${name
      .split(".")
      .map((label) => Buffer.from([label.length, ...Buffer.from(label)]).toString("hex"))
      .join("")}00`;

  let server: Server | undefined;
  beforeAll(async () => {
    if (dnsmasq === null) return;
    server = await Server.start((port) => [
      dnsmasq,
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--pid-file=",
      "--no-resolv",
      "--no-hosts",
      "--no-daemon",
      "--bind-interfaces",
      "--listen-address=127.0.0.1",
      ...(hasIPv6 ? ["--listen-address=::1"] : []),
      `--port=${port}`,
      "--local=/test/",
      "--local-ttl=77",
      "--local=/arpa/",
      "--host-record=one.test,10.0.0.1,fd00::1",
      "--mx-host=one.test,mail.one.test,10",
      "--mx-host=one.test,second.one.test,20",
      '--txt-record=text.test,a text,and \\ "another", grüße',
      "--srv-host=_sip._tcp.one.test,sip.one.test,5060,1,2",
      "--caa-record=one.test,0,issue,letsencrypt.org",
      "--cname=alias.test,one.test",
      `--dns-rr=one.test,2,${hex("ns.one.test")}`,
      `--dns-rr=one.test,6,${hex("ns.one.test")}${hex("admin.one.test")}${[1, 2, 3, 4, 5].map((n) => `0000000${n}`).join("")}`,
      ...long.map((text) => `--txt-record=long.test,${text}`),
    ]);
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  const query = (name: string, type: string, from = "127.0.0.1", port = server!.address[1]) =>
    run("dns-query.ts", "-p", String(port), "-w", String(2 * slowness), name, type, from);
  const records = (stdout: string): string[] =>
    stdout.split("\n").filter((line) => line !== "" && !line.startsWith(";"));

  const known: [name: string, type: string, ...data: string[]][] = [
    ["one.test", "A", "10.0.0.1"],
    ["ONE.test.", "aaaa", "fd00::1"],
    ["one.test", "MX", "10 mail.one.test.", "20 second.one.test."],
    ["text.test", "TXT", String.raw`"a text" "and \\ \"another\"" " gr\195\188\195\159e"`],
    ["_sip._tcp.one.test", "SRV", "1 2 5060 sip.one.test."],
    ["one.test", "CAA", '0 issue "letsencrypt.org"'],
    ["one.test", "NS", "ns.one.test."],
    ["one.test", "SOA", "ns.one.test. admin.one.test. 1 2 3 4 5"],
    ["10.0.0.1", "PTR", "one.test."],
    ["fd00::1", "PTR", "one.test."],
    ["long.test", "TXT", ...long.map((text) => `"${text}"`)],
  ];
  withServer.each(known)("%s %s", async (name, type, ...data) => {
    const { status, stdout, stderr } = await query(name, type);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const shown = records(stdout).map((line) => line.split("\t"));
    expect(shown.map((fields) => fields[4]!).sort()).toEqual([...data].sort());
    for (const fields of shown) expect(fields.slice(2, 4)).toEqual(["IN", type.toUpperCase()]);
    const way = name === "long.test" ? "TCP" : "UDP";
    expect(stdout).toMatch(new RegExp(`\n; from 127\\.0\\.0\\.1 port \\d+ by ${way} in [\\d.]+ ms$`));
  });

  const dig = Bun.which("dig");
  needs("dnsmasq and dig: install Debian's bind9-dnsutils", dnsmasq !== null && dig !== null)(
    "the records are written as dig writes them",
    () => {
      const port = String(server!.address[1]);
      const names = known.filter(([, type]) => type !== "PTR").concat([["alias.test", "A"]]);
      const one = ([name, type]: readonly string[]) =>
        records(Bun.spawnSync(command("dns-query.ts", "-p", port, name!, type!, "127.0.0.1")).stdout.toString());
      const ours = names.flatMap(one);
      const args = names.flatMap(([name, type]) => ["-q", name, "-t", type]);
      const theirs = Bun.spawnSync([dig!, "-p", port, "@127.0.0.1", "+noall", "+answer", ...args]).stdout.toString();
      const fields = (line: string): string => line.replaceAll(/\t+| +/g, " ");
      expect(ours.map(fields).sort()).toEqual(records(theirs).map(fields).sort());
    },
  );

  needs("dnsmasq and IPv6", dnsmasq !== null && hasIPv6)("a server is asked by IPv6", async () => {
    const { stdout } = await query("one.test", "A", "::1");
    expect(stdout).toMatch(/^one\.test\.\t\d+\tIN\tA\t10\.0\.0\.1\n; from ::1 port \d+ by UDP/);
  });

  withServer("a name that there is not, and a type that it has not, are told, with status 1", async () => {
    const nowhere = await query("nowhere.test", "A");
    expect(nowhere).toMatchObject({ status: 1, stdout: "" });
    expect(nowhere.stderr).toMatch(/^nowhere\.test: NXDOMAIN, says 127\.0\.0\.1 port \d+ by UDP in [\d.]+ ms\n$/);
    const without = await query("text.test", "AAAA");
    expect(without).toMatchObject({ status: 1, stdout: "" });
    expect(without.stderr).toMatch(/^text\.test has no AAAA, says .*\n$/);
  });

  /** Plays a server: `answer` gives what comes of the n-th question. */
  async function playing(
    answer: (question: Packet, n: number) => Buffer[],
    then: (port: number) => Promise<void>,
    answerByTcp: Buffer = Buffer.alloc(0),
  ): Promise<void> {
    using listener = createServer(["127.0.0.1", 0]);
    using sock = new AsyncSocket(AF_INET, SOCK_DGRAM);
    sock.bind(listener.getsockname());
    const byUdp = (async () => {
      for (let n = 0; ; n++) {
        const [data, from] = await sock.recvfrom(65535);
        for (const message of answer(dns.decode(data), n)) await sock.sendto(message, from);
      }
    })();
    const byTcp = (async () => {
      for await (const [conn] of listener) {
        await conn.recv(512);
        await conn.sendall(answerByTcp);
        conn.close();
      }
    })();
    const ended = Promise.allSettled([byUdp, byTcp]);
    await then(sock.getsockname()[1]);
    sock.close();
    listener.close();
    await ended;
  }

  const reply = (to: Packet, answers: Answer[], flags = 0, more: Packet = {}): Buffer =>
    dns.encode({ type: "response", id: to.id, flags, questions: to.questions, answers, ...more });
  const good: Answer = { name: "host.example", type: "A", ttl: 5, data: "192.0.2.1" };
  const bad: Answer = { ...good, data: "192.0.2.66" };
  const withBytes = (message: Buffer, at: number, ...bytes: number[]): Buffer => {
    message.set(bytes, at);
    return message;
  };

  test("answers that are none are passed over", async () => {
    await playing(
      (question) => [
        Buffer.alloc(0),
        Buffer.from("no message"),
        reply(question, [bad], 0, { id: question.id! ^ 1 }),
        reply(question, [bad], 0, { type: "query" }),
        reply(question, [bad], 0, { questions: [] }),
        reply(question, [bad], 0, { questions: [{ name: "other.example", type: "A" }] }),
        reply(question, [bad], 0, { questions: [{ name: "host.example", type: "MX" }] }),
        reply(question, [bad]).subarray(0, -1),
        withBytes(reply(question, [bad]), 30, 0xc0, 30), // a name that is compressed to itself
        withBytes(reply(question, [bad]), 6, 0xff, 0xff), // 65,535 answers
        withBytes(reply(question, [bad]), 4, 0, 0, 0xff), // nothing was asked
        reply(question, [good]),
      ],
      async (port) => {
        const { status, stdout, stderr } = await query("host.example", "A", "127.0.0.1", port);
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        expect(records(stdout)).toEqual(["host.example.\t5\tIN\tA\t192.0.2.1"]);
      },
    );
  });

  test("a server that loses a question is asked again, one that knows no EDNS is asked without", async () => {
    const seen: boolean[] = [];
    await playing(
      (question, n) => {
        seen.push(question.additionals?.[0]?.type === "OPT");
        if (n === 0) return [];
        return seen.at(-1) ? [reply(question, [], 1, { questions: [] })] : [reply(question, [good])]; // 1 is FORMERR
      },
      async (port) => {
        const { status, stdout } = await run(
          "dns-query.ts",
          `-p${port}`,
          "-w",
          String(0.2 * slowness),
          "host.example",
          "A",
          "127.0.0.1",
        );
        expect({ status, records: records(stdout).length }).toEqual({ status: 0, records: 1 });
        expect(seen).toEqual([true, true, false]);
      },
    );
  });

  test("what does nothing but harm to a terminal is escaped", async () => {
    const text: Answer = { name: "\x1b[31m.example", type: "TXT", ttl: 5, data: ["\x1b]0;title\x07", "\0\r\n\x9b"] };
    await playing(
      (question) => [reply(question, [text])],
      async (port) => {
        const { stdout } = await query("host.example", "TXT", "127.0.0.1", port);
        expect(records(stdout)).toEqual([String.raw`\027[31m.example.	5	IN	TXT	"\027]0;title\007" "\000\013\010\194\155"`]);
      },
    );
  });

  test("a server that does not answer, by UDP or by TCP, is told in a line", async () => {
    await playing(
      () => [],
      async (port) => {
        const args = [`-p${port}`, "-w0.05", "host.example", "A", "127.0.0.1"];
        const stderr = `no answer from 127.0.0.1 port ${port}\n`;
        expect(await run("dns-query.ts", ...args)).toEqual({ status: 1, stdout: "", stderr });
      },
    );
    const cut = [Buffer.alloc(0), Buffer.of(0), Buffer.of(0, 20, 1, 2, 3), Buffer.of(0, 3, 1, 2, 3)];
    for (const answer of cut) {
      await playing(
        (question) => [reply(question, [], dns.TRUNCATED_RESPONSE)],
        async (port) => {
          const { status, stdout, stderr } = await query("host.example", "A", "127.0.0.1", port);
          expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
          expect(stderr).toMatch(/^(the server.* answer.*|recv\w* ECONNRESET.*)\n$/);
        },
        answer,
      );
    }
  });

  const wrong: [args: string[], message: string | RegExp, status: number][] = [
    [["-p", "65536", "a.test"], "-p takes a whole number from 1 to 65535, not 65536\n", 2],
    [["-w", "soon", "a.test"], "-w takes a number above 0, at most 3600, not soon\n", 2],
    [["a.test", "B"], "there is no type B here: A AAAA CAA CNAME MX NS PTR SOA SRV TXT\n", 2],
    [["a..test"], "no name of a host: a..test\n", 2],
    [["x".repeat(64)], `no name of a host: ${"x".repeat(64)}\n`, 2],
    [["a.test", "A", "nowhere.invalid"], /^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/, 1],
  ];
  test.each(wrong)("%j is told in a line", async (args, message, status) => {
    const ended = await run("dns-query.ts", ...args);
    expect(ended).toMatchObject({ status, stdout: "" });
    if (typeof message === "string") expect(ended.stderr).toBe(message);
    else expect(ended.stderr).toMatch(message);
  });
});

describe("tcp-info.ts", () => {
  const hasInfo =
    TCP_INFO !== undefined &&
    worksInEmulator(() => {
      using sock = new Socket();
      sock.getsockopt(IPPROTO_TCP, TCP_INFO!, 100);
    });
  const withInfo = needs("TCP_INFO", hasInfo);

  const number = String.raw`[\d.]+`;
  const time = `${number} ms`;
  /** A plot: its title, eight rows, the axis, and where that begins and ends. */
  const plot = (title: string): string => `${title}\n(?: *[^│\n]*│[ ▁▂▃▄▅▆▇█]*\n){8} *└─+\n +0 +${number} s\n`;
  const shown = new RegExp(
    `^${plot("congestion window, in segments")}${plot("round-trip time")}` +
      `window min/avg/max  (\\d+) / \\d+ / (\\d+) segments of (\\d+) bytes\n` +
      `RTT min/avg/max     ${time} / ${time} / (${number}) ms, variation ${time}\n` +
      `retransmits         (\\d+) of (\\d+) segments, .*\n` +
      `pacing rate         .*/s\n` +
      `delivery rate       .*\n` +
      `busy sending        .*, (\\d+)% held by the receiver, \\d+% by the send buffer\n` +
      `acknowledged        (.*) in (${number}) s, received (.*)$`,
  );
  const figures = (stdout: string) => {
    expect(stdout).toMatch(shown);
    const [, cwndMin, cwndMax, mss, rttMax, retransmits, segments, held, acknowledged, took, received] =
      shown.exec(stdout)!;
    return { cwndMin, cwndMax, mss, rttMax, retransmits, segments, held, acknowledged, took, received };
  };

  needs("TCP_INFO of Linux", hasInfo && isLinux)(
    "the demonstration has a reader that holds the sender up",
    async () => {
      const { status, stdout, stderr } = await run("tcp-info.ts", "--demo");
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const { cwndMin, cwndMax, mss, held, took, received } = figures(stdout);
      expect(Number(cwndMax)).toBeGreaterThan(Number(cwndMin));
      expect(Number(mss)).toBeLessThanOrEqual(1400);
      expect(Number(held)).toBeGreaterThan(10);
      expect(Number(took)).toBeGreaterThanOrEqual(3);
      expect(received).toBe("0 bytes");
    },
  );

  needs("socat and TCP_INFO of Linux", Bun.which("socat") !== null && hasInfo && isLinux)(
    "socat gets what is sent, and what it answers is counted",
    async () => {
      const size = 5_000_000;
      await using peer = await Server.start((port) => [
        "socat",
        `TCP-LISTEN:${port},bind=127.0.0.1,fork`,
        "SYSTEM:wc -c; echo bye",
      ]);
      const [, port] = peer.address;
      const sender = new Program(command("tcp-info.ts", "127.0.0.1", String(port)), {}, "x".repeat(size));
      const { status, stdout, stderr } = await sender.end();
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(figures(stdout)).toMatchObject({ acknowledged: "5.0 MB", received: `${`${size}\nbye\n`.length} bytes` });
    },
  );

  needs(lacking || "tc and tbf", lacking === "" && hasInfo && maySlowDown())(
    "a line that is slow, and drops packets, is seen",
    async () => {
      using net = new Network();
      slowDown(net);
      using server = net.inside(() => createServer(["127.0.0.1", 0]));
      const args = command("tcp-info.ts", "127.0.0.1", String(server.getsockname()[1]));
      const sender = net.inside(() => new Program(args, {}, "x".repeat(2_000_000)));
      const [conn] = await server.accept();
      while ((await conn.recv(65536)).length > 0);
      conn.close();
      const { status, stdout } = await sender.end();
      expect(status).toBe(0);
      const { rttMax, retransmits, acknowledged, took } = figures(stdout);
      expect(Number(rttMax)).toBeGreaterThan(10);
      expect(Number(rttMax)).toBeLessThan(200 * slowness);
      expect(Number(retransmits)).toBeGreaterThan(0);
      expect(acknowledged).toBe("2.0 MB");
      expect(Number(took)).toBeGreaterThanOrEqual(0.7);
    },
  );

  /** Serves one connection, which a program makes. */
  async function serving(then: (conn: AsyncSocket, program: Program) => Promise<void>): Promise<void> {
    using server = createServer(["127.0.0.1", 0]);
    const program = example("tcp-info.ts", "127.0.0.1", String(server.getsockname()[1]));
    const [conn] = await server.accept();
    try {
      await then(conn, program);
    } finally {
      conn.close();
    }
  }

  withInfo("a connection that is reset is told, and summed up all the same", async () => {
    await serving(async (conn, program) => {
      await Bun.sleep(250 * slowness);
      conn.setsockopt(SOL_SOCKET, SO_LINGER, linger.encode({ onoff: true, linger: 0 }));
      conn.close();
      const { status, stdout, stderr } = await program.end();
      expect(status).toBe(1);
      expect(stderr).toMatch(/^recv ECONNRESET.*\n$/);
      if (isLinux) figures(stdout);
    });
  });

  needs("TCP_INFO and signals", hasInfo && !isWindows)("Ctrl-C ends it with the figures", async () => {
    await serving(async (conn, program) => {
      await conn.sendall("hello");
      await Bun.sleep(300 * slowness);
      process.kill(program.pid, "SIGINT");
      const { status, stdout, stderr } = await program.end();
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      if (isLinux) expect(figures(stdout).received).toBe("5 bytes");
    });
  });

  withInfo("a host that there is not, and one that refuses, are told in a line", async () => {
    using taken = new Socket();
    taken.bind(["127.0.0.1", 0]); // nobody listens there
    const port = taken.getsockname()[1];
    const refused = await run("tcp-info.ts", "127.0.0.1", String(port));
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toMatch(new RegExp(`^connect ECONNREFUSED 127\\.0\\.0\\.1:${port}: .*\n$`));
    const nowhere = await run("tcp-info.ts", "nowhere.invalid", "9");
    expect(nowhere).toMatchObject({ status: 1, stdout: "" });
    expect(nowhere.stderr).toMatch(/^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/);
  });

  test.each(["0", "65536", "http"])("the port %s is told in a line", async (port) => {
    const stderr = `the port is a number from 1 to 65535, not ${port}\n`;
    expect(await run("tcp-info.ts", "127.0.0.1", port)).toEqual({ status: 2, stdout: "", stderr });
  });

  needs("system without TCP_INFO", TCP_INFO === undefined)("elsewhere it says what it needs", async () => {
    const stderr = "tcp-info.ts needs TCP_INFO, which Linux, FreeBSD and NetBSD have\n";
    expect(await run("tcp-info.ts", "--demo")).toEqual({ status: 1, stdout: "", stderr });
  });
});
