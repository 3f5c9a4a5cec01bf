import type { Socket } from "./socket.ts";
export interface FileOptions {
  encoding?: string | null;
  errors?: string | null;
  newline?: string | null;
}
export interface SocketFile<M extends string> {
  readonly mode: M;
  close(): void;
}
export function openSocketFile(_sock: Socket, _released: () => void, _args: unknown[]): SocketFile<string> {
  throw new Error("not yet");
}
