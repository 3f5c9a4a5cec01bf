/**
 * An echo between a virtual machine and its host, over AF_VSOCK: no network is set up, a machine is known by its number.
 *
 *   bun examples/vsock-echo.ts serve <port>                      4294967295 is any free port
 *   bun examples/vsock-echo.ts send <machine> <port> <text>
 *
 * For Linux. Machine 2 is the host, from inside; QEMU's `-device vhost-vsock-pci,guest-cid=3` makes a guest machine 3;
 * machine 1 is this one (with the kernel's module vsock_loopback). Ctrl-C ends the server.
 */
import { AF_VSOCK, OSError, SHUT_WR, SOCK_STREAM, Socket, VMADDR_CID_ANY } from "berkeley-sockets";

const [mode, ...args] = process.argv.slice(2);
const numbers = args.slice(0, 2).map(Number);
const isServer = mode === "serve" && args.length === 1;
const isClient = mode === "send" && args.length === 3;
if ((!isServer && !isClient) || numbers.slice(0, isServer ? 1 : 2).some((n) => !(n >= 0 && n < 2 ** 32))) {
  console.error("usage: bun vsock-echo.ts serve <port> | send <machine> <port> <text>");
  process.exit(2);
}

function serve(port: number): never {
  using server = new Socket(AF_VSOCK, SOCK_STREAM);
  server.bind([VMADDR_CID_ANY, port]);
  server.listen();
  console.log(`listening on port ${server.getsockname()[1]}`);
  for (;;) {
    const [conn, [machine, from]] = server.accept();
    using _ = conn;
    let bytes = 0;
    try {
      for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) {
        conn.sendall(data);
        bytes += data.length;
      }
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.error(error.message); // of this client
    }
    console.log(`served ${bytes} bytes to machine ${machine}, port ${from}`);
  }
}

function send(machine: number, port: number, text: string): void {
  using sock = new Socket(AF_VSOCK, SOCK_STREAM);
  sock.settimeout(5);
  sock.connect([machine, port]);
  sock.sendall(text);
  sock.shutdown(SHUT_WR); // the server sees the end, and closes
  for (let data = sock.recv(4096); data.length > 0; data = sock.recv(4096)) process.stdout.write(data);
  process.stdout.write("\n");
}

try {
  if (isServer) serve(numbers[0]!);
  else send(numbers[0]!, numbers[1]!, args[2]!);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
