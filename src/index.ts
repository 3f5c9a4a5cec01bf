/**
 * The whole BSD socket interface for Bun: every name that a user imports.
 *
 * @module
 */
export type { BufferedSocketFile } from "./bufferedfile.ts";
export type { TextErrors } from "./codecs.ts";
export * from "./constants.ts";
export {
  type ConnectionOptions,
  createConnection,
  createServer,
  fromfd,
  fromshare,
  recvFds,
  sendFds,
  socketpair,
} from "./create.ts";
export type { FileOptions, SocketFile } from "./makefile.ts";
export { getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, gethostbyname_ex, getnameinfo } from "./names.ts";
export type { RawSocketFile } from "./rawfile.ts";
export * from "./shared.ts";
export { Socket, SocketType } from "./socket.ts";
export type { Newline, TextSocketFile } from "./textfile.ts";
