/**
 * The errors of the library: `OSError` and its subclasses, as PEP 3151 groups them.
 */
import {
  EAGAIN,
  EAI_ADDRFAMILY,
  EAI_AGAIN,
  EAI_BADFLAGS,
  EAI_BADHINTS,
  EAI_FAIL,
  EAI_FAMILY,
  EAI_IDN_ENCODE,
  EAI_INTR,
  EAI_MEMORY,
  EAI_NODATA,
  EAI_NONAME,
  EAI_OVERFLOW,
  EAI_PROTOCOL,
  EAI_SERVICE,
  EAI_SOCKTYPE,
  EAI_SYSTEM,
  EINVAL,
  ENOENT,
  Errno,
  ETIMEDOUT,
} from "./constants.ts";
import { shim, TIMED_OUT } from "./native.ts";

/** What an {@link OSError} is made of. */
export interface OSErrorDetails {
  /** The system's number: `errno`, on Windows the WSA code, for `gaierror` an `EAI_*`, for `herror` an `h_errno`. */
  errno: number;
  /** The POSIX name of the number: `"ECONNREFUSED"`. */
  code: string;
  /** The call that failed: `"connect"`. */
  syscall: string;
  /** What the system says of it: `"Connection refused"`. */
  reason: string;
  /** The address that the call was given, where there was one. */
  address?: unknown;
}

/**
 * A call that the system refused.
 *
 * The message says all of it: `connect ECONNREFUSED 127.0.0.1:9: Connection refused`.
 *
 * @example
 * ```ts
 * import { OSError, Socket } from "berkeley-sockets";
 * using sock = new Socket();
 * try {
 *   sock.getpeername();
 * } catch (error) {
 *   if (error instanceof OSError) console.log(error.code, error.syscall); // ENOTCONN getpeername
 * }
 * ```
 */
export class OSError extends Error {
  static {
    OSError.prototype.name = "OSError";
  }
  /** The system's number, positive: `errno`, or the WSA code on Windows. */
  readonly errno: number;
  /** The POSIX name of the number, on every platform: `"ECONNREFUSED"`. */
  readonly code: string;
  /** The call that failed: `"connect"`. */
  readonly syscall: string;
  /** The address that the call was given; absent where there was none. */
  declare readonly address?: unknown;

  /**
   * After a file's `write` (see `Socket.makefile`): how much of its data the file has taken all the same, sent or kept for
   * the next flush. What lies behind that is still the caller's.
   */
  declare charactersWritten?: number;

  /** @param details - What failed, and how. */
  constructor(details: OSErrorDetails) {
    const { errno, code, syscall, reason, address } = details;
    const where = address === undefined ? "" : ` ${shownAddress(address)}`;
    super(`${syscall} ${code}${where}: ${reason}`);
    this.errno = errno;
    this.code = code;
    this.syscall = syscall;
    if (address !== undefined) this.address = address;
  }
}

/** A non-blocking socket was not ready: EAGAIN, EWOULDBLOCK, EINPROGRESS, EALREADY. */
export class BlockingIOError extends OSError {}
/** The other end is gone, or this end was shut down for writing: EPIPE, ESHUTDOWN. */
export class BrokenPipeError extends OSError {}
/** The peer gave a connection up before it was accepted: ECONNABORTED. */
export class ConnectionAbortedError extends OSError {}
/** Nobody listens at the address: ECONNREFUSED. */
export class ConnectionRefusedError extends OSError {}
/** The peer cut the connection: ECONNRESET. */
export class ConnectionResetError extends OSError {}
/** What should be new is there already: EEXIST. */
export class FileExistsError extends OSError {}
/** There is no such file, or no socket at the path: ENOENT. */
export class FileNotFoundError extends OSError {}
/** A signal interrupted a call that cannot go on: EINTR. Calls that can go on do so by themselves. */
export class InterruptedError extends OSError {}
/** The process may not do that: EACCES, EPERM. */
export class PermissionError extends OSError {}
/** The socket's timeout ran out (`timed out`), or the system's own did: ETIMEDOUT. */
export class TimeoutError extends OSError {}
/** `getaddrinfo` or `getnameinfo` failed; `errno` is one of the `EAI_*` constants. See gai_strerror(3). */
export class gaierror extends OSError {}
/** `gethostbyname_ex` or `gethostbyaddr` failed; `errno` is an `h_errno` number. See gethostbyname(3). */
export class herror extends OSError {}

/** Python's deprecated alias of {@link OSError}. @deprecated */
export const error = OSError;
/** Python's deprecated alias of {@link TimeoutError}. @deprecated */
export const timeout = TimeoutError;

const subclasses: Record<string, typeof OSError> = {
  EAGAIN: BlockingIOError,
  EALREADY: BlockingIOError,
  EINPROGRESS: BlockingIOError,
  EWOULDBLOCK: BlockingIOError,
  EPIPE: BrokenPipeError,
  ESHUTDOWN: BrokenPipeError,
  ECONNABORTED: ConnectionAbortedError,
  ECONNREFUSED: ConnectionRefusedError,
  ECONNRESET: ConnectionResetError,
  EEXIST: FileExistsError,
  ENOENT: FileNotFoundError,
  EINTR: InterruptedError,
  EACCES: PermissionError,
  EPERM: PermissionError,
  ETIMEDOUT: TimeoutError,
};
for (const [name, subclass] of Object.entries({
  BlockingIOError,
  BrokenPipeError,
  ConnectionAbortedError,
  ConnectionRefusedError,
  ConnectionResetError,
  FileExistsError,
  FileNotFoundError,
  InterruptedError,
  PermissionError,
  TimeoutError,
  gaierror,
  herror,
})) {
  subclass.prototype.name = name;
}

/** {@link formatAddress}; an address whose fields throw when they are read shall not hide the error. */
function shownAddress(address: unknown): string {
  try {
    return formatAddress(address);
  } catch {
    return "(an address that cannot be shown)";
  }
}

/** An address as a person writes it: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`. */
export function formatAddress(address: unknown): string {
  if (typeof address === "string") return address === "" ? '""' : address;
  if (Array.isArray(address)) {
    const [host, port] = address as unknown[];
    if (typeof host === "string" && typeof port === "number")
      return `${host.includes(":") ? `[${host}]` : host}:${port}`;
  }
  // An abstract Unix address: a NUL is shown as the tools show it, by an @.
  if (ArrayBuffer.isView(address)) {
    return Buffer.from(address.buffer, address.byteOffset, address.byteLength).toString("latin1").replaceAll("\0", "@");
  }
  return String(address);
}

const text = Buffer.alloc(512);

/** What the system says of an error's number. */
function textOf(ask: (number: number, out: Buffer, length: Buffer) => number, number: number): string {
  return text.toString("utf8", 0, ask(number, text, text));
}

/** What a call gives that would have to wait, where that is no error; see {@link quietly}. */
export const WOULD_BLOCK: unique symbol = Symbol("would block");

let quiet = false;

/**
 * Calls a method of a non-blocking socket; {@link WOULD_BLOCK} where it would have to wait. An error that nobody will see
 * costs fifty times as much. No code of the caller's may run in the method: its arguments are plain values and views.
 */
export function quietly<Args extends unknown[], Result>(
  method: (...args: Args) => Result,
  self: unknown,
  args: Args,
): Result | typeof WOULD_BLOCK {
  const before = quiet; // it may be called in such a method
  quiet = true;
  try {
    return Reflect.apply(method, self, args) as Result;
  } catch (error) {
    if (error === WOULD_BLOCK) return WOULD_BLOCK;
    throw error;
  } finally {
    quiet = before;
  }
}

/**
 * The error for a negative result of the shim.
 *
 * @param syscall - The call that failed.
 * @param result - `-errno`, or `TIMED_OUT`.
 * @param address - The address that the call was given.
 */
export function systemError(syscall: string, result: number, address?: unknown): OSError {
  if (result === TIMED_OUT) {
    return new TimeoutError({ errno: ETIMEDOUT, code: "ETIMEDOUT", syscall, reason: "timed out", address });
  }
  const errno = -result;
  if (quiet && errno === EAGAIN) throw WOULD_BLOCK;
  const code = Errno[errno] ?? `E${errno}`;
  const reason = textOf(shim.bs_strerror, errno);
  return new (subclasses[code] ?? OSError)({ errno, code, syscall, reason, address });
}

/**
 * Ends a call that failed: throws its error, or in a call made {@link quietly}, gives {@link WOULD_BLOCK} back, which takes a
 * tenth of the time of a throw. So it is for calls whose result goes to `quietly` as it is.
 */
export function failed(syscall: string, result: number, address?: unknown): never {
  if (quiet && result === -EAGAIN) return WOULD_BLOCK as never;
  throw systemError(syscall, result, address);
}

/** An OSError for what the C library would refuse without a number of its own: EINVAL, in our words. */
export function invalid(syscall: string, reason: string, address?: unknown): OSError {
  return new OSError({ errno: EINVAL, code: "EINVAL", syscall, reason, address });
}

/** An OSError for a name or number that the system's databases do not have: ENOENT, in our words, because no file is meant. */
export function unknown(syscall: string, reason: string, address: unknown): OSError {
  return new OSError({ errno: ENOENT, code: "ENOENT", syscall, reason, address });
}

const resolverFailures: Record<string, number> = {
  EAI_ADDRFAMILY,
  EAI_AGAIN,
  EAI_BADFLAGS,
  EAI_BADHINTS,
  EAI_FAIL,
  EAI_FAMILY,
  EAI_IDN_ENCODE,
  EAI_INTR,
  EAI_MEMORY,
  EAI_NODATA,
  EAI_NONAME,
  EAI_OVERFLOW,
  EAI_PROTOCOL,
  EAI_SERVICE,
  EAI_SOCKTYPE,
  EAI_SYSTEM,
};

/** The error for a result of the resolver: `failure` is its EAI number, or 0 where the system's own errno tells. */
export function resolverError(syscall: string, result: number, failure: number, address?: unknown): OSError {
  if (failure === 0) return systemError(syscall, result, address);
  const code = Object.keys(resolverFailures).find((name) => resolverFailures[name] === failure) ?? `EAI_${failure}`;
  const reason = textOf(shim.bs_gai_strerror, failure);
  return new gaierror({ errno: failure, code, syscall, reason, address });
}

/** The error for an `h_errno` of the older resolver calls. */
export function hostError(syscall: string, result: number, failure: number, address?: unknown): OSError {
  // NETDB_INTERNAL (-1): the reason is in errno.
  if (failure <= 0) return systemError(syscall, result, address);
  // Winsock counts them from 11001 on.
  const code = ["HOST_NOT_FOUND", "TRY_AGAIN", "NO_RECOVERY", "NO_DATA"][(failure % 11000) - 1] ?? `H_${failure}`;
  const reason = textOf(shim.bs_hstrerror, failure);
  return new herror({ errno: failure, code, syscall, reason, address });
}
