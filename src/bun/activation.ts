/**
 * Socket activation: descriptors that a service manager opened and passed, as sd_listen_fds(3) takes them.
 */
import { INT_MAX, lacking, wrongValue } from "../args.ts";
import { systemError } from "../errors.ts";
import { shim } from "../native.ts";

/** The first descriptor that is passed (SD_LISTEN_FDS_START). */
const FIRST = 3;

/** The name of a descriptor where the service manager gave none. */
const UNNAMED = "unknown";

/** What tells a process of its descriptors. LISTEN_PIDFDID says the same as LISTEN_PID, and is not looked at. */
const VARIABLES = ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/** A descriptor that a service manager passed. It is the caller's. */
export interface PassedDescriptor {
  /** `FileDescriptorName=` of the unit's file, as a rule the unit's name; `"unknown"` where there are no names. */
  name: string;
  /** The descriptor, for `new Socket({ fileno })` of the root or of promises. Not all need be sockets. */
  fd: number;
}

/**
 * The descriptors that a service manager passed to this process: socket activation; see sd_listen_fds(3).
 *
 * It takes them: the variables are removed from `process.env`, and a second call gives none. Child processes do not
 * inherit the descriptors. (`Bun.spawn` without `env` passes on the variables that this process was started with; they
 * name this process, so that no other heeds them.) Call it once, in the main thread: a Worker has an environment of its
 * own. The process has to be the one that was started: by way of `npx`, or of a shell script without `exec`, a program is
 * passed nothing.
 *
 * systemd passes descriptors as blocking, unless the unit says `NonBlocking=yes`; other programs may not, and
 * `sock.setblocking(true)` makes sure.
 *
 * @returns The descriptors in their order; none where none were passed, or to another process.
 * @throws RangeError for a variable that is malformed, or names that are not as many as the descriptors; OSError (EBADF)
 *   where a descriptor is not open; TypeError on Windows. The variables are removed all the same.
 * @see https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
 *
 * @example
 * ```ts
 * import { createServer, Socket } from "berkeley-sockets";
 * import { listenFds } from "berkeley-sockets/bun";
 * const passed = process.platform === "win32" ? [] : listenFds();
 * const web = passed.find(({ name }) => name === "web.socket");
 * using server = web ? new Socket({ fileno: web.fd }) : createServer(["127.0.0.1", 0]);
 * console.log(passed.length, server.getsockname()[0]); // 0 127.0.0.1
 * ```
 */
export function listenFds(): PassedDescriptor[] {
  if (process.platform === "win32") throw lacking("listenFds", "on every other platform");
  const [pid, , count, given] = VARIABLES.map((name) => process.env[name]);
  for (const name of VARIABLES) delete process.env[name];
  if (pid === undefined || decimal("LISTEN_PID", pid, INT_MAX) !== process.pid || count === undefined) return [];

  const n = decimal("LISTEN_FDS", count, INT_MAX - FIRST);
  const names = given?.split(":");
  if (names !== undefined && names.length !== n) throw wrongValue("LISTEN_FDNAMES", `${n} names`, given);
  // Looked at one by one before a list is made: the number may be far from true.
  const passed: PassedDescriptor[] = [];
  for (let fd = FIRST; fd < FIRST + n; fd++) {
    const r = shim.bs_set_inheritable(fd, 0);
    if (r < 0) throw systemError("fcntl", r);
    passed.push({ name: names?.[fd - FIRST] ?? UNNAMED, fd });
  }
  return passed;
}

/** A positive number of the environment. */
function decimal(name: string, text: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= 1 && value <= max)) throw wrongValue(name, `a number from 1 to ${max}`, text);
  return value;
}
