/**
 * The only file that imports `bun:ffi`: it loads the shim and declares its functions, as `shim/shim.h` promises them.
 *
 * A view is passed at every call and never kept as a pointer; a view and its length are read by the engine from the same
 * object (`buffer` and `buffer_length`).
 */
import { dlopen, JSCallback, type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { bufferOf, byteLengthOf } from "./args.ts";
import { libraryPath, noLibrary } from "./library.ts";

/** BS_VERSION of the shim.h that the declarations below are of. */
const VERSION = 2;

const functions = {
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
  bs_recv_batch: { args: ["i32", "buffer", "buffer_length", "buffer", "buffer_length", "i32", "f64"], returns: "i32" },
  bs_send_batch: { args: ["i32", "buffer", "buffer_length", "buffer", "buffer_length", "i32", "f64"], returns: "i32" },
  bs_sendfile: { args: ["i32", "i32", "f64", "i32", "f64"], returns: "i32" },
  bs_seek: { args: ["i32", "f64"], returns: "i32" },
  bs_clock_gettime: { args: ["i32", "buffer"], returns: "i32" },
  bs_cmsg_len: { args: ["i32"], returns: "i32" },
  bs_cmsg_space: { args: ["i32"], returns: "i32" },

  bs_map: { args: ["i32", "f64", "f64", "buffer"], returns: "i32" },
  bs_map_view: { args: ["ptr"], returns: "i32" },
  bs_bpf: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },

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

  bs_poll: { args: ["i32", "i32", "f64"], returns: "i32" },

  bs_poller_open: { args: ["ptr", "buffer"], returns: "i32" },
  bs_poller_arm: { args: ["ptr", "i32", "i32", "u32", "i32"], returns: "i32" },
  bs_poller_disarm: { args: ["ptr", "i32"], returns: "i32" },
  bs_poller_take: { args: ["ptr"], returns: "i32" },
  bs_poller_watch: { args: ["ptr"], returns: "i32" },
  bs_resolve: {
    args: ["ptr", "u32", "i32", "buffer", "i32", "cstring", "i32", "i32", "i32", "i32"],
    returns: "i32",
  },
  bs_resolved: { args: ["ptr", "u32", "buffer", "buffer_length", "buffer"], returns: "i32" },

  bs_strerror: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },
  bs_gai_strerror: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },
  bs_hstrerror: { args: ["i32", "buffer", "buffer_length"], returns: "i32" },
} as const;

function load(path: string): ReturnType<typeof dlopen<typeof functions>>["symbols"] {
  let symbols;
  try {
    ({ symbols } = dlopen(path, functions));
  } catch (error) {
    throw noLibrary(`the library at ${path} cannot be loaded (${(error as Error).message})`);
  }
  const version = symbols.bs_start();
  if (version < 0) throw new Error(`berkeley-sockets: the system's sockets do not start: error ${-version}`);
  if (version !== VERSION) {
    throw noLibrary(`the library at ${path} is of version ${version}, this package wants ${VERSION}`);
  }
  return symbols;
}

/** The shim's functions. Negative results are `-errno`, or {@link TIMED_OUT}. */
export const shim = load(libraryPath());

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

/** What a poller can be asked to wait for, and tells (BS_READABLE and so on). `FAILED` comes unasked. */
export const READABLE = 1;
export const WRITABLE = 2;
export const URGENT = 4;
export const FAILED = 8;
/** Told, not asked for: something may come behind the data without being told again. */
export const MORE = 16;

/** A thread that waits for descriptors on behalf of this one; see bs_poller_open. */
export interface Poller {
  readonly pointer: Pointer;
  /** What {@link shim.bs_poller_take} moved there: id and events by turns. */
  readonly ready: Uint32Array;
}

/** With the function to call, of the memory and a pointer, when it is no longer in use; the types leave these out. */
const viewOf = toArrayBuffer as (memory: Pointer, at: number, size: number, of: Pointer, gone: Pointer) => ArrayBuffer;

/** Memory that the kernel has too. It stays mapped until each view of it is gone: detached, or collected. */
export interface Mapping {
  /** The first byte's address: it stays where it is. */
  readonly address: number;
  /** All of it. */
  readonly whole: ArrayBuffer;
  /** A further view, of `size` bytes from `at` on. */
  part(at: number, size: number): ArrayBuffer;
}

/**
 * Maps memory; see bs_map.
 *
 * @returns The mapping, or `-errno`.
 */
export function mapMemory(fd: number, offset: number, length: number): Mapping | number {
  const out = new BigUint64Array(3);
  const r = shim.bs_map(fd, offset, length, out);
  if (r < 0) return r;
  const [mapping, memory, gone] = Array.from(out, Number) as [Pointer, Pointer, Pointer];
  return {
    address: memory as number,
    whole: viewOf(memory, 0, length, mapping, gone),
    part(at, size) {
      shim.bs_map_view(mapping);
      return viewOf(memory, at, size, mapping, gone);
    },
  };
}

/** What must live as long as this thread of JavaScript: the engine frees the list first, which ends the waiting thread. */
const alive: unknown[] = [];

/**
 * Starts a poller.
 *
 * @param wake - Called on this thread, soon after something became ready, once for each `bs_poller_watch`.
 * @returns The poller, or `-errno`.
 */
export function openPoller(wake: () => void): Poller | number {
  const callback = new JSCallback(wake, { args: [], returns: "void", threadsafe: true });
  const out = new BigUint64Array(4);
  const r = shim.bs_poller_open(callback.ptr, out);
  if (r < 0) {
    callback.close();
    return r;
  }
  const [pointer, list, size, gone] = Array.from(out, Number) as [Pointer, Pointer, number, Pointer];
  const ready = new Uint32Array(viewOf(list, 0, size, pointer, gone));
  alive.push(callback, ready);
  return { pointer, ready };
}
