/**
 * Where data is received before its size is known, so that what is returned is no larger than what came. Each thread has
 * its own.
 */
import { MSG_TRUNC } from "./constants.ts";

/** Small receives share a place that stays in the cache, and are copied out of it. */
const scratch = Buffer.allocUnsafeSlow(1000);

/** Larger ones have a place of just their size: filled, it is what is returned; not filled, it serves the next one. */
let spare = scratch;

/** A place above this is not kept. */
const SPARE_MAX = 1 << 20;

/** Room for `size` bytes. MSG_TRUNC may leave it unwritten: nobody shall see there what came before. */
export function room(size: number, flags: number): Buffer {
  if (size > SPARE_MAX && flags & MSG_TRUNC) return Buffer.alloc(size); // zeros for which no memory is touched
  let into = scratch;
  if (size > scratch.length) {
    into = spare.length === size ? spare : Buffer.allocUnsafeSlow(size);
    if (size <= SPARE_MAX) spare = into;
  }
  if (flags & MSG_TRUNC) into.fill(0, 0, size);
  return into;
}

/** What was received: `length` bytes, but never more than were asked for (MSG_TRUNC tells the datagram's own length). */
export function taken(from: Buffer, length: number, size: number): Buffer {
  const n = length < size ? length : size;
  if (n === from.length && from !== scratch) {
    spare = scratch; // it is the caller's now
    return from;
  }
  const data = Buffer.allocUnsafeSlow(n);
  from.copy(data, 0, 0, n);
  return data;
}
