/** dns-query.ts, with a name server and with what may pretend to be one. Peers: dnsmasq, dig. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import dns, { type Answer, type Packet } from "dns-packet";
import { AF_INET, AF_INET6, SOCK_DGRAM, Socket } from "../../src/index.ts";
import { createServer, Socket as AsyncSocket } from "../../src/promises.ts";
import { isWindows, needs, slowness, works } from "../help.ts";
import { Program } from "../program.ts";
import { program, Server } from "../promises/servers.ts";
import { command, endPrograms, run } from "./help.ts";

// Programs start slowly on a machine that is busy.
setDefaultTimeout(30_000 * slowness);
afterEach(endPrograms);

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
const records = (stdout: string): string[] => stdout.split("\n").filter((line) => line !== "" && !line.startsWith(";"));

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

/** Sockets for UDP and for TCP on the same port, which may be taken for one of them. */
function onePort(): { sock: AsyncSocket<"AF_INET">; listener: ReturnType<typeof createServer> } {
  for (let tries = 0; ; tries++) {
    const listener = createServer(["127.0.0.1", 0]);
    const sock = new AsyncSocket(AF_INET, SOCK_DGRAM);
    try {
      sock.bind(listener.getsockname() as [string, number]);
      return { sock, listener };
    } catch (error) {
      sock.close();
      listener.close();
      if (tries === 50) throw error;
    }
  }
}

/** Plays a server: `answer` gives what comes of the n-th question. */
async function playing(
  answer: (question: Packet, n: number) => Buffer[],
  then: (port: number) => Promise<void>,
  answerByTcp: Buffer = Buffer.alloc(0),
): Promise<void> {
  const { sock, listener } = onePort();
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
  try {
    await then(sock.getsockname()[1]);
  } finally {
    sock.close();
    listener.close();
    await ended;
  }
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

needs("signals", !isWindows)("Ctrl-C ends it while it waits", async () => {
  let isAsked = false;
  const answer = (): Buffer[] => {
    isAsked = true;
    return [];
  };
  await playing(answer, async (port) => {
    const program = new Program(command("dns-query.ts", `-p${port}`, "-w60", "host.example", "A", "127.0.0.1"));
    while (!isAsked) await Bun.sleep(5);
    process.kill(program.pid, "SIGINT");
    expect(await program.end()).toEqual({ status: 130, stdout: "", stderr: "" });
  });
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
