/**
 * Interfaces in addresses: a name for people, a number in the structures. `""` and 0 are every interface.
 */
import { wrongType, wrongValue } from "../args.ts";
import { ENODEV, SIOCGIFINDEX, SIOCGIFNAME } from "../constants.ts";
import { systemError } from "../errors.ts";
import { decodeFileName, encodeFileName } from "../filenames.ts";
import { shim } from "../native.ts";

/** Others have no request for the name, and another structure for the number. */
const isLinux = SIOCGIFNAME !== undefined;

/** IF_NAMESIZE of Linux, with the NUL. */
const NAME_SIZE = 16;

/** `struct ifreq`: a name, then a number. */
const request = new Int32Array(10);
const requestName = Buffer.from(request.buffer, 0, NAME_SIZE);

const name = Buffer.alloc(256);

/**
 * The number of the interface of that name.
 *
 * @param fd - A socket of the network that has it: its own number for the name, whichever network the thread is in.
 * @throws OSError (ENODEV) where there is none.
 */
export function interfaceIndex(value: unknown, argument: string, fd: number): number {
  if (typeof value !== "string") throw wrongType(argument, "an interface's name", value);
  if (value === "") return 0;
  const given = encodeFileName(value, argument);
  if (given.length >= NAME_SIZE || given.includes(0)) {
    throw wrongValue(argument, `an interface's name of at most ${NAME_SIZE - 1} bytes, without NUL`, value);
  }
  if (fd >= 0 && isLinux) {
    requestName.fill(0).set(given);
    const r = shim.bs_ioctl(fd, SIOCGIFINDEX, request, request.byteLength);
    if (r >= 0) return request[NAME_SIZE / 4]!;
    if (r === -ENODEV) throw systemError("if_nametoindex", r, value);
  }
  const r = shim.bs_if_nametoindex(Buffer.concat([given, Buffer.alloc(1)]));
  if (r < 0) throw systemError("if_nametoindex", r, value);
  return r;
}

/**
 * The name of the interface of that number; `""` where it is gone, or where it is 0.
 *
 * @param fd - A socket of the network that has it: with it one call does what takes the C library three.
 */
export function interfaceName(index: number, fd: number): string {
  if (index === 0) return "";
  if (fd >= 0 && isLinux) {
    request[NAME_SIZE / 4] = index;
    const r = shim.bs_ioctl(fd, SIOCGIFNAME, request, request.byteLength);
    if (r >= 0) return decodeFileName(requestName.subarray(0, requestName.indexOf(0)));
    if (r === -ENODEV) return "";
  }
  const n = shim.bs_if_indextoname(index, name, name);
  return n > 0 ? decodeFileName(name.subarray(0, n)) : "";
}
