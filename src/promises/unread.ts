/**
 * What was received for `lines` and not given to anybody: the next call that receives gets it.
 */
import { bits, byteLengthOf, bytesOf, integer, writable } from "../args.ts";
import { MSG_ERRQUEUE, MSG_OOB, MSG_PEEK } from "../constants.ts";

/** The bytes of a stream that a socket received and has still. */
export class Unread {
  #data: Buffer | null = null;
  /** How many bytes a line has taken that goes on. */
  begun = 0;

  get isEmpty(): boolean {
    return this.#data === null;
  }

  get length(): number {
    return this.#data?.length ?? 0;
  }

  set(data: Buffer): void {
    this.#data = data.length > 0 ? data : null;
  }

  clear(): void {
    this.#data = null;
  }

  /** Whether a call gets it: `flags` is where its flags are. Other queues are not the stream's. */
  isFor(args: unknown[], flags: number): boolean {
    if (this.#data === null) return false;
    return args.length <= flags || !(bits(args[flags], "flags") & (MSG_OOB | (MSG_ERRQUEUE ?? 0)));
  }

  take(bufsize: unknown, flags: unknown): Buffer {
    const data = this.#data!;
    const size = integer(bufsize, "bufsize", 0);
    const isPeek = ((flags as number) & MSG_PEEK) !== 0;
    if (!isPeek) this.set(data.subarray(size));
    if (!isPeek && size >= data.length) return data;
    // Memory of its own: who gets it may write to it, or give it away.
    const part = data.subarray(0, size);
    const taken = Buffer.allocUnsafeSlow(part.length);
    taken.set(part);
    return taken;
  }

  takeInto(buffers: unknown[], nbytes: unknown, flags: unknown): number {
    const before = this.#data;
    let at = 0;
    for (const [i, buffer] of buffers.entries()) {
      const view = bytesOf(writable(buffer, buffers.length === 1 ? "buffer" : `buffers[${i}]`));
      const most = nbytes === undefined ? 0 : integer(nbytes, "nbytes", 0, byteLengthOf(view));
      if (this.#data === null) continue;
      const part = this.take(most === 0 ? view.length : most, 0);
      view.set(part);
      at += part.length;
    }
    if ((flags as number) & MSG_PEEK) this.#data = before;
    return at;
  }

  /** Throws where there is some, for a call that would lose it or overtake it. `more`: what it would lose besides. */
  mustBeEmpty(call: string, more = 0): void {
    const length = this.length + more;
    if (length === 0) return;
    throw new Error(`${call}: \`lines\` left ${length} bytes that were received before: receive them first`);
  }
}
