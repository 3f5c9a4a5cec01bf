/**
 * The hot paths: the same loop here, in C and in CPython.
 *
 *     bun bench/hot-paths.ts [--json] [--rounds N] [--only TEXT] [--quick]
 *
 * Each peer is a process of its own; C is there twice, alone and with a second, idle thread, because Linux does more at
 * every call of a process that has several threads, as those of Bun have. Data calls run in batches that fit the socket's
 * buffer: only the named call is timed, its counterpart empties or fills the buffer untimed.
 */
import { compile, type Contest, main, Peer, peerFile, type Run, type Section } from "./suite.ts";

/** How long one peer spends on one workload in one turn, in nanoseconds. */
const SLICE = 20_000_000;

const peers: Record<string, Peer> = {
  here: new Peer(() => [process.execPath, peerFile("hot-paths.ts")]),
  C: new Peer(() => [compile("hot-paths.c")]),
  "C, two threads": new Peer(() => [compile("hot-paths.c"), "threads"]),
};
const python = Bun.which("python3");
if (python !== null) peers["CPython"] = new Peer(() => [python, peerFile("hot-paths.py")]);

/** @param size - What a receive asks for. */
function contest(kind: "unix" | "tcp" | "udp", call: string, bytes: number, size: number): Contest {
  const batch = bytes > 1400 ? 1 : 32;
  const run = (peer: Peer): Run => {
    let batches = 0;
    return async () => {
      // The first run warms the peer up and tells how many batches fill a slice.
      const figures = await peer.ask(kind, call, bytes, size, batches || Math.round(20_000 / batch), batch);
      batches ||= Math.max(1, Math.round(SLICE / (figures[0]! * batch)));
      return figures;
    };
  };
  return {
    workload: `${kind} ${call}${size === bytes ? "" : ` of ${size}`}`,
    bytes,
    units: ["ns/call"],
    runs: Object.fromEntries(Object.entries(peers).map(([name, peer]) => [name, run(peer)])),
    goals:
      bytes <= 64
        ? { C: 1.1, "C, two threads": 1.1, CPython: 0.9 }
        : bytes > 1400
          ? { C: 1.05, "C, two threads": 1.05 }
          : {},
    turns: 2,
    warm: 1,
    seconds: 0.05,
  };
}

/** The section of the report. */
export const hotPaths: Section = {
  title: "Hot paths",
  about:
    "One call at a time, on connected sockets of the same process. “C, two threads” is the same program with an idle thread: Linux does more at each call of a process that has several, as every process of Bun has.",
  contests(isQuick) {
    const all: Contest[] = [];
    for (const kind of ["unix", "tcp", "udp"] as const) {
      const calls =
        kind === "udp"
          ? ["send", "sendto", "sendmsg", "recv", "recvInto", "recvfrom", "recvmsg"]
          : ["send", "sendmsg", "recv", "recvInto", "recvmsg"];
      for (const call of calls) {
        for (const wanted of isQuick ? [64] : [64, 1400, 65536]) {
          // The largest UDP datagram is a little less than 64 KiB.
          const bytes = kind === "udp" ? Math.min(wanted, 65507) : wanted;
          all.push(contest(kind, call, bytes, bytes));
        }
      }
      if (kind !== "udp") all.push(contest(kind, "accept+close", 0, 0));
      all.push(contest(kind, "getsockopt", 0, 0));
    }
    // What is returned is what is allocated: 64 bytes cost the same whatever was asked for.
    for (const size of [2048, 65536]) all.push(contest("udp", "recv", 64, size));
    return all;
  },
};

if (import.meta.main) await main(hotPaths);
