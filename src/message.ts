/**
 * Messages: scattered and gathered data, and control messages (ancillary data). See cmsg(3), RFC 3542.
 */
import { bytes, bytesOf, INT_MAX, integer, type BytesLike, wrongType, wrongValue } from "./args.ts";
import { SCM_PIDFD, SCM_RIGHTS, SOL_SOCKET } from "./constants.ts";
import { ioWords, shim } from "./native.ts";

/** A control message to send: its protocol level, its type there, its data. */
export type AncillaryData = readonly [level: number, type: number, data: BytesLike];

/** A control message received. */
export type ReceivedAncillaryData = [level: number, type: number, data: Buffer];

/** The members of an iterable argument. Text and bytes are iterable too, and never meant here; descriptors may be ints. */
export function list(value: unknown, name: string, of: string): unknown[] {
  const iterable = value as Iterable<unknown> | null;
  if (
    typeof iterable !== "object" ||
    iterable === null ||
    (ArrayBuffer.isView(value) && !(value instanceof Int32Array)) ||
    typeof iterable[Symbol.iterator] !== "function"
  ) {
    throw wrongType(name, `an iterable of ${of}`, value);
  }
  return [...iterable];
}

const HEAD = 12; // level, type, length

/** The most data that CMSG_LEN and CMSG_SPACE can add to and stay an int. */
const CMSG_MAX = INT_MAX - 64;

/** Control messages as the shim takes them, and the room that they need as the system has them. */
export interface Packed {
  records: Uint8Array;
  control: Uint8Array;
}

export const nothing: Packed = { records: new Uint8Array(0), control: new Uint8Array(0) };

/** Snapshots what the caller's objects say of control messages; {@link packControl} then takes the data. */
export function readControl(ancdata: unknown): [level: number, type: number, data: unknown][] {
  return list(ancdata, "ancdata", "[level, type, data]").map((item, i) => {
    if (!Array.isArray(item) || item.length !== 3) throw wrongType(`ancdata[${i}]`, "[level, type, data]", item);
    const [level, type, data] = item as unknown[];
    return [integer(level, `ancdata[${i}][0]`), integer(type, `ancdata[${i}][1]`), data];
  });
}

export function packControl(items: [level: number, type: number, data: unknown][]): Packed {
  if (items.length === 0) return nothing;
  const all = items.map(([level, type, data], i) => ({ level, type, data: bytesOf(bytes(data, `ancdata[${i}][2]`)) }));
  let length = 0;
  let space = 0;
  for (const { data } of all) {
    length += HEAD + Math.ceil(data.length / 4) * 4;
    space += data.length > CMSG_MAX ? Infinity : shim.bs_cmsg_space(data.length);
  }
  if (space > INT_MAX) throw wrongValue("ancdata", `at most ${INT_MAX} bytes with its headers`, `${length} bytes`);
  const records = new Uint8Array(length);
  const view = new DataView(records.buffer);
  let at = 0;
  for (const { level, type, data } of all) {
    view.setInt32(at, level, true);
    view.setInt32(at + 4, type, true);
    view.setInt32(at + 8, data.length, true);
    records.set(data, at + HEAD);
    at += HEAD + ((data.length + 3) & ~3);
  }
  return { records, control: new Uint8Array(new ArrayBuffer(space)) };
}

/** Where a receive puts control messages, and where it says they lie; grown as it is asked for more. */
export let control: Buffer = Buffer.from(new ArrayBuffer(0));
export let items = new Int32Array(4);

/** More than any system lets come with one message: who asks for more shall not cost the process that much memory. */
const CONTROL_MAX = 1 << 20;

export function controlRoom(wanted: number): void {
  const length = Math.min(wanted, CONTROL_MAX);
  if (control.length >= length) return;
  control = Buffer.from(new ArrayBuffer(length));
  items = new Int32Array(4 * (Math.ceil(length / HEAD) + 1)); // no system's header is shorter
}

/** The control messages of the receive that was just made. */
export function receivedControl(): ReceivedAncillaryData[] {
  const found: ReceivedAncillaryData[] = [];
  const count = ioWords[2]!;
  for (let i = 0; i < count; i++) {
    const offset = items[4 * i + 2]!;
    const length = items[4 * i + 3]!;
    const data = Buffer.allocUnsafeSlow(length);
    control.copy(data, 0, offset, offset + length);
    found.push([items[4 * i]!, items[4 * i + 1]!, data]);
  }
  if (ioWords[3] !== 0) {
    queueMicrotask(warnOfCut); // not now: nothing of the caller's runs before the block of results has been read
  }
  return found;
}

function warnOfCut(): void {
  process.emitWarning("a control message was longer than its buffer and was cut", "RuntimeWarning");
}

/**
 * Closes the descriptors that came with the receive that was just made: nobody will get to know of them. This needs no
 * memory, for the want of it may be the reason.
 */
export function closeReceived(): void {
  const count = ioWords[2]!;
  for (let i = 0; i < count; i++) {
    const type = items[4 * i + 1];
    if (items[4 * i] !== SOL_SOCKET || (type !== SCM_RIGHTS && type !== SCM_PIDFD)) continue;
    const end = items[4 * i + 2]! + items[4 * i + 3]!;
    for (let at = items[4 * i + 2]!; at + 4 <= end; at += 4) shim.bs_close(control.readInt32LE(at));
  }
}

/** Closes the descriptors that came in control messages of a type. */
export function closeDescriptors(ancdata: readonly ReceivedAncillaryData[], type: number): void {
  for (const fd of descriptorsIn(ancdata, type)) shim.bs_close(fd);
}

/** The descriptors in control messages of a type; a number that was cut at the end is left out. */
export function descriptorsIn(ancdata: readonly ReceivedAncillaryData[], wanted: number): number[] {
  const found: number[] = [];
  for (const [level, type, data] of ancdata) {
    if (level !== SOL_SOCKET || type !== wanted) continue;
    for (let at = 0; at + 4 <= data.length; at += 4) found.push(data.readInt32LE(at));
  }
  return found;
}
