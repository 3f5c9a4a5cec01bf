/**
 * The other ends of quickstart.ts, which starts each of them as a process of its own.
 *
 *   bun examples/quickstart-peer.ts tcp | udp | unix <path> | read-file | greet
 */
import { closeSync, readFileSync } from "node:fs";
import { AF_INET, AF_UNIX, createServer, recvFds, setdefaulttimeout, SOCK_DGRAM, Socket } from "berkeley-sockets";

/** Sends back what one client sends, until it has no more to say. */
function echo(server: Socket): void {
  const [conn] = server.accept();
  using _ = conn;
  for (let data = conn.recv(4096); data.length > 0; data = conn.recv(4096)) conn.sendall(data);
}

const peers: Record<string, (argument: string) => void> = {
  tcp() {
    using server = createServer(["127.0.0.1", 0]);
    console.log(server.getsockname()[1]);
    echo(server);
  },

  udp() {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.bind(["127.0.0.1", 0]);
    console.log(sock.getsockname()[1]);
    const [data, from] = sock.recvfrom(2048);
    sock.sendto(data, from);
  },

  unix(path) {
    using server = new Socket(AF_UNIX);
    server.bind(path);
    server.listen();
    console.log(path);
    echo(server);
  },

  // The two that follow find their socket at descriptor 3, where the parent put it.

  "read-file"() {
    using sock = new Socket({ fileno: 3 });
    const [, [file]] = recvFds(sock, 1024, 1);
    if (file === undefined) throw new Error("no descriptor came");
    sock.sendall(readFileSync(file));
    closeSync(file);
  },

  greet() {
    using sock = new Socket({ fileno: 3 });
    sock.send("good day");
  },
};

const [role = "", argument = ""] = process.argv.slice(2);
const peer = peers[role];
if (peer === undefined) {
  console.error(`usage: bun ${process.argv[1]} ${Object.keys(peers).join(" | ")}`);
  process.exit(2);
}
setdefaulttimeout(10);
peer(argument);
