/**
 * An echo over SCTP with one socket for all clients (one-to-many), and streams that do not wait for each other.
 *
 *   bun examples/sctp-echo.ts serve <host> <port>                   port 0 is any free one
 *   bun examples/sctp-echo.ts send <host> <port> <text>…            each text by a stream of its own
 *
 * The host is an address of IPv4 or IPv6, or a name that has one of IPv4. The server tells which associations begin and end.
 * For Linux, with the kernel's module (`modprobe sctp`). Ctrl-C ends the server.
 */
import { AF_INET, AF_INET6, IPPROTO_SCTP, MSG_NOTIFICATION, OSError, SOCK_SEQPACKET, Socket } from "berkeley-sockets";
import {
  SCTP_ASSOC_CHANGE,
  SCTP_COMM_UP,
  SCTP_EVENTS,
  SCTP_INITMSG,
  SCTP_NODELAY,
  SCTP_RCVINFO,
  SCTP_RECVRCVINFO,
  SCTP_SNDINFO,
} from "berkeley-sockets/constants";

const MAX_STREAMS = 100;
const CMSG_ROOM = 128;

function open(host: string): Socket<"AF_INET" | "AF_INET6"> {
  const sock = new Socket(host.includes(":") ? AF_INET6 : AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP);
  // struct sctp_initmsg: how many streams out and in; how often a host is asked again, and after how many ms at most.
  sock.setsockopt(IPPROTO_SCTP, SCTP_INITMSG, Uint16Array.of(MAX_STREAMS, MAX_STREAMS, 3, 1000));
  sock.setsockopt(IPPROTO_SCTP, SCTP_NODELAY, 1); // short messages do not wait to be sent together
  sock.setsockopt(IPPROTO_SCTP, SCTP_RECVRCVINFO, 1); // each message tells its stream
  return sock;
}

/** The control message that chooses the stream: `struct sctp_sndinfo`, whose other members may be 0. */
function byStream(stream: number): [level: number, type: number, data: Buffer] {
  const info = Buffer.alloc(16);
  info.writeUInt16LE(stream, 0);
  return [IPPROTO_SCTP, SCTP_SNDINFO, info];
}

/** The stream by which a message came: the first member of `struct sctp_rcvinfo`. */
function streamOf(ancillary: readonly [level: number, type: number, data: Buffer][]): number {
  const info = ancillary.find(([level, type]) => level === IPPROTO_SCTP && type === SCTP_RCVINFO);
  return info?.[2].readUInt16LE(0) ?? 0;
}

function serve(host: string, port: number): never {
  using sock = open(host);
  // struct sctp_event_subscribe: a byte for each kind; the second is associations that begin and end.
  sock.setsockopt(IPPROTO_SCTP, SCTP_EVENTS, Uint8Array.of(0, 1));
  sock.bind([host, port]);
  sock.listen(); // there is no accept: what comes, comes by this socket
  console.log(`listening on ${sock.getsockname().slice(0, 2).join(" port ")}`);
  for (;;) {
    const [data, ancillary, flags, from] = sock.recvmsg(65536, CMSG_ROOM);
    const client = from.slice(0, 2).join(" port ");
    if ((flags & MSG_NOTIFICATION) !== 0) {
      // struct sctp_assoc_change: its type, flags, length, then the state.
      if (data.readUInt16LE(0) !== SCTP_ASSOC_CHANGE) continue;
      console.log(`${client} ${data.readUInt16LE(8) === SCTP_COMM_UP ? "is here" : "is gone"}`);
      continue;
    }
    const stream = streamOf(ancillary);
    console.log(`${client}, stream ${stream}: ${data}`);
    try {
      sock.sendmsg([data], [byStream(stream)], 0, from); // within the association that there is
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(`${client}: ${error.message}`); // one client's trouble is not the server's
    }
  }
}

function send(host: string, port: number, texts: string[]): void {
  using sock = open(host);
  // The first message would make the association by itself, but not tell that nobody listens. With a timeout, connect() would
  // not wait either: a socket for many can always send to somebody.
  sock.connect([host, port]);
  sock.settimeout(5);
  texts.forEach((text, stream) => sock.sendmsg([text], [byStream(stream)], 0, [host, port]));
  for (let answers = 0; answers < texts.length; answers++) {
    const [data, ancillary] = sock.recvmsg(65536, CMSG_ROOM);
    console.log(`stream ${streamOf(ancillary)}: ${data}`);
  }
  // Closing the socket ends the association, once all is delivered.
}

const [mode, host = "", port = "", ...texts] = process.argv.slice(2);
const isServer = mode === "serve" && texts.length === 0;
const isClient = mode === "send" && texts.length > 0 && texts.length <= MAX_STREAMS;
if ((!isServer && !isClient) || !/^\d{1,5}$/.test(port) || Number(port) > 65535) {
  console.error(`usage: bun sctp-echo.ts serve <host> <port> | send <host> <port> <text>…`);
  process.exit(2);
}

try {
  if (isServer) serve(host, Number(port));
  else send(host, Number(port), texts);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
