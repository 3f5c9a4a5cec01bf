/**
 * A process whose Workers share what an interface receives, for ring.test.ts: `bun fanout.ts interface workers type`.
 *
 * It says that it is ready, and when a datagram for port 10 came to any of them, how many came to each for port 9, by the
 * port that they came from.
 */
import { isMainThread } from "node:worker_threads";
import { ETH_P_IP, PACKET_FANOUT_HASH, PACKET_FANOUT_LB } from "../../src/index.ts";
import { PacketRing } from "../../src/packets.ts";
import { slowness } from "../help.ts";

const [ifname = "", workers = "1", type = "hash"] = process.argv.slice(2);

if (isMainThread) {
  const all = Array.from(
    { length: Number(workers) },
    () => new Worker(import.meta.url, { argv: process.argv.slice(2) }),
  );
  const shares: Record<string, number>[] = [];
  let ready = 0;
  for (const worker of all) {
    worker.onmessage = ({ data }) => {
      if (data === "ready") {
        if (++ready === all.length) console.log("ready");
      } else if (data === "end") {
        for (const other of all) other.postMessage("end");
      } else if (shares.push(data) === all.length) {
        console.log(JSON.stringify(shares));
        process.exit(0);
      }
    };
  }
} else {
  const fanout = { group: 77, type: type === "hash" ? PACKET_FANOUT_HASH : PACKET_FANOUT_LB };
  const ring = new PacketRing(ifname, { protocol: ETH_P_IP, fanout });
  const share: Record<string, number> = {};
  // The other rings' last blocks may be on their way.
  addEventListener("message", () => setTimeout(() => postMessage(share), 100 * slowness));
  postMessage("ready");
  for await (const frame of ring) {
    const port = frame.uint16(36);
    if (port === 9) share[frame.uint16(34)] = (share[frame.uint16(34)] ?? 0) + 1;
    if (port === 10) postMessage("end");
  }
}
