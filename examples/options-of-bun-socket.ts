/**
 * Options of a socket that Bun owns: Bun.connect gives the connection, berkeley-sockets the options that Bun has no methods
 * for. A client that sends a line, prints the answer, and tells how the connection is doing.
 *
 *   bun examples/options-of-bun-socket.ts <port> [text]      connects to 127.0.0.1
 *
 * Its other end is echo-server.ts.
 */
import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SO_RCVBUF,
  SOL_SOCKET,
  TCP_INFO,
  TCP_KEEPIDLE,
  TCP_USER_TIMEOUT,
} from "berkeley-sockets";
import { borrow } from "berkeley-sockets/bun";
import { tcp_info } from "berkeley-sockets/messages";

const port = Number(process.argv[2]);
const text = process.argv[3] ?? "Hello, world";
if (process.argv.length < 3 || !Number.isInteger(port) || port < 1 || port > 65535) {
  console.error("usage: bun options-of-bun-socket.ts <port> [text]");
  process.exit(2);
}

const answer = Promise.withResolvers<string>();
const handle = await Bun.connect({
  hostname: "127.0.0.1",
  port,
  socket: {
    data: (_, data) => answer.resolve(data.toString()),
    close: () => answer.reject(new Error("the connection was closed")),
  },
}).catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});

{
  // The end of the scope closes what was borrowed, and not the connection.
  using sock = borrow(handle);
  sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 18);
  sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1);
  // Constants that a platform lacks are undefined.
  if (TCP_KEEPIDLE !== undefined) sock.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 60); // seconds until a silent peer is asked
  if (TCP_USER_TIMEOUT !== undefined) sock.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, 20_000); // ms without an acknowledgement
  console.log(`receive buffer of ${sock.getsockopt(SOL_SOCKET, SO_RCVBUF)} bytes`);
}

handle.write(text);
console.log(`received ${JSON.stringify(await answer.promise)}`);
if (process.platform === "linux") {
  using sock = borrow(handle);
  const { rtt, totalRetrans } = tcp_info.decode(sock.getsockopt(IPPROTO_TCP, TCP_INFO, tcp_info.size));
  console.log(`round trip of ${rtt} µs, ${totalRetrans} segments sent again`);
}
handle.end();
