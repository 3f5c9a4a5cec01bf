/**
 * How a socket speaks with a batch of messages. The batches themselves are `berkeley-sockets/packets`, which a program that
 * has none does not load: a socket knows these names alone.
 */
import { wrongType } from "./args.ts";
import type { Socket } from "./socket.ts";

/** Lets one call have the batch, until `RELEASE`. */
export const HOLD: unique symbol = Symbol("hold");
export const RELEASE: unique symbol = Symbol("release");
export const RECEIVE: unique symbol = Symbol("receive");
export const SEND: unique symbol = Symbol("send");
/** Whether messages are left, and nothing but the want of room keeps them from being sent. */
export const BLOCKED: unique symbol = Symbol("blocked");
/** Whether messages are left because a piece of the work was asked for, and is done. */
export const LEFT: unique symbol = Symbol("left");
/** The root's socket that a socket by promises is made of. */
export const CORE: unique symbol = Symbol("core");

/** What `recvBatch` and `sendBatch` take. */
export interface Batch {
  /**
   * @param end - Ends the call before its time, where the batch is disposed of meanwhile.
   * @throws TypeError where another call has it.
   */
  [HOLD](end: ((reason: unknown) => void) | null): void;
  [RELEASE](): void;
  /** Receives what is there, at most as many messages as fit; how many. */
  [RECEIVE](sock: Socket, flags: number, timeout: number): number;
  /**
   * Sends what is left; how many messages.
   *
   * @param already - How many the same call has sent before: after some an error is kept for the next call.
   * @param isPiece - Whether to send no more than goes in about a millisecond, because others shall have their turn.
   */
  [SEND](sock: Socket, flags: number, timeout: number, already: number, isPiece: boolean): number;
  readonly [BLOCKED]: boolean;
  readonly [LEFT]: boolean;
}

/** A batch that an argument is, for a call that has it from now on; `end` ends that call, if it waits on the event loop. */
export function hold(value: unknown, end: ((reason: unknown) => void) | null = null): Batch {
  const batch = value as Batch | null | undefined;
  if (typeof batch !== "object" || batch === null || typeof batch[HOLD] !== "function") {
    throw wrongType("batch", "a MessageBatch", value);
  }
  batch[HOLD](end);
  return batch;
}
