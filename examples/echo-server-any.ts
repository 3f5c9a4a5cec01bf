/**
 * An echo server of whatever address family there is: getaddrinfo says what can be listened on, and the first that works
 * is taken. IPv6 comes first, because its socket can serve IPv4 clients as well.
 *
 *   bun examples/echo-server-any.ts <port> [host]      port 0 is any free one; without a host, every address
 *
 * Talk to it with echo-client-any.ts. Ctrl-C ends it. (`createServer` does as much in one call.)
 */
import {
  AF_INET6,
  AF_UNSPEC,
  AI_PASSIVE,
  getaddrinfo,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  OSError,
  SO_REUSEADDR,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "berkeley-sockets";

const [port, host] = process.argv.slice(2);
if (port === undefined || process.argv.length > 4) {
  console.error("usage: bun echo-server-any.ts <port> [host]");
  process.exit(2);
}

function listen(): Socket<"AF_INET" | "AF_INET6"> {
  const found = getaddrinfo(host ?? null, port ?? null, AF_UNSPEC, SOCK_STREAM, 0, AI_PASSIVE);
  found.sort(([a], [b]) => Number(b === AF_INET6) - Number(a === AF_INET6));
  let trouble: OSError | undefined;
  for (const [family, type, proto, , address] of found) {
    let sock: Socket | undefined;
    try {
      sock = new Socket(family, type, proto);
      // On Windows it would let another program take the port.
      if (process.platform !== "win32") sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
      if (family === AF_INET6) sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0);
      sock.bind(address);
      sock.listen();
      return sock as Socket<"AF_INET" | "AF_INET6">;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      sock?.close();
      trouble = error;
    }
  }
  console.error(`could not open a socket: ${trouble?.message}`);
  process.exit(1);
}

using server = listen();
const [boundHost, boundPort] = server.getsockname();
console.log(`listening on ${boundHost} port ${boundPort}`);

for (;;) {
  const [conn, [clientHost, clientPort]] = server.accept();
  using _ = conn;
  const client = `${clientHost} port ${clientPort}`;
  console.log(`${client} connected`);
  try {
    for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) conn.sendall(data);
    console.log(`${client} is done`);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(`${client}: ${error.message}`);
  }
}
