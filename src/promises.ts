/**
 * The whole BSD socket interface for Bun on its event loop: the names of the root, where what may wait returns a promise.
 *
 * @module
 */
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
} from "./promises/create.ts";
export {
  getaddrinfo,
  getfqdn,
  gethostbyaddr,
  gethostbyname,
  gethostbyname_ex,
  getnameinfo,
  type WaitOptions,
} from "./promises/names.ts";
export type { LineOptions, ReceiveOptions } from "./promises/arguments.ts";
export { type Connected, type Message, type ServerSocket, Socket, SocketType } from "./promises/socket.ts";
export * from "./shared.ts";
