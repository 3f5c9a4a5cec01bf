/**
 * Networks of a test's own: namespaces of Linux, with the interfaces that a test makes in them. See
 * network_namespaces(7). A namespace is a thread's: a socket keeps the one that it was made in, so that one test has
 * sockets in several.
 */
import { dlopen } from "bun:ffi";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { isLinux, isRoot, Peer, slowness, worksInEmulator } from "./help.ts";

const CLONE_NEWNET = 0x40000000;

/** The C library of this process, which a machine may have several of. */
const libc = isLinux
  ? / (\/.*\/(?:libc\.so\.6|ld-musl-.*))$/m.exec(readFileSync("/proc/self/maps", "utf8"))?.[1]
  : null;

const calls =
  libc == null
    ? null
    : dlopen(libc, {
        unshare: { args: ["i32"], returns: "i32" },
        setns: { args: ["i32", "i32"], returns: "i32" },
      }).symbols;

/** The namespace of this thread, by a descriptor. */
const current = (): number => openSync("/proc/thread-self/ns/net", "r");

/** A namespace, for as long as its scope; what was made in it goes with it, once its sockets are closed. */
export class Network implements Disposable {
  readonly #fd: number;

  /** Makes one whose only interface is a loopback. */
  constructor() {
    const before = current();
    try {
      if (calls!.unshare(CLONE_NEWNET) !== 0) throw new Error("no right to make network namespaces");
      this.#fd = current();
    } finally {
      calls!.setns(before, 0);
      closeSync(before);
    }
    this.inside(() => {
      // Nothing is sent but by the test: the kernel asks for no router, and tells nobody of its groups.
      for (const which of ["all", "default"]) writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, "1");
      writeFileSync("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
    });
    this.ip("link set lo up");
  }

  /** The namespace as a file, for programs. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#fd}`;
  }

  /** Runs a function in the namespace; it must not wait by a promise, for the whole thread is there. */
  inside<T>(body: () => T): T {
    const before = current();
    try {
      if (calls!.setns(this.#fd, 0) !== 0) throw new Error("cannot enter the namespace");
      return body();
    } finally {
      calls!.setns(before, 0);
      closeSync(before);
    }
  }

  /** Runs a program in it, and gives what it writes. */
  run(...command: string[]): string {
    const { exitCode, stdout, stderr } = this.inside(() => Bun.spawnSync(command, { timeout: 20_000 * slowness }));
    if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr.toString()}`);
    return stdout.toString();
  }

  /** Runs ip(8). */
  ip(args: string): string {
    return this.run("ip", ...args.split(" "));
  }

  /** How many AF_PACKET sockets are bound there to an interface, or to every one. */
  packetSockets(): number {
    return (
      this.inside(() => readFileSync("/proc/thread-self/net/packet", "latin1"))
        .trim()
        .split("\n").length - 1
    );
  }

  /** Starts a program in it. */
  start(...command: string[]): Peer {
    return new Peer(this.inside(() => Bun.spawn(command, { stdio: ["ignore", "pipe", "inherit"] })));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** What is missing for a {@link Network}; empty where nothing is. */
export const lacking: string = !isLinux
  ? "Linux"
  : !isRoot || !worksInEmulator(() => false) // an emulator of programs knows few options of interfaces
    ? "root"
    : Bun.which("ip") === null
      ? "ip"
      : (() => {
          try {
            new Network()[Symbol.dispose]();
            return "";
          } catch (error) {
            return (error as Error).message;
          }
        })();

/** Joins two networks by a pair of interfaces, which are up and carry frames when it returns. */
export function join(one: Network, ifname: string, other: Network, otherIfname: string): void {
  one.ip(`link add ${ifname} type veth peer name ${otherIfname} netns ${other.path}`);
  const ends = [[one, ifname] as const, [other, otherIfname] as const];
  for (const [net, name] of ends) net.ip(`link set ${name} up`);
  // A link that just came up loses what is sent by it, until the kernel has come to that.
  const isUp = ([net, name]: readonly [Network, string]): boolean =>
    JSON.parse(net.ip(`-json link show dev ${name}`))[0].operstate === "UP";
  while (!ends.every(isUp)) Bun.sleepSync(5);
}

export const tshark: string | null = Bun.which("tshark");

/**
 * Starts tshark in a network, and waits until it captures.
 *
 * @param args - Which frames, and what of them it shall write; see tshark(1). `-c` says when it ends.
 */
export async function capture(net: Network, ...args: string[]): Promise<Peer> {
  const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
  const child = net.inside(() => Bun.spawn([tshark!, "-n", "-l", ...args], { stdio }));
  const peer = new Peer(child as unknown as Peer["process"]);
  const reader = child.stderr.getReader(); // it stays open: tshark goes on to write there
  for (let said = ""; ;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`tshark does not capture: ${said}`);
    said += Buffer.from(value).toString();
    if (said.includes("Capture started")) return peer;
  }
}
