/**
 * Where data is received before its size is known, so that what is returned is no larger than what came. Each thread has
 * its own.
 *
 * A receive goes to a place of just the size that was asked for: filled, that is what is returned; not filled, what came
 * is copied out of it, and it serves the next receive of that size.
 */
import { MSG_TRUNC } from "./constants.ts";

const none = Buffer.alloc(0);

/** Small messages and large ones often take turns, so each kind has its place. */
let small = none;
let large = none;
const SMALL_MAX = 1000;

/** A place above this is not kept. */
const LARGE_MAX = 1 << 20;

/** Room for `size` bytes. */
export function room(size: number, flags: number): Buffer {
  // It may stay unwritten, and nobody shall see there what came before.
  if (flags & MSG_TRUNC) return Buffer.alloc(size);
  if (size <= SMALL_MAX) return small.length === size ? small : (small = Buffer.allocUnsafeSlow(size));
  if (large.length === size) return large;
  const into = Buffer.allocUnsafeSlow(size);
  if (size <= LARGE_MAX) large = into;
  return into;
}

/** What was received: `length` bytes, but never more than were asked for (MSG_TRUNC tells the datagram's own length). */
export function taken(from: Buffer, length: number, size: number): Buffer {
  const n = length < size ? length : size;
  if (n === from.length) {
    // It is the caller's now.
    if (from === small) small = none;
    else if (from === large) large = none;
    return from;
  }
  const data = Buffer.allocUnsafeSlow(n);
  from.copy(data, 0, 0, n);
  return data;
}
