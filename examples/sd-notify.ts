/**
 * Tells systemd how a service is doing, as sd_notify(3) does: a datagram of NAME=value lines to the socket that systemd
 * named in the environment.
 *
 *   bun examples/sd-notify.ts READY=1 "STATUS=Serving on port 8080"
 *
 * In a unit with Type=notify, call `notify("READY=1")` once the service can be used.
 */
import { AF_UNIX, OSError, SOCK_DGRAM, Socket } from "berkeley-sockets";

/**
 * @param states - `"READY=1"`, `"STATUS=…"`, `"STOPPING=1"`, `"WATCHDOG=1"` …
 * @returns Whether there was somebody to tell: false outside a service.
 */
export function notify(...states: string[]): boolean {
  const address = process.env["NOTIFY_SOCKET"];
  if (address === undefined) return false;
  using sock = new Socket(AF_UNIX, SOCK_DGRAM);
  // An @ stands for the NUL that begins a name of Linux's abstract namespace.
  sock.sendto(states.join("\n"), address.startsWith("@") ? `\0${address.slice(1)}` : address);
  return true;
}

if (import.meta.main) {
  const states = process.argv.slice(2);
  if (states.length === 0 || !states.every((state) => state.includes("="))) {
    console.error("usage: bun sd-notify.ts <NAME=value>...");
    process.exit(2);
  }
  try {
    if (!notify(...states)) console.log("NOTIFY_SOCKET is not set: no service manager listens");
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
