/**
 * Iterations of what a socket receives: each step is one wait, so that between steps there is nothing to leave behind.
 */
import { EBADF, ECANCELED } from "../constants.ts";
import { OSError, WOULD_BLOCK } from "../errors.ts";
import { READABLE } from "../native.ts";
import { AGAIN, type Waits } from "./waits.ts";

/** What a step takes at the end of an iteration. */
export const END: unique symbol = Symbol("end");

/** What a step of an iteration takes. */
export type Taking<T> = T | typeof END | typeof WOULD_BLOCK | typeof AGAIN;

/** A step of an iteration. */
export interface Step<T> {
  readonly take: () => Taking<T>;
  /** See {@link Waits.run}. */
  readonly isPlain?: boolean;
  /** Called where it took nothing. */
  readonly failed?: () => void;
}

/** What says that a socket was closed here: while it waited, or before. */
const closedHere = new Set([ECANCELED, EBADF]);

/** Goes on step by step. `begin` gives the next one, and `timeout` how long it may take. */
export function iterate<T>(
  waits: Waits,
  syscall: string,
  signal: AbortSignal | undefined,
  timeout: () => number | null,
  begin: () => Step<T>,
): AsyncIterableIterator<T> {
  type Item = IteratorResult<T, undefined>;
  let isOver = false;
  const end = (): Item => {
    isOver = true;
    return { done: true, value: undefined };
  };
  const attempt = (step: Step<T>): Item | typeof WOULD_BLOCK | typeof AGAIN => {
    const taken = step.take();
    if (taken === WOULD_BLOCK) return WOULD_BLOCK;
    if (taken === AGAIN) return AGAIN;
    return taken === END ? end() : { done: false, value: taken };
  };
  const failed = (step: Step<T>, reason: unknown): Item => {
    step.failed?.();
    if (isOver) return end();
    if (waits.isClosed && reason instanceof OSError && closedHere.has(reason.errno)) return end();
    throw reason;
  };
  const next = (): Promise<Item> => {
    if (isOver) return Promise.resolve(end());
    const self = begin();
    const { isPlain } = self;
    return waits.run(READABLE, { attempt, self, args: [], syscall, timeout: timeout(), signal, isPlain, failed });
  };
  const items: AsyncIterableIterator<T> = {
    next,
    return: () => {
      const over = end();
      // Steps that were begun and not waited for.
      waits.end((wait) => (wait as { attempt: unknown }).attempt === attempt, undefined);
      return Promise.resolve(over);
    },
    [Symbol.asyncIterator]: () => items,
  };
  return items;
}
