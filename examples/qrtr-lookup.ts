/**
 * Lists the services of a Qualcomm chip's processors (modem, DSPs), as qrtr-lookup of Linaro's qrtr does: AF_QIPCRTR.
 *
 *   bun examples/qrtr-lookup.ts [-w] [<service>]      a number, as 2 or 0x42; without it, every service
 *
 * With -w it goes on, and shows which come and go, until Ctrl-C. For Linux, with the kernel's module (`modprobe qrtr`).
 */
import {
  AF_QIPCRTR,
  OSError,
  QRTR_PORT_CTRL,
  QRTR_TYPE_NEW_LOOKUP,
  QRTR_TYPE_NEW_SERVER,
  SOCK_DGRAM,
  Socket,
} from "berkeley-sockets";

/** What is behind some of the numbers: services of the modem, by QMI. */
const NAMES = new Map([
  [1, "wireless data"],
  [2, "device management"],
  [3, "network access"],
  [5, "short messages"],
  [9, "voice"],
  [11, "SIM cards"],
  [16, "location"],
]);

const args = process.argv.slice(2);
const isWatch = args[0] === "-w";
if (isWatch) args.shift();
const wanted = Number(args[0] ?? 0); // 0 is every one
if (args.length > 1 || !Number.isInteger(wanted) || wanted < 0 || wanted >= 2 ** 32) {
  console.error("usage: bun qrtr-lookup.ts [-w] [<service>]");
  process.exit(2);
}

try {
  using sock = new Socket(AF_QIPCRTR, SOCK_DGRAM);
  const [thisNode] = sock.getsockname();
  // struct qrtr_ctrl_pkt: a command, then a service, its instance, its node and port.
  const question = Buffer.alloc(20);
  question.writeUInt32LE(QRTR_TYPE_NEW_LOOKUP, 0);
  question.writeUInt32LE(wanted, 4);
  sock.sendto(question, [thisNode, QRTR_PORT_CTRL]);

  sock.settimeout(5);
  console.log("  service version instance  node  port");
  for (;;) {
    const [answer, [, from]] = sock.recvfrom(64);
    if (from !== QRTR_PORT_CTRL || answer.length < 20) continue; // anybody may send here
    const [command, service, instance, node, port] = [0, 4, 8, 12, 16].map((at) => answer.readUInt32LE(at)) as [
      ...[number, number, number, number, number],
    ];
    if (service === 0 && node === 0) {
      if (!isWatch) break; // the empty one comes behind all that are there
      sock.settimeout(null);
      continue;
    }
    // The instance has the version in its lowest byte.
    const columns = [
      String(service).padStart(9),
      String(instance & 0xff).padStart(7),
      String(instance >>> 8).padStart(8),
    ];
    const place = `${String(node).padStart(5)} ${String(port).padStart(5)}`;
    const gone = command === QRTR_TYPE_NEW_SERVER ? "" : "(gone)";
    console.log(`${columns.join(" ")} ${place}  ${NAMES.get(service) ?? ""}${gone}`.trimEnd());
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
