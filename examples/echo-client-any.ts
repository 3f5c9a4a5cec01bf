/**
 * A client of an echo server, over IPv4 or IPv6: tries each address that the host has, until one takes the connection.
 *
 *   bun examples/echo-client-any.ts <host> <port> [message]
 *
 * (`createConnection([host, port])` does as much in one call.)
 */
import { AF_UNSPEC, getaddrinfo, OSError, SHUT_WR, SOCK_STREAM, Socket } from "berkeley-sockets";

const [host, port, message = "Hello, world"] = process.argv.slice(2);
if (host === undefined || port === undefined || process.argv.length > 5) {
  console.error("usage: bun echo-client-any.ts <host> <port> [message]");
  process.exit(2);
}

function connect(host: string, port: string): Socket {
  try {
    for (const [family, type, proto, , address] of getaddrinfo(host, port, AF_UNSPEC, SOCK_STREAM)) {
      const sock = new Socket(family, type, proto);
      try {
        sock.settimeout(10);
        sock.connect(address);
        console.log(`connected to ${address[0]} port ${address[1]}`);
        return sock;
      } catch (error) {
        sock.close();
        if (!(error instanceof OSError)) throw error;
        console.error(error.message);
      }
    }
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.error(error.message); // the host has no address, or the machine lacks a family
  }
  process.exit(1);
}

using sock = connect(host, port);
sock.sendall(message);
sock.shutdown(SHUT_WR);

const received: Buffer[] = [];
for (let data = sock.recv(4096); data.length > 0; data = sock.recv(4096)) received.push(data);
console.log(`received ${JSON.stringify(Buffer.concat(received).toString())}`);
