/**
 * An echo over Multipath TCP (RFC 8684), one connection by several networks at once, which tells whether it is one: with an
 * end that knows TCP alone, it is TCP.
 *
 *   bun examples/mptcp-echo.ts serve <host> <port>               port 0 is any free one
 *   bun examples/mptcp-echo.ts send <host> <port> <text>
 *
 * The host is an address of IPv4 or IPv6, or a name that has one of IPv4. For Linux (`sysctl net.mptcp.enabled`); which
 * addresses take part beside the first, `ip mptcp endpoint` says. Ctrl-C ends the server.
 */
import { AF_INET, AF_INET6, IPPROTO_MPTCP, OSError, SHUT_WR, SOCK_STREAM, Socket, SOL_MPTCP } from "berkeley-sockets";
import { MPTCP_INFO, MPTCP_INFO_FLAG_FALLBACK } from "berkeley-sockets/constants";

type TcpSocket = Socket<"AF_INET" | "AF_INET6">;

// All that a program has to do for it is to say the protocol.
const open = (host: string): TcpSocket =>
  new Socket(host.includes(":") ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

/** What a connection has become. */
function kindOf(sock: TcpSocket): string {
  try {
    // struct mptcp_info: how many subflows came to the first, five more bytes, and at 8 the flags.
    const info = sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 64);
    if ((info.readUInt32LE(8) & MPTCP_INFO_FLAG_FALLBACK) !== 0) return "TCP";
    return `MPTCP, ${1 + info[0]!} subflow${info[0] === 0 ? "" : "s"}`;
  } catch (error) {
    // A connection that is TCP has no such option: EOPNOTSUPP of IPv4, ENOPROTOOPT of IPv6.
    if (error instanceof OSError && ["EOPNOTSUPP", "ENOPROTOOPT"].includes(error.code)) return "TCP";
    throw error;
  }
}

function serve(host: string, port: number): never {
  using server = open(host);
  server.bind([host, port]);
  server.listen();
  console.log(`listening on port ${server.getsockname()[1]}`);
  for (;;) {
    const [conn, address] = server.accept();
    using _ = conn;
    const client = address.slice(0, 2).join(" port ");
    try {
      let bytes = 0;
      for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) {
        conn.sendall(data);
        bytes += data.length;
      }
      console.log(`${client}: ${bytes} bytes by ${kindOf(conn)}`);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(`${client}: ${error.message}`); // one client's trouble is not the server's
    }
  }
}

function send(host: string, port: number, text: string): void {
  using sock = open(host);
  sock.settimeout(10);
  sock.connect([host, port]);
  sock.sendall(text);
  const first = sock.recv(4096); // with the first answer it is known what the other end is
  console.log(`connected by ${kindOf(sock)}`);
  sock.shutdown(SHUT_WR);
  const received = [first];
  for (let data = sock.recv(4096); data.length > 0; data = sock.recv(4096)) received.push(data);
  console.log(`received ${JSON.stringify(Buffer.concat(received).toString())}`);
}

const [mode, host = "", port = "", text = ""] = process.argv.slice(2);
const isServer = mode === "serve" && process.argv.length === 5;
const isClient = mode === "send" && process.argv.length === 6 && text !== "";
if ((!isServer && !isClient) || !/^\d{1,5}$/.test(port) || Number(port) > 65535) {
  console.error("usage: bun mptcp-echo.ts serve <host> <port> | send <host> <port> <text>");
  process.exit(2);
}

try {
  if (isServer) serve(host, Number(port));
  else send(host, Number(port), text);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
