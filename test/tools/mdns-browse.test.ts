/** mdns-browse.ts, with a responder, and with what may pretend to be one. Peers: Avahi. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import dns, { type Answer } from "dns-packet";
import {
  AF_INET,
  IP_ADD_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IPPROTO_IP,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOL_SOCKET,
} from "../../src/index.ts";
import { ip_mreqn } from "../../src/messages.ts";
import { Socket as AsyncSocket } from "../../src/promises.ts";
import { isWindows, needs, removeFolder, slowness } from "../help.ts";
import { join as link, lacking, Network } from "../networks.ts";
import { Program } from "../program.ts";
import { program } from "../promises/servers.ts";
import { command, endPrograms, give, inNetwork, run, runIn, settle } from "./help.ts";

// Programs start slowly on a machine that is busy.
setDefaultTimeout(30_000 * slowness);
afterEach(endPrograms);

const avahi = program("avahi-daemon");
const withAvahi = needs(
  lacking || "avahi-daemon: install Debian's avahi-daemon",
  lacking === "" && avahi !== null && Bun.which("unshare") !== null,
);

/** The one with services, one with both families, one with IPv6 alone, and one that the test speaks to. */
let nets: Network[] = [];
let daemon: Bun.Subprocess<"ignore", "ignore", "pipe"> | undefined;
const folder = mkdtempSync(join(tmpdir(), "bs-avahi-"));

beforeAll(async () => {
  if (lacking !== "") return;
  nets = [new Network(), new Network(), new Network(), new Network()];
  const [host, both, six, alone] = nets as [Network, Network, Network, Network];
  link(host, "both", both, "lan");
  link(host, "six", six, "lan");
  link(both, "alone", alone, "lan");
  give(host, "both", "10.1.0.1/24", "fd00:1::1/64");
  give(both, "lan", "10.1.0.2/24", "fd00:1::2/64");
  give(host, "six");
  give(six, "lan");
  give(alone, "lan", "10.2.0.1/24");
  give(both, "alone", "10.2.0.2/24");
  settle(...nets);
  if (avahi === null) return;

  mkdirSync(join(folder, "services"));
  writeFileSync(
    join(folder, "avahi-daemon.conf"),
    "[server]\nhost-name=printer\nenable-dbus=no\n[publish]\npublish-hinfo=no\npublish-workstation=no\n",
  );
  writeFileSync(
    join(folder, "services", "printer.service"),
    `<?xml version="1.0"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
     <service-group><name>Printer, v1.2 (grün)</name>
       <service><type>_ipp._tcp</type><subtype>_universal._sub._ipp._tcp</subtype><port>631</port>
         <txt-record>rp=ipp/print</txt-record><txt-record>note=second floor</txt-record></service>
       <service><type>_http._tcp</type><port>8080</port></service>
     </service-group>`,
  );
  // It reads its services in /etc/avahi, and writes a file in /run: it gets both of its own.
  const script = `mount --bind "$0" /etc/avahi && mount -t tmpfs tmpfs /run &&
    exec "$1" --no-drop-root --no-chroot --no-rlimits`;
  daemon = host.inside(() =>
    Bun.spawn(["unshare", "-m", "sh", "-c", script, folder, avahi], { stdio: ["ignore", "ignore", "pipe"] }),
  );
  const reader = daemon.stderr.getReader();
  for (let said = ""; !said.includes("successfully established");) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`avahi-daemon does not start: ${said}`);
    said += Buffer.from(value).toString();
  }
});
afterAll(async () => {
  daemon?.kill();
  await daemon?.exited;
  for (const net of nets) net[Symbol.dispose]();
  removeFolder(folder);
});

const seconds = String(1.5 * slowness);
/** The list, its lines in paragraphs. */
const listed = (stdout: string): string[][] => stdout.split(/\n(?=\S)/).map((part) => part.split(/\n */));

const about = (...addresses: string[]) => ({
  ipp: [
    "Printer, v1.2 (grün)  _ipp._tcp.local",
    "at   printer.local port 631",
    ...addresses,
    "txt  rp=ipp/print",
    "txt  note=second floor",
  ],
  http: ["Printer, v1.2 (grün)  _http._tcp.local", "at   printer.local port 8080", ...addresses],
});

withAvahi("Avahi's services are listed: of every type, of one, of a subtype", async () => {
  const types = [[], ["_ipp._tcp"], ["_IPP._tcp.local."], ["_universal._sub._ipp._tcp"], ["_nope._tcp"]];
  const ended = await Promise.all(types.map((type) => runIn(nets[1]!, "mdns-browse.ts", "-w", seconds, ...type)));
  const { http, ipp } = about("10.1.0.1", "fd00:1::1");
  const [nope, ...found] = ended.reverse();
  expect(nope).toEqual({ status: 1, stdout: "", stderr: "nobody answered for _nope._tcp.local\n" });
  for (const { status, stderr } of found) expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(found.map(({ stdout }) => listed(stdout))).toEqual([[ipp], [ipp], [ipp], [http, ipp]]);
});

withAvahi(
  "by IPv6 alone, with the link's name at its addresses, and beside Avahi, which has the port, too",
  async () => {
    const [address] = /fe80::[\da-f:]+/.exec(nets[0]!.ip("-6 address show dev six"))!;
    const [six, beside] = await Promise.all([
      runIn(nets[2]!, "mdns-browse.ts", "-w", seconds, "_http._tcp"),
      runIn(nets[0]!, "mdns-browse.ts", "-w", seconds, "_http._tcp"),
    ]);
    expect(listed(six.stdout)).toEqual([about(`${address}%lan`).http]);
    expect(beside.stdout).toStartWith("Printer, v1.2 (grün)  _http._tcp.local\n    at   printer.local port 8080\n");
  },
);

/** Plays a responder, which answers what it is asked with what `answers` has of that, and nothing more. */
async function responding(
  answers: (question: string) => (Answer | Buffer)[],
  then: (asked: Set<string>) => Promise<void>,
): Promise<void> {
  const asked = new Set<string>();
  let sent = 0;
  using sock = nets[3]!.inside(() => new AsyncSocket(AF_INET, SOCK_DGRAM));
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  sock.bind(["", 5353]);
  const request = ip_mreqn.encode({ multiaddr: "224.0.0.251", address: "10.2.0.1" });
  sock.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, request);
  sock.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, request);
  sock.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, Uint8Array.of(0));
  const serving = (async () => {
    for (;;) {
      const [data] = await sock.recvfrom(9000);
      const message = dns.decode(data);
      const [{ type, name } = { type: "A", name: "" }] = message.questions ?? [];
      asked.add(`${type} ${name}`);
      for (const answer of answers(`${type} ${name}`)) {
        const reply = Buffer.isBuffer(answer) ? answer : dns.encode({ type: "response", answers: [answer] });
        await sock.sendto(reply, ["224.0.0.251", 5353]);
        if (++sent % 50 === 0) await Bun.sleep(5); // so that there is room for all
      }
    }
  })();
  serving.catch(() => {});
  await then(asked);
}

const NAME = "a.b c._http._tcp.local";
const zone: Record<string, Answer[]> = {
  "PTR _services._dns-sd._udp.local": [
    { name: "_services._dns-sd._udp.local", type: "PTR", ttl: 9, data: "_http._tcp.local" },
  ],
  "PTR _http._tcp.local": [
    { name: "_http._tcp.local", type: "PTR", ttl: 9, data: "gone._http._tcp.local" },
    { name: "_HTTP._tcp.local", type: "PTR", ttl: 0, data: "gone._http._tcp.local" },
    { name: "_http._tcp.local", type: "PTR", ttl: 9, data: "elsewhere.local" },
    { name: "_http._tcp.local", type: "PTR", ttl: 9, data: "\x1b[31mred._http._tcp.local" },
  ],
  [`SRV ${NAME}`]: [{ name: NAME.toUpperCase(), type: "SRV", ttl: 9, data: { port: 80, target: "web.local" } }],
  [`TXT ${NAME}`]: [{ name: NAME, type: "TXT", ttl: 9, data: ["a=1", "\x1b]0;title\x07", ""] }],
  "A web.local": [{ name: "web.local", type: "A", ttl: 9, data: "10.2.0.9" }],
};
/** A service whose name has a dot in its first label: a library that takes names as text cannot write it. */
const dotted = ((): Buffer => {
  const message = dns.encode({
    type: "response",
    answers: [{ name: "_http._tcp.local", type: "PTR", ttl: 9, data: "a_b c._http._tcp.local" }],
  });
  message[message.indexOf("a_b c") + 1] = ".".charCodeAt(0);
  return message;
})();
const shown = [
  ["\\027[31mred  _http._tcp.local"],
  ["a.b c  _http._tcp.local", "at   web.local port 80", "10.2.0.9", "txt  a=1", "txt  \\027]0;title\\007"],
];

inNetwork("a responder that tells no more than it is asked is asked for all, of a name with dots as well", async () => {
  const answers = (question: string) => [
    ...(zone[question] ?? []),
    ...(question.includes("PTR _http") ? [dotted] : []),
  ];
  await responding(answers, async (asked) => {
    const found = await runIn(nets[1]!, "mdns-browse.ts", "-w", seconds);
    expect(found).toMatchObject({ status: 0, stderr: "" });
    expect(listed(found.stdout)).toEqual(expect.arrayContaining(shown));
    expect(found.stdout).not.toContain("gone");
    expect(found.stdout).not.toContain("elsewhere");
    expect([...asked]).toEqual(expect.arrayContaining([...Object.keys(zone), "AAAA web.local"]));
  });
});

inNetwork("what is no message, or lies about its lengths, does nothing", async () => {
  // Of each message every byte is changed, and each is cut at every place.
  const good = Object.values(zone)
    .flat()
    .map((answer) => dns.encode({ type: "response", answers: [answer] }));
  const hostile = [dotted, ...good].flatMap((message) =>
    Array.from(message, (_, i) => [
      Buffer.from(message).fill(0xc0, i, i + 1),
      Buffer.from(message).fill(0xff, i, i + 1),
      message.subarray(0, i),
    ]).flat(),
  );
  expect(hostile.length).toBeGreaterThan(1000);
  const unmarked = hostile.filter((message) => message.length < 3 || (message[2]! & 0x80) !== 0);
  const loop = Buffer.from([
    0, 0, 0x84, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12,
  ]);
  let isFirst = true;
  const answers = (question: string) => {
    const lies = isFirst ? [loop, ...unmarked] : [];
    isFirst = false;
    return [...lies, ...(zone[question] ?? []), ...(question.includes("PTR _http") ? [dotted] : [])];
  };
  await responding(answers, async () => {
    const program = nets[1]!.inside(
      () => new Program(command("mdns-browse.ts", "-w", String(2.5 * slowness), "_http._tcp")),
    );
    const { status, stdout, stderr } = await program.end();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).not.toContain("\x1b");
    expect(stdout).toContain("\na.b c  _http._tcp.local\n    at   ");
  });
});

inNetwork("Ctrl-C ends it, and what came until then is listed", async () => {
  const answers = (question: string) => [
    ...(zone[question] ?? []),
    ...(question.includes("PTR _http") ? [dotted] : []),
  ];
  await responding(answers, async (asked) => {
    const program = nets[1]!.inside(() => new Program(command("mdns-browse.ts", "-w", "600", "_http._tcp")));
    while (!asked.has("A web.local")) await Bun.sleep(10);
    await Bun.sleep(200 * slowness);
    process.kill(program.pid, "SIGINT");
    const { status, stdout } = await program.end();
    expect(status).toBe(0);
    expect(listed(stdout)).toEqual(expect.arrayContaining(shown));
  });
});

inNetwork("where nobody answers it says so, with status 1", async () => {
  const stderr = "nobody answered for _ipp._tcp.local\n";
  using net = new Network();
  expect(await runIn(net, "mdns-browse.ts", "-w0.3", "_ipp._tcp")).toEqual({ status: 1, stdout: "", stderr });
});

test.each(["0", "", "never"])("-w %j is told in a line", async (wait) => {
  const stderr = `-w takes a number above 0, at most 86400, not ${wait}\n`;
  expect(await run("mdns-browse.ts", "-w", wait)).toEqual({ status: 2, stdout: "", stderr });
});

needs("Windows", isWindows)("on Windows it says that it is not for it", async () => {
  const stderr = "mdns-browse.ts is for Linux, macOS and the BSDs\n";
  expect(await run("mdns-browse.ts")).toEqual({ status: 1, stdout: "", stderr });
});
