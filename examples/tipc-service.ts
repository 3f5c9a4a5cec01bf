/**
 * Services by number, whatever machine of the cluster they run on: AF_TIPC.
 *
 *   bun examples/tipc-service.ts serve <type> <instance>            sends each text back in capitals
 *   bun examples/tipc-service.ts ask <type> <instance> <text>
 *   bun examples/tipc-service.ts watch <type>                       shows who comes and goes
 *
 * A type is a number from 64 up, an instance any; they have 32 bits. Where several serve the same one, they are asked in turn.
 * For Linux, with the kernel's module (`modprobe tipc`). One machine is a cluster by itself; `tipc bearer enable media eth
 * device eth0` on each of several joins them. Ctrl-C ends what serves or watches.
 */
import {
  AF_TIPC,
  OSError,
  SOCK_RDM,
  SOCK_SEQPACKET,
  Socket,
  TIPC_ADDR_NAME,
  TIPC_PUBLISHED,
  TIPC_SUB_PORTS,
  TIPC_TOP_SRV,
  TIPC_WAIT_FOREVER,
} from "berkeley-sockets";

function serve(type: number, instance: number): never {
  using sock = new Socket(AF_TIPC, SOCK_RDM);
  sock.bind([TIPC_ADDR_NAME, type, instance, 0]);
  console.log(`serving ${type}:${instance}`);
  for (;;) {
    // A message comes by the service's name, and its answer goes to the socket that asked.
    const [text, from] = sock.recvfrom(66_000);
    sock.sendto(text.toString().toUpperCase(), from);
    console.log(`${text.length} bytes from node ${from[1].toString(16)}, port ${from[2]}`);
  }
}

function ask(type: number, instance: number, text: string): void {
  using sock = new Socket(AF_TIPC, SOCK_RDM);
  sock.settimeout(5);
  sock.sendto(text, [TIPC_ADDR_NAME, type, instance, 0]);
  console.log(sock.recv(66_000).toString());
}

function watch(type: number): never {
  // The topology server is a service like others, which every node has.
  using sock = new Socket(AF_TIPC, SOCK_SEQPACKET);
  sock.connect([TIPC_ADDR_NAME, TIPC_TOP_SRV, TIPC_TOP_SRV, 0]);
  // struct tipc_subscr: the type, the lowest and the highest instance, how long, what of them, eight bytes of one's own.
  sock.sendall(Uint32Array.of(type, 0, 0xffff_ffff, TIPC_WAIT_FOREVER, TIPC_SUB_PORTS, 0, 0));
  console.log(`watching ${type}`);
  for (;;) {
    // struct tipc_event: what happened, the instances, the socket; then the subscription. It begins with who is there.
    const event = sock.recv(48);
    if (event.length < 48) throw new Error("the topology server has ended the connection");
    const [what, lowest, highest, port, node] = new Uint32Array(event.buffer, event.byteOffset, 5);
    const instances = lowest === highest ? `${type}:${lowest}` : `${type}:${lowest}-${highest}`;
    const change = what === TIPC_PUBLISHED ? "came" : "went";
    console.log(`${instances} ${change}: node ${node!.toString(16)}, port ${port}`);
  }
}

const [mode = "", ...args] = process.argv.slice(2);
const [type = NaN, instance = 0] = args.slice(0, 2).map(Number);
const count = { serve: 2, ask: 3, watch: 1 }[mode];
const isNumber = (value: number, least: number): boolean =>
  Number.isInteger(value) && value >= least && value < 2 ** 32;
if (args.length !== count || !isNumber(type, 64) || !isNumber(instance, 0)) {
  console.error("usage: bun tipc-service.ts serve <type> <instance> | ask <type> <instance> <text> | watch <type>");
  process.exit(2);
}

try {
  if (mode === "serve") serve(type, instance);
  else if (mode === "ask") ask(type, instance, args[2]!);
  else watch(type);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
