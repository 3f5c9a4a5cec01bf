/**
 * Sends with and without a copy, by turns: `unshare -n bun zerocopy.ts <bytes>` prints nanoseconds a send without a copy and
 * with one.
 *
 * In a network of its own, by a virtual interface whose other end is in a bridge that leads nowhere: to a receiver on the
 * same machine the kernel would copy. Each send is from other memory, more of it than caches hold.
 */
import {
  AF_INET,
  CMSG_SPACE,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_ZEROCOPY,
  SO_EE_CODE_ZEROCOPY_COPIED,
  SO_EE_ORIGIN_ZEROCOPY,
  SO_SNDBUF,
  SO_ZEROCOPY,
  SOCK_DGRAM,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { decodeAncillary } from "../../src/messages.ts";
import { MessageBatch } from "../../src/packets.ts";
import { median } from "../suite.ts";

const bytes = Number(process.argv[2]);
const ROUNDS = 5;
const SENDS = 256;

for (const command of [
  "link add near mtu 65000 type veth peer name far mtu 65000",
  "link add nowhere type bridge",
  "link set far master nowhere",
  "link set near up",
  "link set far up",
  "link set nowhere up",
  "addr add 10.9.0.1/24 dev near",
  "neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev near",
]) {
  const { success, stderr } = Bun.spawnSync(["ip", ...command.split(" ")]);
  if (!success) throw new Error(`ip ${command}: ${stderr.toString()}`);
}
Bun.sleepSync(200); // a link that just came up loses what is sent by it

using sock = new Socket(AF_INET, SOCK_DGRAM);
sock.setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1);
sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 4 << 20);
sock.connect(["10.9.0.2", 9]);
const notices = new MessageBatch(sock, { capacity: 64, size: 1, ancbufsize: CMSG_SPACE(32) * 2 });

/** Takes the notices of what was sent; a copy would spoil the comparison. */
function release(count: number): void {
  for (let done = 0; done < count;) {
    try {
      sock.recvBatch(notices, MSG_ERRQUEUE | MSG_DONTWAIT);
    } catch {
      continue;
    }
    for (let i = 0; i < notices.length; i++) {
      for (const item of decodeAncillary(notices.ancillary(i))) {
        if (item.type !== "error" || item.origin !== SO_EE_ORIGIN_ZEROCOPY) continue;
        if (item.icmpCode & SO_EE_CODE_ZEROCOPY_COPIED) throw new Error("the kernel copied");
        done += item.data - item.info + 1;
      }
    }
  }
}

const PIECE = 32;
const all = Array.from({ length: SENDS }, () => new Uint8Array(bytes).fill(1));

/** Nanoseconds a send. */
function time(flags: number): number {
  const start = Bun.nanoseconds();
  for (let i = 0; i < SENDS; i++) {
    sock.send(all[i]!, flags);
    if (flags !== 0 && i % PIECE === PIECE - 1) release(PIECE);
  }
  return (Bun.nanoseconds() - start) / SENDS;
}

const without: number[] = [];
const copied: number[] = [];
for (let round = -2; round < ROUNDS; round++) {
  const times = [time(MSG_ZEROCOPY), time(0)] as const;
  if (round < 0) continue; // the first warm up
  without.push(times[0]);
  copied.push(times[1]);
}
console.log(median(without), median(copied));
