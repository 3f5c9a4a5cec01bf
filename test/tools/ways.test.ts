/** ping.ts and traceroute.ts, over routers in networks of the test's own. Peers: iputils-ping. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  getnameinfo,
  IP_RECVERR,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IP,
  SO_TIMESTAMPING,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { isLinux, isWindows, needs, slowness, works, worksInEmulator } from "../help.ts";
import { join as link, lacking, Network } from "../networks.ts";
import { Program } from "../program.ts";
import { command, endPrograms, give, inNetwork, run, runIn, settle } from "./help.ts";

// Programs start slowly on a machine that is busy.
setDefaultTimeout(30_000 * slowness);
afterEach(endPrograms);

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
    give(near, "right", `10.${i}.0.1/24`, `fd00:${i}::1/64`);
    give(far, "left", `10.${i}.0.2/24`, `fd00:${i}::2/64`);
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
  settle(...chain);
});
afterAll(() => {
  for (const net of chain) net[Symbol.dispose]();
});

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
    const program = new Program(command("ping.ts", "-i", "0.05", "127.0.0.1"));
    await program.line(/seq=3/);
    process.kill(program.pid, "SIGINT");
    const { status, stdout } = await program.end();
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`\n(\\d+) sent, (?:\\1|\\d+) received, \\d+% lost\n${figures}`));
  });

  needs("ping for root alone", !mayPing)("who may not ping is told so", async () => {
    const { status, stdout, stderr } = await run("ping.ts", "-c1", "127.0.0.1");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^socket E\w+: .*\(it takes .*\)\n$/);
  });

  const wrong: [args: string[], message: string | RegExp, status: number][] = [
    [["-t", "300", "127.0.0.1"], "-t takes a whole number from 1 to 255, not 300\n", 2],
    [["-c", "1.5", "127.0.0.1"], "-c takes a whole number from 1 to 2147483648, not 1.5\n", 2],
    [["-i", "", "127.0.0.1"], "-i takes a number from 0 to 3600, not \n", 2],
    [["-s", "65508", "127.0.0.1"], "-s takes a whole number from 0 to 65507, not 65508\n", 2],
    [["nowhere.invalid"], /^getaddrinfo EAI_\w+ nowhere\.invalid: .+\n$/, 1],
    [["-6", "127.0.0.1"], /^getaddrinfo \S+ 127\.0\.0\.1: .+\n$/, 1],
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
