/**
 * Conversions: byte order, addresses as text and as bytes, the sizes of ancillary data.
 */
import { type BytesLike, byteLengthOf, bytes, bytesOf, INT_MAX, integer, text, UINT_MAX, wrongValue } from "./args.ts";
import { AF_INET, AF_INET6, EAFNOSUPPORT } from "./constants.ts";
import { invalid, systemError } from "./errors.ts";
import { shim } from "./native.ts";

// Every machine that Bun runs on is little-endian; the network is big-endian.

function swap16(value: unknown, name: string): number {
  const x = integer(value, name, 0, 0xffff);
  return ((x & 0xff) << 8) | (x >> 8);
}

function swap32(value: unknown, name: string): number {
  const x = integer(value, name, 0, UINT_MAX);
  return ((x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24)) >>> 0;
}

/**
 * A 16-bit number from host to network byte order; see htons(3).
 *
 * @param x - 0 to 65535.
 * @throws TypeError, RangeError for anything else.
 *
 * @example
 * ```ts
 * import { htons } from "berkeley-sockets";
 * console.log(htons(0x0102) === 0x0201); // true
 * ```
 */
export function htons(x: number): number {
  return swap16(x, "x");
}

/**
 * A 16-bit number from network to host byte order; see ntohs(3) and {@link htons}.
 *
 * @param x - 0 to 65535.
 * @throws TypeError, RangeError for anything else.
 *
 * @example
 * ```ts
 * import { htons, ntohs } from "berkeley-sockets";
 * console.log(ntohs(htons(80))); // 80
 * ```
 */
export function ntohs(x: number): number {
  return swap16(x, "x");
}

/**
 * A 32-bit number from host to network byte order; see htonl(3).
 *
 * @param x - 0 to 4294967295.
 * @throws TypeError, RangeError for anything else.
 *
 * @example
 * ```ts
 * import { htonl } from "berkeley-sockets";
 * console.log(htonl(0x01020304) === 0x04030201); // true
 * ```
 */
export function htonl(x: number): number {
  return swap32(x, "x");
}

/**
 * A 32-bit number from network to host byte order; see ntohl(3) and {@link htonl}.
 *
 * @param x - 0 to 4294967295.
 * @throws TypeError, RangeError for anything else.
 *
 * @example
 * ```ts
 * import { htonl, ntohl } from "berkeley-sockets";
 * console.log(ntohl(htonl(0x7f000001))); // 2130706433
 * ```
 */
export function ntohl(x: number): number {
  return swap32(x, "x");
}

/**
 * An IPv4 address from text to four bytes, by the C library's generous rules (`"127.1"`, `"0x7f.1"`); see inet_aton(3).
 *
 * @throws OSError (EINVAL) where the text is no address.
 *
 * @example
 * ```ts
 * import { inet_aton } from "berkeley-sockets";
 * console.log(inet_aton("127.1").toString("hex")); // 7f000001
 * ```
 */
export function inet_aton(host: string): Buffer {
  const address = Buffer.alloc(4);
  if (shim.bs_inet_aton(text(host, "host"), address) !== 1) {
    throw invalid("inet_aton", "illegal IP address string", host);
  }
  return address;
}

/**
 * An IPv4 address from four bytes to text; see inet_ntoa(3).
 *
 * @throws OSError (EINVAL) where there are not four bytes.
 *
 * @example
 * ```ts
 * import { inet_ntoa } from "berkeley-sockets";
 * console.log(inet_ntoa(Buffer.from([127, 0, 0, 1]))); // 127.0.0.1
 * ```
 */
export function inet_ntoa(packed: BytesLike): string {
  const view = bytesOf(bytes(packed, "packed"));
  if (view.length !== 4) throw invalid("inet_ntoa", "packed IP wrong length");
  return view.join(".");
}

/** How many bytes an address has. */
function addressLength(family: unknown, syscall: string): number {
  const f = integer(family, "family");
  if (f === AF_INET) return 4;
  if (f === AF_INET6) return 16;
  throw systemError(syscall, -EAFNOSUPPORT, f);
}

/**
 * An address from text to bytes; see inet_pton(3).
 *
 * @param family - `AF_INET` or `AF_INET6`.
 * @throws OSError: EINVAL where the text is no address, EAFNOSUPPORT for another family.
 *
 * @example
 * ```ts
 * import { AF_INET6, inet_pton } from "berkeley-sockets";
 * console.log(inet_pton(AF_INET6, "::1").length); // 16
 * ```
 */
export function inet_pton(family: number, host: string): Buffer {
  const address = Buffer.alloc(addressLength(family, "inet_pton"));
  if (shim.bs_inet_pton(family === AF_INET ? 4 : 6, text(host, "host"), address) !== 1) {
    throw invalid("inet_pton", "illegal IP address string", host);
  }
  return address;
}

/**
 * An address from bytes to text; see inet_ntop(3).
 *
 * @param family - `AF_INET` or `AF_INET6`.
 * @throws RangeError where there are not as many bytes as the family has; OSError (EAFNOSUPPORT) for another family.
 *
 * @example
 * ```ts
 * import { AF_INET, inet_ntop } from "berkeley-sockets";
 * console.log(inet_ntop(AF_INET, Buffer.from([127, 0, 0, 1]))); // 127.0.0.1
 * ```
 */
export function inet_ntop(family: number, packed: BytesLike): string {
  const length = addressLength(family, "inet_ntop");
  const view = bytes(packed, "packed");
  const given = byteLengthOf(view);
  if (given !== length) throw wrongValue("packed", `${length} bytes`, `${given} bytes`);
  const out = Buffer.alloc(64);
  const n = shim.bs_inet_ntop(family === AF_INET ? 4 : 6, view, out, out);
  if (n < 0) throw systemError("inet_ntop", n);
  return out.toString("latin1", 0, n);
}

/**
 * The length of a control message with that much data, without the padding behind it; see cmsg(3).
 *
 * @throws RangeError where it would not fit a C int.
 *
 * @example
 * ```ts
 * import { CMSG_LEN, CMSG_SPACE } from "berkeley-sockets";
 * console.log(CMSG_LEN(4) <= CMSG_SPACE(4)); // true
 * ```
 */
export function CMSG_LEN(length: number): number {
  return shim.bs_cmsg_len(integer(length, "length", 0, INT_MAX - shim.bs_cmsg_len(0)));
}

/**
 * The room that a control message with that much data needs, padding included: what to give `recvmsg` for it, and to add
 * up for several; see cmsg(3).
 *
 * @throws RangeError where it would not fit a C int.
 *
 * @example
 * ```ts
 * import { CMSG_SPACE } from "berkeley-sockets";
 * console.log(CMSG_SPACE(1) === CMSG_SPACE(4)); // true
 * ```
 */
export function CMSG_SPACE(length: number): number {
  const header = shim.bs_cmsg_space(0);
  const most = INT_MAX - header;
  return shim.bs_cmsg_space(integer(length, "length", 0, most - (most % (shim.bs_cmsg_space(1) - header))));
}
