/** How many bursts of packets are sent and not yet answered: it takes a moment until the other end has woken. */
export const IN_FLIGHT = 3;

/** How many packets of so many bytes are sent at once: a socket with the system's own room holds {@link IN_FLIGHT} bursts. */
export function burst(bytes: number): number {
  return bytes > 64 ? 24 : 64;
}

/** What tells the other end that it is over: shorter than all else, but not empty, which asyncio would not send. */
export const END = ".";

/** Counts until the time is over, which begins as long after the first: engines compile what runs often. */
export class Watch {
  readonly #ms: number;
  #count = 0;
  #began = 0;
  #isWarm = false;
  /** For each that was counted. */
  nanoseconds = 0;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Counts one; whether to go on. */
  count(): boolean {
    this.#count++;
    const time = performance.now();
    this.#began ||= time + this.#ms;
    if (time < this.#began) return true;
    if (!this.#isWarm) {
      this.#isWarm = true;
      this.#count = 0;
      this.#began = time;
    }
    if (time < this.#began + this.#ms) return true;
    this.nanoseconds = ((time - this.#began) * 1e6) / this.#count;
    return false;
  }
}

/** How long a packet may be under way until it counts as lost, in milliseconds. */
export const PATIENCE = 300;

/** A number of packets that one waits for. */
export class Expected {
  #left = 0;
  #arrive: () => void = () => {};

  /** Begins to wait; how many did not come. */
  async all(count: number, send: () => void = () => {}): Promise<number> {
    this.#left = count;
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, PATIENCE);
      this.#arrive = () => {
        clearTimeout(late);
        resolve();
      };
      send();
    });
    return this.#left;
  }

  /** Counts one that came. */
  count(): void {
    if (--this.#left === 0) this.#arrive();
  }
}

/** The share of packets that did not come, once no more of them come. */
export async function lossOf(sent: number, received: () => number): Promise<number> {
  for (let before = -1; before !== received() && received() < sent;) {
    before = received();
    await new Promise((resolve) => setTimeout(resolve, PATIENCE / 2));
  }
  return Math.max(0, 1 - received() / sent);
}
