/**
 * Waiting without blocking: each socket's operations that wait, and the event loop's knowledge of what is ready.
 *
 * An operation is tried on this thread, and waits only where the system says that it would block. While something is
 * expected at once, each turn of the event loop asks what is ready; else a thread of the shim (a poller) waits for all
 * descriptors and wakes this one. Nothing is done on a descriptor's number alone: what is ready is told by an identity
 * that is never given twice.
 */
import { wrongType } from "../args.ts";
import { ECANCELED, EAGAIN, EBADF } from "../constants.ts";
import { systemError, WOULD_BLOCK } from "../errors.ts";
import { FAILED, MORE, openPoller, type Poller, READABLE, shim, TIMED_OUT, URGENT, WRITABLE } from "../native.ts";

/** What an attempt gives that did a part of its work, and can go on at once when others have had their turn. */
export const AGAIN: unique symbol = Symbol("again");

/** How many attempts are made before the event loop has its turn: a burst of data shall not keep timers waiting. */
const TURN = 64;

/** `setTimeout` takes no more. */
const DELAY_MAX = 2 ** 31 - 1;

/** What an operation waits for. Those of one socket that wait for the same take turns, first come, first served. */
export type Wanted = typeof READABLE | typeof WRITABLE | typeof URGENT | typeof FAILED | typeof NOTHING;
/** Nothing of the poller. */
const NOTHING = 0;
/** What the poller goes on to wait for when it has told of it: it tells of each change. Windows knows no changes. */
const KEPT = process.platform === "win32" ? 0 : READABLE;
/** The same where it told of a failure and of nothing else: asked again, epoll would tell of the same failure at once. */
const KEPT_FAILED = ["linux", "android"].includes(process.platform) ? READABLE | WRITABLE | URGENT | FAILED : KEPT;

/** The longest pause, in milliseconds, after something was ready in vain time after time. */
const PAUSE_MAX = 16;

/** Does an operation, or gives {@link WOULD_BLOCK}. */
export type Attempt<Self, Result> = (self: Self, args: unknown[]) => Result | typeof WOULD_BLOCK | typeof AGAIN;

/** An operation, and how it waits. */
export interface Wait<Self, Result> {
  readonly attempt: Attempt<Self, Result>;
  readonly self: Self;
  /** The attempt may change them. */
  readonly args: unknown[];
  readonly syscall: string;
  readonly address?: unknown;
  /** In seconds; `null` is none, 0 does not wait. */
  readonly timeout: number | null;
  readonly signal: AbortSignal | undefined;
  /** The error where it would have to wait and must not. */
  readonly wouldBlock?: number;
  /** Whether it receives bytes, and can do nothing else: tried after {@link Waits.ranDry} it would be tried in vain. */
  readonly isPlain?: boolean;
  /** Called when it ends without a result: throws the reason, or gives a result after all. */
  readonly failed?: (self: Self, reason: unknown) => Result;
}

type AnyWait = Wait<unknown, unknown>;

let poller: Poller | undefined;

function started(): Poller {
  if (poller !== undefined) return poller;
  const opened = openPoller(wake);
  if (typeof opened === "number") throw systemError("poll", opened);
  return (poller = opened);
}

interface Waiting {
  ready(events: number): void;
}

/** Who waits for what the poller tells. */
const waiting = new Map<number, Waiting>();
/** The identity by which a descriptor is known to the poller. */
const owners = new Map<number, number>();
let lastId = 0;

/** An identity that nobody has. (After four thousand million, those that nobody waits by are given again.) */
function newId(): number {
  do lastId = lastId === 0xffff_ffff ? 1 : lastId + 1;
  while (waiting.has(lastId));
  return lastId;
}

let attempts = TURN;

/** What is sent at once, at most, before others have their turn: so many bytes are copied in a tenth of a millisecond. */
export const PIECE_BYTES: number = 1 << 19;
/** The same in messages: on Windows each is a call, and under Wine that takes 0.2 ms. */
export const PIECE_MESSAGES: number = process.platform === "win32" ? 16 : 256;

/** How many milliseconds of the system's work are as much as all attempts of a turn. */
const TURN_TIME = 1;

/** How many bytes are as much work as an attempt: a power of two. */
const ATTEMPT_BITS = 14;

/** An attempt received or sent so many bytes: the turn has so much less left. Whether it may go on: after a few it may. */
export function moved(bytes: number): boolean {
  const cost = bytes >>> ATTEMPT_BITS;
  attempts -= cost;
  return cost === 0 || attempts > 0;
}

/** An attempt did the work of many calls, since a time of `performance.now()`: the turn has so much less left. */
export function spent(since: number): void {
  const many = Math.floor(((performance.now() - since) / TURN_TIME) * TURN);
  attempts = Math.max(attempts - many, 0);
}

/** How many operations and questions wait. */
let expected = 0;
/** Whether the poller's thread is to wake this one. */
let watched = false;
/** Whether a turn is to come. */
let turning = false;

/** When something last happened: a wait began, or something was ready. */
let active = 0;
/** Whether each turn of the event loop asks what is ready, because it is expected to be there soon. */
let soon = false;
/** How many sleeps are to be short before that is tried, and how many after the next time that it was in vain. */
let sleeps = 0;
let inVain = 0;

/**
 * How long, in milliseconds, the turns ask before the event loop sleeps: as long as a peer on the same machine takes for its
 * answer, with 64 KiB to receive and to send. To sleep and to be woken by a thread takes half as long. A machine with one
 * processor has to sleep, because what is waited for may want the processor.
 */
const ASKING = navigator.hardwareConcurrency > 1 ? 0.1 : 0;
/** Shorter sleeps, in milliseconds, may have been none without the time that the thread takes. */
const SHORT = ASKING * 2;

/** Something waits from now on. */
function expect(): void {
  expected++;
  if (turning) return;
  active = performance.now();
  if (watched) return;
  if (soon) nextTurn();
  else watch();
}

function watch(): void {
  if (watched) return;
  const r = shim.bs_poller_watch(started().pointer);
  if (r < 0) throw systemError("poll", r);
  watched = true;
}

function wake(): void {
  watched = false;
  if (!turning) turn();
}

/** To be woken by a thread takes long: where something was ready, the next turn asks again before the thread does. */
function nextTurn(): void {
  turning = true;
  setImmediate(turn);
}

function turn(): void {
  turning = false;
  attempts = TURN;
  // Those that were postponed have waited longer than those that are ready now.
  const due = postponed.splice(0);
  let had = 0;
  for (; had < due.length && attempts > 0; had++) due[had]![0].resume(due[had]![1]);
  if (had < due.length) {
    // Whose turn did not come is before those that had theirs, and go on.
    postponed.unshift(...due.slice(had));
    if (!turning) nextTurn();
  }
  let count = 0;
  // There is none while nothing had to wait for more than its turn.
  if (poller !== undefined) {
    const { pointer, ready } = poller;
    count = shim.bs_poller_take(pointer);
    for (let i = 0; i < count; i++) waiting.get(ready[2 * i]!)?.ready(ready[2 * i + 1]!);
  }
  const time = performance.now();
  const lasted = time - active;
  if (count > 0) {
    active = time;
    if (soon) inVain = 0;
    else if (lasted < SHORT && --sleeps < 0) soon = true;
  } else if (soon && lasted >= ASKING) {
    soon = false;
    sleeps = inVain = Math.min(2 * inVain + 1, 100);
  }
  if (turning) return;
  if (count > 0 || (soon && expected > 0)) nextTurn();
  else if (expected > 0) watch();
}

/** Those whose turn is the next. */
const postponed: [waits: Waits, events: number][] = [];

function postpone(waits: Waits, events: number): void {
  postponed.push([waits, events]);
  if (!turning) nextTurn();
}

/** What keeps the process alive while something waits: a timer, because a callback from another thread does not. */
let keeper: Timer | undefined;
let kept = 0;

function keep(): void {
  if (kept++ > 0) return;
  if (keeper === undefined) keeper = setInterval(() => {}, DELAY_MAX);
  else keeper.ref();
}

function release(): void {
  if (--kept === 0) keeper?.unref();
}

/** An operation that waits: a member of a list, so that it can leave from its midst. */
class Operation {
  previous: Operation | null = null;
  next: Operation | null = null;
  readonly wait: AnyWait;
  readonly line: Line;
  readonly promise: Promise<unknown>;
  #waits: Waits;
  #resolve!: (result: unknown) => void;
  #reject!: (reason: unknown) => void;
  #timer: Timer | undefined;
  #due = 0;

  constructor(waits: Waits, line: Line, wait: AnyWait) {
    this.#waits = waits;
    this.line = line;
    this.wait = wait;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { timeout, signal } = wait;
    if (timeout !== null && timeout > 0) {
      this.#due = performance.now() + timeout * 1000;
      this.#startTimer();
    }
    signal?.addEventListener("abort", this);
  }

  #startTimer(): void {
    const left = Math.max(0, Math.ceil(this.#due - performance.now()));
    this.#timer = setTimeout(() => this.#timeUp(), Math.min(left, DELAY_MAX));
    this.#timer.unref(); // what keeps the process alive is the wait
  }

  #timeUp(): void {
    if (performance.now() < this.#due) return this.#startTimer();
    // A loop that was busy for long tells of the time before it tells of what is there.
    if (this.previous === null && this.attempt() === true) {
      this.#waits.again(this.line.wanted); // it may have left something, of which nobody tells those behind it
      return;
    }
    const { syscall, address } = this.wait;
    this.fail(systemError(syscall, TIMED_OUT, address));
  }

  /** Of the signal. */
  handleEvent(): void {
    this.fail(this.wait.signal!.reason);
  }

  /** Whether the operation has ended. */
  attempt(): boolean | typeof AGAIN {
    let result;
    try {
      const { attempt, self, args } = this.wait;
      result = attempt(self, args);
    } catch (error) {
      this.fail(error);
      return true;
    }
    if (result === AGAIN) return AGAIN;
    if (result === WOULD_BLOCK) {
      if (this.wait.timeout !== 0) return false;
      this.fail(blocked(this.wait));
      return true;
    }
    this.#end();
    this.#resolve(result);
    return true;
  }

  fail(reason: unknown): void {
    this.#end();
    const { failed, self } = this.wait;
    if (failed === undefined) return this.#reject(reason);
    try {
      this.#resolve(failed(self, reason));
    } catch (error) {
      this.#reject(error);
    }
  }

  #end(): void {
    this.#waits.leave(this);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.wait.signal?.removeEventListener("abort", this);
  }
}

/** What an operation gives that ended without a result before it waited. */
function failure<Self, Result>(wait: Wait<Self, Result>, reason: unknown): Promise<Result> {
  try {
    if (wait.failed !== undefined) return Promise.resolve(wait.failed(wait.self, reason));
  } catch (error) {
    return Promise.reject(error);
  }
  return Promise.reject(reason);
}

function blocked({ syscall, address, wouldBlock = EAGAIN }: AnyWait): Error {
  return systemError(syscall, -wouldBlock, address);
}

/** The operations of one kind that wait on one socket, in their order. */
class Line {
  readonly wanted: Wanted;
  first: Operation | null = null;
  last: Operation | null = null;
  /** Whether the first has its turn when the event loop had its. */
  postponed = false;

  constructor(wanted: Wanted) {
    this.wanted = wanted;
  }

  /** The first has to wait, and so had all: those that must not are told. */
  refuseOthers(): void {
    for (let one = this.first!.next; one !== null;) {
      const { next } = one;
      if (one.wait.timeout === 0) one.fail(blocked(one.wait));
      one = next;
    }
  }
}

/** What waits on one socket. */
export class Waits implements Waiting {
  #isRef = true;
  #fd: number;
  #id = 0;
  /** What the poller waits for. */
  #armed = 0;
  /** Whether the poller knows the descriptor. */
  #known = false;
  #count = 0;
  #lines: Line[] = [];
  /** How often something was ready in vain since an operation was last done. */
  #vain = 0;
  /** Whether the queue of what is received was seen empty, and the poller will tell of whatever comes. */
  #isDry = false;
  /** Whether something may be in that queue of which the poller has told already. */
  #hasMore = false;
  /** Whether the poller told of something that nobody waited for. */
  #unasked = false;
  #pause: Timer | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Whether the descriptor was closed here, or is about to be. */
  get isClosed(): boolean {
    return this.#fd < 0;
  }

  /** Whether somebody waits for that already. */
  hasWaiting(events: Wanted): boolean {
    const line = this.#line(events);
    return line !== undefined && line.first !== null;
  }

  #line(wanted: Wanted): Line | undefined {
    for (const line of this.#lines) if (line.wanted === wanted) return line;
    return undefined;
  }

  /** Does an operation, at once where nobody else waits for the same and nothing is to be waited for. */
  run<Self, Result>(events: Wanted, wait: Wait<Self, Result>): Promise<Result> {
    const { signal } = wait;
    if (signal?.aborted) return failure(wait, signal.reason);
    const line = this.#line(events);
    const isFirst = line === undefined || line.first === null;
    // Urgent data that was taken leaves its mark, which cuts the next receive short and is not told any more.
    if (events === URGENT) this.#hasMore = true;
    // What came meanwhile is told in the next turn.
    const isVain = turning && this.#isDry && wait.isPlain === true && wait.timeout !== 0;
    const tried = isFirst && !isVain && (attempts > 0 || this.#fd < 0);
    if (tried) {
      if (attempts > 0) attempts--;
      let result;
      try {
        result = wait.attempt(wait.self, wait.args);
      } catch (error) {
        return failure(wait, error);
      }
      if (result === AGAIN) return this.#enqueue(events, wait, true);
      if (result !== WOULD_BLOCK) return Promise.resolve(result);
    }
    // Those before it are served before it. They may wait for their turn only, and so may it.
    if (wait.timeout === 0 && (tried || (!isFirst && !line!.postponed))) return failure(wait, blocked(wait as AnyWait));
    return this.#enqueue(events, wait, isFirst ? !tried && !isVain : line!.postponed);
  }

  #enqueue<Self, Result>(events: Wanted, wait: Wait<Self, Result>, postponed: boolean): Promise<Result> {
    if (this.#fd < 0) return failure(wait, systemError(wait.syscall, -EBADF));
    let line = this.#line(events);
    if (line === undefined) this.#lines.push((line = new Line(events)));
    if (postponed) {
      this.#postpone(line);
      return this.#append(line, wait as AnyWait).promise as Promise<Result>;
    }
    try {
      started(); // before anything says that it waits: there may be no descriptors left for it
    } catch (error) {
      return failure(wait, error);
    }
    const { promise } = this.#append(line, wait as AnyWait);
    this.#arm();
    return promise as Promise<Result>;
  }

  #append(line: Line, wait: AnyWait): Operation {
    const operation = new Operation(this, line, wait);
    operation.previous = line.last;
    if (line.last === null) line.first = operation;
    else line.last.next = operation;
    line.last = operation;
    if (++this.#count === 1 && this.#isRef) keep();
    expect();
    return operation;
  }

  /**
   * Waits for an answer as an operation does: until its time is up, its signal says so, or the socket is closed. The
   * question is given up then.
   */
  ask<Result>(
    { syscall, address, timeout, signal }: Pick<AnyWait, "syscall" | "address" | "timeout" | "signal">,
    question: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#fd < 0) return Promise.reject(systemError(syscall, -EBADF));
    try {
      started(); // before anything says that it waits, as above
    } catch (error) {
      return Promise.reject(error);
    }
    const line = new Line(NOTHING); // of its own: answers come in any order
    const givenUp = new AbortController();
    let answer: Result | typeof WOULD_BLOCK = WOULD_BLOCK;
    const failed = (_: unknown, reason: unknown): never => {
      givenUp.abort();
      throw reason;
    };
    const attempt = (): unknown => answer;
    const operation = this.#append(line, { attempt, self: null, args: [], syscall, address, timeout, signal, failed });
    this.#lines.push(line);
    question(givenUp.signal)
      .then(
        (found) => {
          answer = found;
          if (line.first !== null) operation.attempt();
        },
        (error: unknown) => {
          if (line.first !== null) operation.fail(error);
        },
      )
      .finally(() => this.#lines.splice(this.#lines.indexOf(line), 1));
    return operation.promise as Promise<Result>;
  }

  #postpone(line: Line): void {
    if (line.postponed) return;
    line.postponed = true;
    postpone(this, line.wanted);
  }

  leave(operation: Operation): void {
    const { line, previous, next } = operation;
    if (previous === null) line.first = next;
    else previous.next = next;
    if (next === null) line.last = previous;
    else next.previous = previous;
    operation.previous = operation.next = null;
    expected--;
    if (--this.#count === 0 && this.#isRef) release();
  }

  /** Whether what waits keeps the process alive. */
  keepAlive(on: boolean): void {
    if (on === this.#isRef) return;
    this.#isRef = on;
    if (this.#count === 0) return;
    if (on) keep();
    else release();
  }

  /** What the poller tells. */
  ready(events: number): void {
    if (events & ~WRITABLE) this.#isDry = false;
    if (events & (MORE | FAILED)) this.#hasMore = true;
    if (events & MORE) {
      // Urgent data that nobody waits for is no more than that.
      events &= this.#armed & URGENT ? ~MORE : ~(MORE | URGENT);
      if (events === 0) return;
    }
    this.#armed &= (events & (FAILED | WRITABLE)) === FAILED ? KEPT_FAILED : KEPT;
    let told = events & FAILED ? READABLE | WRITABLE | URGENT | FAILED : events;
    // It may be the attempt itself that is told: Linux gives room back that a message took which a full Unix receiver
    // refused. Those who write try again after the pause.
    if (this.#pause !== undefined) told &= READABLE;
    if (told === 0) return this.#arm();
    if ((told & this.#wanted()) === 0) {
      // Once is chance: between two receives, say. Who does not receive is not told again.
      if (this.#unasked) this.#forget();
      this.#unasked = !this.#unasked;
    } else {
      this.#unasked = false;
      // What is to be asked for again may be told again at once.
      if (!this.#serve(told) && told & this.#wanted() & ~this.#armed) this.#vain++;
    }
    this.#arm();
  }

  /** What is waited for. */
  #wanted(): number {
    let events = 0;
    for (const line of this.#lines) if (line.first !== null && !line.postponed) events |= line.wanted;
    return events;
  }

  #forget(): void {
    shim.bs_poller_disarm(started().pointer, this.#fd);
    this.#known = this.#isDry = false;
    this.#armed = 0;
    waiting.delete(this.#id);
  }

  /**
   * A receive of TCP's bytes gave less than was asked for, so nothing is left: the next one need not be tried in vain before
   * it waits. See epoll(7), question 9. Behind the data there may be its end, an error, or urgent data; where the poller told
   * of one, each is tried.
   */
  ranDry(isDry: boolean): void {
    this.#isDry = isDry && !this.#hasMore && (this.#armed & READABLE) !== 0;
  }

  /** Ends some of those that wait, with that reason. */
  end(isMeant: (wait: unknown) => boolean, reason: unknown): void {
    for (const line of this.#lines) {
      for (let one = line.first; one !== null;) {
        const { next } = one;
        if (isMeant(one.wait)) one.fail(reason);
        one = next;
      }
    }
  }

  /** There may be something for those that wait, of which the poller does not know: they are tried in their turn. */
  again(events: Wanted): void {
    const line = this.#line(events);
    if (line !== undefined && line.first !== null) this.#postpone(line);
  }

  resume(events: number): void {
    for (const line of this.#lines) if (line.wanted & events) line.postponed = false;
    this.#serve(events);
    this.#arm();
  }

  /** Tries those that wait for one of the events; whether any of them came forward. */
  #serve(events: number): boolean {
    let served = false;
    for (const line of this.#lines) {
      if (!(line.wanted & events)) continue;
      while (line.first !== null) {
        const isTurnOver = attempts-- <= 0;
        const ended = isTurnOver ? AGAIN : line.first.attempt();
        if (ended === false) {
          line.refuseOthers();
          break;
        }
        served = true;
        if (!isTurnOver) this.#vain = 0;
        if (ended !== AGAIN) continue;
        this.#postpone(line);
        break;
      }
    }
    return served;
  }

  /** Tells the poller what is waited for. `isRested`: after a pause. */
  #arm(isRested = false): void {
    if (this.#count === 0 || this.#fd < 0) return;
    let events = this.#wanted();
    if (this.#pause !== undefined) events &= KEPT;
    if ((events & ~this.#armed) === 0) return;
    // Readiness that the call does not confirm (a datagram for a full Unix receiver, say) comes back at once each time.
    if (this.#pause === undefined && this.#vain > 1 && !isRested) {
      const pause = Math.min(2 ** (this.#vain - 2), PAUSE_MAX);
      this.#pause = setTimeout(() => {
        this.#pause = undefined;
        this.#serve(this.#wanted());
        this.#arm(true);
      }, pause);
      this.#pause.unref();
      return;
    }
    let pointer: Poller["pointer"];
    try {
      ({ pointer } = started());
    } catch (error) {
      return this.#failAll(() => error); // it waited for its turn, and now there are no descriptors left for a poller
    }
    if (!this.#known) {
      // A socket that was forgotten, not closed, left its identity behind; so did one whose descriptor is this one's now.
      const before = waiting.get(owners.get(this.#fd) ?? 0);
      if (before instanceof Waits && before !== this) before.close();
      if (this.#id === 0) this.#id = newId();
      owners.set(this.#fd, this.#id);
      waiting.set(this.#id, this);
    }
    events |= this.#armed;
    const r = shim.bs_poller_arm(pointer, this.#fd, events, this.#id, this.#known ? 1 : 0);
    if (r < 0) return this.#failAll(({ syscall }) => systemError(syscall, r));
    this.#armed = events;
    this.#known = true;
  }

  #failAll(reason: (wait: AnyWait) => unknown): void {
    for (const line of this.#lines) while (line.first !== null) line.first.fail(reason(line.first.wait));
  }

  /** The descriptor is about to be closed, or somebody else's: all that waits is rejected. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    this.#isDry = false;
    if (fd < 0) return;
    if (this.#known) shim.bs_poller_disarm(started().pointer, fd);
    if (owners.get(fd) === this.#id) owners.delete(fd);
    waiting.delete(this.#id);
    if (this.#pause !== undefined) clearTimeout(this.#pause);
    this.#failAll(({ syscall, address }) => systemError(syscall, -ECANCELED, address));
  }
}

/** Waits for an answer of the resolver, which comes by the poller. */
export function whenReady(ask: (pointer: Poller["pointer"], id: number) => number, done: () => void): number {
  const { pointer } = started();
  const id = newId();
  const r = ask(pointer, id);
  if (r < 0) throw systemError("getaddrinfo", r);
  waiting.set(id, {
    ready() {
      waiting.delete(id);
      expected--;
      done();
    },
  });
  expect();
  return id;
}

/** The poller of this thread. */
export function pollerPointer(): Poller["pointer"] {
  return started().pointer;
}

/** Whether the process is to stay alive, for something that is no operation of a socket. */
export const keeping = { keep, release };

/** The `signal` of an options object; `undefined` where there is none. */
export function signalOf(value: unknown, name: string): AbortSignal | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof AbortSignal)) throw wrongType(name, "an AbortSignal", value);
  return value;
}
