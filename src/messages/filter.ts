/**
 * Classic BPF: programs that say which packets a socket receives. See
 * https://docs.kernel.org/networking/filter.html, bpf(4) of FreeBSD. Linux.
 */
import { integer, UINT_MAX, wrongType, wrongValue } from "../args.ts";
import { SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER, SOL_SOCKET } from "../constants.ts";
import { list } from "../message.ts";
import { slicesOf } from "../native.ts";
import { type AnySocket, rootSocket, Socket } from "../socket.ts";

/** An instruction: its code, where it jumps if true and if false (how many instructions on), and its number. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

/** BPF_MAXINSNS of Linux. */
const INSTRUCTIONS_MAX = 4096;

/**
 * Reads a program as `tcpdump -ddd` prints it: the number of instructions, then a line of four numbers for each. (What
 * `bpf_asm` prints has commas for the ends of lines.)
 *
 * What tcpdump compiles depends on the kind of the link (`-y EN10MB`, `-y RAW`): on a packet socket of `SOCK_RAW` a filter
 * sees the link's header, on one of `SOCK_DGRAM` what is behind it, on a UDP or a TCP socket the header of UDP or TCP.
 *
 * @throws RangeError where the text is something else.
 *
 * @example
 * ```ts
 * import { parseFilter } from "berkeley-sockets/messages";
 * console.log(parseFilter("2\n48 0 0 0\n6 0 0 262144\n").length); // 2
 * ```
 */
export function parseFilter(text: string): FilterInstruction[] {
  if (typeof text !== "string") throw wrongType("text", "a string", text);
  const [count = "", ...lines] = text
    .replace(/,\s*$/, "")
    .trim()
    .split(/\s*[\n,]\s*/);
  if (!/^\d{1,4}$/.test(count) || Number(count) !== lines.length) {
    throw wrongValue("text", "a number of instructions, and as many lines", text);
  }
  const program = lines.map((line, i) => {
    if (!/^\d{1,10}( \d{1,10}){3}$/.test(line)) throw wrongValue(`text, instruction ${i}`, "four numbers", line);
    return line.split(" ").map(Number) as unknown as FilterInstruction;
  });
  pack(program, "text");
  return program;
}

/** The instructions as `struct sock_filter`. */
export function pack(instructions: unknown, name: string): DataView {
  const program = list(instructions, name, "instructions");
  if (program.length === 0 || program.length > INSTRUCTIONS_MAX) {
    throw wrongValue(name, `1 to ${INSTRUCTIONS_MAX} instructions`, `${program.length}`);
  }
  const packed = new DataView(new ArrayBuffer(8 * program.length));
  for (const [i, instruction] of program.entries()) {
    if (!Array.isArray(instruction) || instruction.length !== 4) {
      throw wrongType(`${name}[${i}]`, "[code, jt, jf, k]", instruction);
    }
    const [code, jt, jf, k] = instruction as unknown[];
    packed.setUint16(8 * i, integer(code, `${name}[${i}][0]`, 0, 0xffff), true);
    packed.setUint8(8 * i + 2, integer(jt, `${name}[${i}][1]`, 0, 0xff));
    packed.setUint8(8 * i + 3, integer(jf, `${name}[${i}][2]`, 0, 0xff));
    packed.setUint32(8 * i + 4, integer(k, `${name}[${i}][3]`, 0, UINT_MAX), true);
  }
  return packed;
}

/** The program whose address the system is told just now: while it is here, its memory is not freed. */
const held = new Set<DataView>();

/**
 * Lets a socket receive only what a program passes. The kernel takes a copy; a program that is attached later takes this
 * one's place. Packets that came before are not asked again.
 *
 * @param sock - The socket, of the root or of the promises.
 * @param instructions - The program.
 * @param option - `SO_ATTACH_FILTER` by default; `SO_ATTACH_REUSEPORT_CBPF` for a program that chooses among the sockets
 *   of a port.
 * @throws RangeError where the platform has no such option.
 * @throws OSError: EINVAL for a program that the kernel does not accept, EPERM where {@link lockFilter} was called.
 *
 * @example
 * ```ts
 * import { AF_INET, BlockingIOError, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { attachFilter } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * sock.bind(["127.0.0.1", 0]);
 * sock.settimeout(0);
 * attachFilter(sock, [[6, 0, 0, 0]]); // return 0: of every packet nothing
 * sock.sendto("nobody hears that", sock.getsockname());
 * try {
 *   sock.recv(100);
 * } catch (error) {
 *   console.log(error instanceof BlockingIOError); // true
 * }
 * ```
 */
export function attachFilter(sock: AnySocket, instructions: Iterable<FilterInstruction>, option?: number): void {
  const core = rootSocket(sock);
  const o = arguments.length < 3 ? SO_ATTACH_FILTER : integer(option, "option");
  attach(core, pack(instructions, "instructions"), o);
}

/** {@link attachFilter} of what {@link pack} made. */
export function attach(sock: Socket, program: DataView, option: number): void {
  const fprog = new Uint32Array(4); // struct sock_fprog: a number in 16 bits, a gap, a pointer
  held.add(program);
  try {
    // Nothing of the caller's runs from the pointer to the call.
    const [low, high] = slicesOf([program]) as unknown as [number, number];
    fprog.set([program.byteLength / 8, 0, low, high]);
    set(sock, option, fprog);
  } finally {
    held.delete(program);
  }
}

/**
 * Takes a socket's program away, and lets it receive everything again.
 *
 * @throws OSError: ENOENT where there is none, EPERM where {@link lockFilter} was called.
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { attachFilter, detachFilter } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * attachFilter(sock, [[6, 0, 0, 0]]);
 * detachFilter(sock);
 * ```
 */
export function detachFilter(sock: AnySocket): void {
  set(rootSocket(sock), SO_DETACH_FILTER, 0);
}

/**
 * Keeps a socket's program as it is: nobody can change it or take it away any more, whoever gets the socket.
 *
 * @example
 * ```ts
 * import { AF_INET, OSError, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { attachFilter, detachFilter, lockFilter } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * attachFilter(sock, [[6, 0, 0, 0xffff]]);
 * lockFilter(sock);
 * try {
 *   detachFilter(sock);
 * } catch (error) {
 *   console.log((error as OSError).code); // EPERM
 * }
 * ```
 */
export function lockFilter(sock: AnySocket): void {
  set(rootSocket(sock), SO_LOCK_FILTER, 1);
}

/** Sets an option by the library's own method: one of a subclass would be the caller's code. */
function set(sock: Socket, option: number | undefined, value: number | Uint32Array): void {
  if (option === undefined) throw new RangeError("this platform has no filters of sockets");
  Reflect.apply(Socket.prototype.setsockopt, sock, [SOL_SOCKET, option, value]);
}
