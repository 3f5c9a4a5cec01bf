/**
 * A client of echo-server.ts: sends a message, and prints what comes back.
 *
 *   bun examples/echo-client.ts <port> [message]
 */
import { AF_INET, SHUT_WR, SOCK_STREAM, Socket } from "berkeley-sockets";

const HOST = "127.0.0.1";

const [argument = "", message = "Hello, world"] = process.argv.slice(2);
const port = Number(argument);
if (process.argv.length < 3 || process.argv.length > 4 || !Number.isInteger(port) || port < 1 || port > 65535) {
  console.error("usage: bun echo-client.ts <port> [message]");
  process.exit(2);
}

using sock = new Socket(AF_INET, SOCK_STREAM);
sock.settimeout(10);
sock.connect([HOST, port]);
sock.sendall(message);
sock.shutdown(SHUT_WR); // no more from this end: the server sees the end of the stream

// A stream has no messages: what was sent at once may come in pieces, and the end is an empty one.
const received: Buffer[] = [];
for (let data = sock.recv(4096); data.length > 0; data = sock.recv(4096)) received.push(data);
console.log(`received ${JSON.stringify(Buffer.concat(received).toString())}`);
