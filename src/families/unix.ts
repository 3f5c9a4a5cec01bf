/**
 * AF_UNIX: sockets of this machine, by path or, on Linux, by abstract name. See unix(7).
 */
import { bytes, bytesOf, wrongValue } from "../args.ts";
import { AF_UNIX, ENAMETOOLONG } from "../constants.ts";
import { decodeFileName, encodeFileName } from "../filenames.ts";
import { systemError } from "../errors.ts";
import { beginName, type Family, hasLengthByte, outName } from "./family.ts";

/**
 * A Unix address: a path; a `Buffer` that begins with a NUL for a name of Linux's abstract namespace; `""` for a socket
 * that has no name.
 *
 * Bytes of a path that are not UTF-8 are U+DC80 to U+DCFF in the string, and become the same bytes again (Python's
 * surrogateescape). As an argument, a string and bytes are both taken for both kinds.
 */
export type UnixAddress = string | Buffer;

const PATH = 2; // offsetof(struct sockaddr_un, sun_path)

const isWindows = process.platform === "win32";

/** How long a path may be. It may fill sun_path, but on Windows a NUL must follow. macOS and the BSDs have four bytes less. */
export const UNIX_PATH_MAX = isWindows ? 107 : hasLengthByte ? 104 : 108;

const hasAbstract = process.platform === "linux" || process.platform === "android";

export const unix: Family = {
  family: AF_UNIX,

  encode(address, syscall) {
    const path =
      typeof address === "string"
        ? encodeFileName(address, "address")
        : Buffer.from(bytesOf(bytes(address, "address")));
    const abstract = hasAbstract && path[0] === 0;
    if (!abstract && path.includes(0)) throw wrongValue("address", "a path without NUL", address);
    if (path.length > UNIX_PATH_MAX) throw systemError(syscall, -ENAMETOOLONG, address);
    // Windows wants the whole of sockaddr_un, as Microsoft's own programs give it.
    const length = PATH + (isWindows ? UNIX_PATH_MAX + 1 : path.length);
    beginName(AF_UNIX, length);
    outName.set(path, PATH);
    return length;
  },

  decode(name, length) {
    if (length < PATH) return undefined;
    const path = Buffer.from(name.slice(PATH, length));
    if (path[0] === 0 && hasAbstract) return path;
    const end = path.indexOf(0);
    return decodeFileName(end < 0 ? path : path.subarray(0, end)) satisfies UnixAddress;
  },
};
