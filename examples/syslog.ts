/**
 * Writes a line to the system's log, as logger(1) does: a datagram to the socket of syslogd or journald.
 *
 *   bun examples/syslog.ts [--rfc5424] [--socket <path>] <message>
 *
 * The format is that of RFC 3164, which every local log daemon reads; or of RFC 5424, with an exact time and the host's
 * name. The socket is /dev/log unless another is given.
 */
import { parseArgs } from "node:util";
import { AF_UNIX, gethostname, OSError, SOCK_DGRAM, Socket } from "berkeley-sockets";

const USER = 1; // the facility
const NOTICE = 5; // the severity
const priority = USER * 8 + NOTICE;
const TAG = "berkeley-sockets";

/** RFC 3164: `<13>Oct  1 22:14:15 tag[4711]: message`. Local daemons want no host's name. */
function rfc3164(message: string, now: Date): string {
  const month = now.toLocaleString("en", { month: "short" });
  const day = String(now.getDate()).padStart(2);
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
  return `<${priority}>${month} ${day} ${time} ${TAG}[${process.pid}]: ${message}`;
}

/** RFC 5424: `<13>1 2025-10-01T22:14:15.003Z host tag 4711 - - message`. */
function rfc5424(message: string, now: Date): string {
  return `<${priority}>1 ${now.toISOString()} ${gethostname()} ${TAG} ${process.pid} - - ${message}`;
}

function usage(): never {
  console.error("usage: bun syslog.ts [--rfc5424] [--socket <path>] <message>");
  process.exit(2);
}

function commandLine() {
  try {
    return parseArgs({
      options: { rfc5424: { type: "boolean" }, socket: { type: "string", default: "/dev/log" } },
      allowPositionals: true,
    });
  } catch {
    return usage();
  }
}

const { values, positionals } = commandLine();
const [message] = positionals;
if (message === undefined || positionals.length > 1) usage();
const line = values.rfc5424 ? rfc5424(message, new Date()) : rfc3164(message, new Date());
try {
  using sock = new Socket(AF_UNIX, SOCK_DGRAM);
  sock.sendto(line, values.socket);
  console.log(`${values.socket}: ${line}`);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}
