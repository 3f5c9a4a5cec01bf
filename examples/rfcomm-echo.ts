/**
 * An echo over Bluetooth, by RFCOMM: a serial line between two devices, as programs on phones have it.
 *
 *   bun examples/rfcomm-echo.ts serve <channel>                       1 to 30; 0 is any free one
 *   bun examples/rfcomm-echo.ts send <device> <channel> <text>        a device is as 01:23:45:67:89:AB
 *
 * For Linux, FreeBSD, NetBSD and Windows, with a Bluetooth controller that is on; the other device has to be paired where it
 * asks for that. Ctrl-C ends the server.
 */
import { AF_BLUETOOTH, BDADDR_ANY, BTPROTO_RFCOMM, OSError, SHUT_WR, SOCK_STREAM, Socket } from "berkeley-sockets";

const [mode, ...args] = process.argv.slice(2);
const isServer = mode === "serve" && args.length === 1;
const isClient = mode === "send" && args.length === 3 && /^[\dA-F]{2}(:[\dA-F]{2}){5}$/i.test(args[0]!);
const channel = Number(args[isServer ? 0 : 1]);
if ((!isServer && !isClient) || !Number.isInteger(channel) || channel < 0 || channel > 30) {
  console.error("usage: bun rfcomm-echo.ts serve <channel> | send <device> <channel> <text>");
  process.exit(2);
}

function serve(): never {
  using server = new Socket(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM);
  server.bind([BDADDR_ANY, channel]);
  server.listen();
  // What an address is, the protocol says: for RFCOMM a device and a channel.
  console.log(`listening on channel ${server.getsockname()[1]}`);
  for (;;) {
    const [conn, [device]] = server.accept();
    using _ = conn;
    let bytes = 0;
    try {
      for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) {
        conn.sendall(data);
        bytes += data.length;
      }
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message); // it went out of reach
    }
    console.log(`served ${bytes} bytes to ${device}`);
  }
}

function send(device: string, text: string): void {
  using sock = new Socket(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM);
  sock.settimeout(20); // devices need seconds to find each other
  sock.connect([device, channel]);
  sock.sendall(text);
  let answer = Buffer.alloc(0);
  while (answer.length < Buffer.byteLength(text)) {
    const data = sock.recv(4096);
    if (data.length === 0) break;
    answer = Buffer.concat([answer, data]);
  }
  sock.shutdown(SHUT_WR);
  console.log(answer.toString());
}

try {
  if (isServer) serve();
  else send(args[0]!, args[2]!);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
