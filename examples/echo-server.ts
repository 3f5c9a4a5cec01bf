/**
 * An echo server over TCP and IPv4. It serves one client after the other, and sends back what each one sends.
 *
 *   bun examples/echo-server.ts <port>      0 is any free port
 *
 * Talk to it with echo-client.ts, or with `nc 127.0.0.1 <port>`. Ctrl-C ends it.
 */
import { AF_INET, OSError, SO_REUSEADDR, SOCK_STREAM, Socket, SOL_SOCKET } from "berkeley-sockets";

const HOST = "127.0.0.1"; // "" would be every address of this machine

const port = Number(process.argv[2]);
if (process.argv.length !== 3 || !Number.isInteger(port) || port < 0 || port > 65535) {
  console.error("usage: bun echo-server.ts <port>");
  process.exit(2);
}

using server = new Socket(AF_INET, SOCK_STREAM);
// The port can be used again at once after the server has ended, although old connections linger. (On Windows, which needs
// no option for that, another program could take the port.)
if (process.platform !== "win32") server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
server.bind([HOST, port]);
server.listen();
console.log(`listening on ${server.getsockname().join(":")}`);

for (;;) {
  const [conn, address] = server.accept();
  using _ = conn; // closed at the end of each round, whatever happens
  const client = address.join(":");
  console.log(`${client} connected`);
  try {
    for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) conn.sendall(data);
    console.log(`${client} is done`);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(`${client}: ${error.message}`); // one client's trouble is not the server's
  }
}
