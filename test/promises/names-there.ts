/** What names.test.ts asks in a namespace with its own name server: here and of the root, and connections to many addresses. */
import * as root from "../../src/index.ts";
import * as net from "../../src/promises.ts";
import { socketCount, Sockets } from "../help.ts";

/** What a call gives, or its error's text. */
const shown = (outcome: unknown): string => JSON.stringify(outcome);
const failed = (error: unknown): string => String(error);

type Calls = (of: typeof root | typeof net) => unknown[];
const calls: Calls[] = [
  (of) => [of.getaddrinfo("one.test", 80, { type: net.SOCK_STREAM })],
  (of) => [of.getaddrinfo("alias.test", "http", 0, net.SOCK_STREAM, 0, net.AI_CANONNAME)],
  (of) => [of.getaddrinfo(null, 80, { type: net.SOCK_STREAM })],
  (of) => [of.getaddrinfo("many.test", null, { type: net.SOCK_STREAM })],
  (of) => [of.getaddrinfo("b\u00fccher.test", 80, { type: net.SOCK_STREAM })],
  (of) => [of.getaddrinfo("missing.test", 80)],
  (of) => [of.getaddrinfo("servfail.test", 80)],
  (of) => [of.getaddrinfo("one.test", "no such service")],
  (of) => [of.gethostbyname("one.test")],
  (of) => [of.gethostbyname("nodata.test")],
  (of) => [of.gethostbyname("")],
  (of) => [of.gethostbyname_ex("many.test")],
  (of) => [of.gethostbyname_ex("hosted.test")],
  (of) => [of.gethostbyname_ex("missing.test")],
  (of) => [of.gethostbyaddr("10.0.0.1")],
  (of) => [of.gethostbyaddr("fd00::1")],
  (of) => [of.gethostbyaddr("10.0.0.99")],
  (of) => [of.gethostbyaddr("servfail.test")],
  (of) => [of.getfqdn()],
  (of) => [of.getfqdn("10.1.1.4")],
  (of) => [of.getfqdn("missing.test")],
  (of) => [of.getnameinfo(["10.0.0.1", 80], 0)],
  (of) => [of.getnameinfo(["10.0.0.99", 80], net.NI_NAMEREQD)],
  (of) => [of.getnameinfo(["not a number", 80], 0)],
];

/** A listening socket of each family at the same port, the IPv6 one of a kind. */
function both(own: Sockets, six: "ignores" | "refuses" | "works"): number {
  const four = own.server();
  const port = four.getsockname()[1];
  if (six === "refuses") return port;
  const server = own.add(new root.Socket(root.AF_INET6));
  server.setsockopt(root.IPPROTO_IPV6, root.IPV6_V6ONLY, 1);
  server.bind(["::1", port]);
  server.listen(0);
  for (let i = 0; six === "ignores" && i < 3; i++) {
    const full = own.add(new root.Socket(root.AF_INET6));
    full.setblocking(false);
    full.connectEx(server.getsockname());
  }
  return port;
}

async function connected(six: Parameters<typeof both>[1], options = {}): Promise<[outcome: string, ms: number]> {
  using own = new Sockets();
  const port = both(own, six);
  const began = performance.now();
  const outcome = await net.createConnection(["localhost", port], options).then(
    (sock) => {
      const name = root.AddressFamily[sock.family] ?? "";
      sock.close();
      return name;
    },
    (error: unknown) => (error instanceof AggregateError ? error.errors.map(String).join("; ") : String(error)),
  );
  return [outcome, performance.now() - began];
}

const failedBy = (error: unknown): string => (error instanceof net.OSError ? error.code : (error as Error).name);

/** Calls by a name that nobody answers for: how they end, and after how many milliseconds. */
async function silent(): Promise<Record<string, [outcome: string, ms: number]>> {
  const ended: Record<string, [string, number]> = {};
  const call = async (name: string, body: (sock: net.Socket<"AF_INET">) => Promise<unknown>): Promise<void> => {
    const sock = new net.Socket(net.AF_INET, name.startsWith("connect") ? net.SOCK_STREAM : net.SOCK_DGRAM);
    const began = performance.now();
    const outcome = await body(sock).then(shown, failedBy);
    ended[name] = [outcome, performance.now() - began];
    sock.close();
  };
  const to = ["silent.test", 9] as const;
  const soon = (sock: net.Socket): void => void setTimeout(() => sock.close(), 50);
  await call("connect, closed", (sock) => (soon(sock), sock.connect(to)));
  await call("sendto, closed", (sock) => (soon(sock), sock.sendto("x", to)));
  await call("sendmsg, closed", (sock) => (soon(sock), sock.sendmsg(["x"], [], 0, to)));
  await call("connect, late", (sock) => (sock.settimeout(0.1), sock.connect(to)));
  await call("sendto, late", (sock) => (sock.settimeout(0.1), sock.sendto("x", to)));
  // Numbers and dots, and no number: asked for as other names are.
  await call("connect, no number", (sock) => (sock.settimeout(0.1), sock.connect(["1.2.3.4.", 9])));
  await call("connect, aborted", (sock) => sock.connect(to, { signal: AbortSignal.timeout(50) }));
  await call("connect, detached", async (sock) => {
    const connecting = sock.connect(to);
    net.close(sock.detach());
    await connecting;
  });
  await call("connect, unanswered", (sock) => sock.connect(to));
  // A number needs none of the threads, which all wait for silent.test.
  const stuck = Array.from({ length: 40 }, () => net.gethostbyname("silent.test").catch(() => {}));
  await call("a number", async () => (await net.getaddrinfo("127.0.0.1", 80, { type: net.SOCK_STREAM }))[0]![4]);
  await Promise.all(stuck);
  // A socket that is not to keep the process alive does not do so by its question.
  const script = `
    import { AF_INET, Socket } from ${JSON.stringify(import.meta.resolve("../../src/promises.ts"))};
    new Socket(AF_INET).unref().connect(["silent.test", 9]);
  `;
  await call("unref", async () => Bun.spawn([process.execPath, "-e", script]).exited);
  return ended;
}

export default async function run(): Promise<Record<string, unknown>> {
  const differences: string[] = [];
  for (const call of calls) {
    let expected: string;
    try {
      expected = shown(call(root)[0]);
    } catch (error) {
      expected = failed(error);
    }
    const got = await (call(net)[0] as Promise<unknown>).then(shown, failed);
    if (got !== expected) differences.push(`${call}: ${got} instead of ${expected}`);
  }

  // Forty at once: more than there are threads.
  const many = await Promise.all(Array.from({ length: 40 }, () => net.gethostbyname("one.test")));

  const given = new AbortController();
  const waits = net.getaddrinfo("one.test", 80, { signal: given.signal }).catch((error: Error) => error.name);
  given.abort();

  await net.getaddrinfo("localhost", 1);
  const before = socketCount();
  const works = await connected("works");
  const refuses = await connected("refuses");
  const ignores = await connected("ignores");
  const late = await connected("ignores", { timeout: 0.05, sourceAddress: ["::1", 0] });
  const all = await connected("refuses", { sourceAddress: ["::1", 0], allErrors: true });
  const aborted = await connected("ignores", { signal: AbortSignal.timeout(50), sourceAddress: ["::1", 0] });
  const left = socketCount() - before;
  return {
    silent: await silent(),
    calls: calls.length,
    differences,
    many: [...new Set(many)],
    aborted: await waits,
    connections: { works, refuses, ignores, late, all, aborted },
    left,
  };
}
