/**
 * The only file that imports `bun:ffi`: it loads the shim and declares its functions, as `shim/shim.h` promises them.
 *
 * A view is passed at every call and never kept as a pointer; a view and its length are read by the engine from the same
 * object (`buffer` and `buffer_length`).
 */
import { dlopen, ptr, suffix } from "bun:ffi";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bufferOf, byteLengthOf } from "./args.ts";

const library = join(import.meta.dir, "..", "shim", "lib", `${process.platform}-${process.arch}.${suffix}`);
if (!existsSync(library)) {
  throw new Error(
    `berkeley-sockets has no library for ${process.platform} ${process.arch} at ${library}: run \`bun run build\``,
  );
}

/** The shim's functions. Negative results are `-errno`, or {@link TIMED_OUT}. */
export const shim = dlopen(library, {
  bs_start: { args: [], returns: "i32" },

  bs_socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bs_socketpair: { args: ["i32", "i32", "i32", "buffer"], returns: "i32" },
  bs_describe: { args: ["i32", "i32", "buffer"], returns: "i32" },
  bs_bind: { args: ["i32", "buffer", "i32"], returns: "i32" },
  bs_listen: { args: ["i32", "i32"], returns: "i32" },
  bs_accept: { args: ["i32", "i32", "buffer", "f64"], returns: "i32" },
  bs_connect: { args: ["i32", "buffer", "i32", "f64"], returns: "i32" },
  bs_shutdown: { args: ["i32", "i32"], returns: "i32" },
  bs_close: { args: ["i32"], returns: "i32" },
  bs_dup: { args: ["i32"], returns: "i32" },

  bs_set_blocking: { args: ["i32", "i32"], returns: "i32" },
  bs_get_inheritable: { args: ["i32"], returns: "i32" },
  bs_set_inheritable: { args: ["i32", "i32"], returns: "i32" },
  bs_getsockname: { args: ["i32", "buffer"], returns: "i32" },
  bs_getpeername: { args: ["i32", "buffer"], returns: "i32" },
  bs_getsockopt_int: { args: ["i32", "i32", "i32", "buffer"], returns: "i32" },
  bs_getsockopt: { args: ["i32", "i32", "i32", "buffer", "buffer_length"], returns: "i32" },
  bs_setsockopt_int: { args: ["i32", "i32", "i32", "i32"], returns: "i32" },
  bs_setsockopt: { args: ["i32", "i32", "i32", "buffer", "buffer_length"], returns: "i32" },
  bs_setsockopt_null: { args: ["i32", "i32", "i32", "i32"], returns: "i32" },
  bs_ioctl_int: { args: ["i32", "u32", "i32"], returns: "i32" },
  bs_ioctl: { args: ["i32", "u32", "buffer", "i32"], returns: "i32" },
  bs_share: { args: ["i32", "u32", "buffer", "buffer_length"], returns: "i32" },
  bs_fromshare: { args: ["buffer", "buffer_length", "buffer"], returns: "i32" },

  bs_recv: { args: ["i32", "buffer", "buffer_length", "i32", "i32", "f64"], returns: "i32" },
  bs_recvfrom: { args: ["i32", "buffer", "buffer_length", "i32", "i32", "buffer", "f64"], returns: "i32" },
  bs_send: { args: ["i32", "buffer", "buffer_length", "i32", "f64"], returns: "i32" },
  bs_sendall: { args: ["i32", "buffer", "buffer_length", "i32", "f64"], returns: "i32" },
  bs_sendto: { args: ["i32", "buffer", "buffer_length", "i32", "buffer", "i32", "f64"], returns: "i32" },
  bs_recvmsg: {
    args: [
      "i32",
      "buffer",
      "buffer_length",
      "i32",
      "buffer",
      "i32",
      "buffer",
      "buffer_length",
      "i32",
      "buffer",
      "buffer_length",
      "i32",
      "buffer",
      "f64",
    ],
    returns: "i32",
  },
  bs_sendmsg: {
    args: [
      "i32",
      "buffer",
      "buffer_length",
      "buffer",
      "i32",
      "buffer",
      "i32",
      "buffer",
      "buffer_length",
      "i32",
      "buffer",
      "i32",
      "f64",
    ],
    returns: "i32",
  },
  bs_sendfile: { args: ["i32", "i32", "f64", "i32", "f64"], returns: "i32" },
  bs_seek: { args: ["i32", "f64"], returns: "i32" },
  bs_cmsg_len: { args: ["i32"], returns: "i32" },
  bs_cmsg_space: { args: ["i32"], returns: "i32" },

  bs_getaddrinfo: {
    args: ["cstring", "cstring", "i32", "i32", "i32", "i32", "buffer", "buffer_length", "buffer"],
    returns: "i32",
  },
  bs_getnameinfo: { args: ["buffer", "i32", "i32", "buffer", "buffer_length", "buffer"], returns: "i32" },
  bs_gethostbyname: { args: ["cstring", "buffer", "buffer_length", "buffer"], returns: "i32" },
  bs_gethostbyaddr: { args: ["buffer", "i32", "i32", "buffer", "buffer_length", "buffer"], returns: "i32" },
  bs_getservbyname: { args: ["cstring", "cstring"], returns: "i32" },
  bs_getservbyport: { args: ["i32", "cstring", "buffer", "buffer_length"], returns: "i32" },
  bs_getprotobyname: { args: ["cstring"], returns: "i32" },
  bs_gethostname: { args: ["buffer", "buffer_length"], returns: "i32" },
  bs_sethostname: { args: ["buffer", "buffer_length"], returns: "i32" },
  bs_if_nameindex: { args: ["buffer", "buffer_length"], returns: "i32" },
  bs_if_nametoindex: { args: ["cstring"], returns: "i32" },
  bs_if_indextoname: { args: ["u32", "buffer", "buffer_length"], returns: "i32" },
  bs_inet_pton: { args: ["i32", "cstring", "buffer"], returns: "i32" },
  bs_inet_ntop: { args: ["i32", "buffer", "buffer", "buffer_length"], returns: "i32" },
  bs_inet_aton: { args: ["cstring", "buffer"], returns: "i32" },

  bs_strerror: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },
  bs_gai_strerror: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },
  bs_hstrerror: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },
}).symbols;

/** The result of a call whose deadline passed (BS_TIMED_OUT). */
export const TIMED_OUT = -0x10000;

/** The size of `struct sockaddr_storage`, on every platform. */
export const NAME_MAX = 128;

/** Where the name lies in `struct bs_io`. */
const NAME_OFFSET = 16;

const block = new ArrayBuffer(NAME_OFFSET + NAME_MAX);

/** The block that calls write their results to: `struct bs_io`. What it holds is good until the next call. */
export const io = new Uint8Array(block);

/** {@link io} by words: [0] the name's length, [1] the message's flags, [2] how many items, [3] malformed; then the name. */
export const ioWords = new Int32Array(block);

/** The name (`sockaddr`) in {@link io}, `ioWords[0]` bytes of it. */
export const ioName = new Uint8Array(block, NAME_OFFSET);

/** The index of the name's first word in {@link ioWords}. */
export const IO_NAME_WORD = NAME_OFFSET / 4;

/**
 * The pieces of a scattered or gathered message, as `struct bs_slice`.
 *
 * The pointers are good for the call that follows at once, and for no other: touching `buffer` first gives a small typed
 * array the storage that it keeps, and no JavaScript of the user runs before the call.
 */
export function slicesOf(views: readonly NodeJS.ArrayBufferView[]): Uint32Array {
  const slices = new Uint32Array(views.length * 4);
  for (const [i, view] of views.entries()) {
    bufferOf(view);
    const length = byteLengthOf(view);
    if (length === 0) continue;
    const address = ptr(view) as number;
    slices[4 * i] = address % 2 ** 32;
    slices[4 * i + 1] = Math.floor(address / 2 ** 32);
    slices[4 * i + 2] = length % 2 ** 32;
    slices[4 * i + 3] = Math.floor(length / 2 ** 32);
  }
  return slices;
}
