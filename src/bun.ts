/**
 * `berkeley-sockets/bun`: what lies between these sockets and those of Bun and Node, and the sockets that a service
 * manager passes.
 */
export { listenFds, type PassedDescriptor } from "./bun/activation.ts";
export { adopt, type AdoptOptions, adoptServer, borrow, release, type SocketHandle } from "./bun/handles.ts";
