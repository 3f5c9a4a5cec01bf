/**
 * The memory of a batch as the shim lays it out (`struct bs_batch`, `struct bs_message`), written and read by words.
 */
import { IPPROTO_UDP, UDP_SEGMENT, UDP_SEND_MSG_SIZE } from "../constants.ts";
import { outName } from "../families/family.ts";
import { NAME_MAX } from "../native.ts";
import { begin, spaceOf } from "./control.ts";

// struct bs_batch, by words.
const SIZE = 1;
const CONTROL_SIZE = 2;
const FIRST = 3;
const COUNT = 4;
const ERROR = 5;
export const HEADER_WORDS = 12;

// struct bs_message, by words.
export const LENGTH = 0;
export const FLAGS = 1;
export const NAME_LENGTH = 2;
export const CONTROL_LENGTH = 3;
export const MESSAGE_WORDS = 4;

export const ROOM = 96; // BS_MESSAGE_ROOM
export const NAME_WORDS = NAME_MAX / 4;

/** The batch's own memory, by words and bytes, and where its parts begin; see `struct bs_batch`. */
export interface Table {
  readonly words: Int32Array;
  readonly view: DataView;
  /** The first word of the names. */
  readonly names: number;
  /** The first byte of the control messages. */
  readonly controls: number;
}

/** Memory for so many messages. Who holds it sets the header's `first` and `count` before a send. */
export function makeTable(capacity: number, size: number, controlSize: number): Table {
  const beforeNames = HEADER_WORDS * 4 + capacity * (MESSAGE_WORDS * 4 + ROOM);
  const controls = beforeNames + capacity * NAME_MAX;
  const memory = new ArrayBuffer(controls + capacity * controlSize);
  const words = new Int32Array(memory);
  words[0] = capacity;
  words[SIZE] = size;
  words[CONTROL_SIZE] = controlSize;
  return { words, view: new DataView(memory), names: beforeNames / 4, controls };
}

/** Sets what is to be sent of a message, but its control messages and its name. */
export function setMessage({ words }: Table, i: number, length: number, controlLength: number): void {
  const at = HEADER_WORDS + MESSAGE_WORDS * i;
  words[at + LENGTH] = length;
  words[at + FLAGS] = 0;
  words[at + CONTROL_LENGTH] = controlLength;
}

const outWords = new Int32Array(outName.buffer);

/** Gives a message the name that an encoder left. */
export function setName({ words, names }: Table, i: number, length: number): void {
  words[HEADER_WORDS + MESSAGE_WORDS * i + NAME_LENGTH] = length;
  const at = names + NAME_WORDS * i;
  for (let word = 0; word < length; word += 4) words[at + (word >> 2)] = outWords[word >> 2]!;
}

/** How many bytes lie from one message's data to the next's. */
export function setSize({ words }: Table, size: number): void {
  words[SIZE] = size;
}

/** Which messages to send. */
export function setRange({ words }: Table, first: number, count: number): void {
  words[FIRST] = first;
  words[COUNT] = count;
}

/** What ended a call in its midst: a negative result, or 0. */
export function errorOf({ words }: Table): number {
  return words[ERROR]!;
}

/** What a control message of a UDP socket is called that says how long the datagrams shall be that go as one. */
const SEGMENT = UDP_SEGMENT ?? UDP_SEND_MSG_SIZE;
/** How many bytes its number has. */
const SEGMENT_BYTES = UDP_SEGMENT === undefined ? 4 : 2;
/** The room that it takes. */
export const SEGMENT_SPACE: number = spaceOf(SEGMENT_BYTES);

/** Writes a control message that has the system send the data in datagrams of so many bytes; its length. */
export function putSegmentSize(view: DataView, at: number, size: number): number {
  const data = begin(view, at, IPPROTO_UDP, SEGMENT, SEGMENT_BYTES);
  if (SEGMENT_BYTES === 2) view.setUint16(data, size, true);
  else view.setUint32(data, size, true);
  return SEGMENT_SPACE;
}
