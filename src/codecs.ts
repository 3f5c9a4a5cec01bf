/**
 * Text and bytes for the files of `Socket.makefile`: decoders that take a stream piece by piece, encoders, and what they
 * do with what is no text.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { wrongValue } from "./args.ts";

/** What is done with bytes that are no text, and with text that has no bytes, by the names that Python gave it. */
export const TEXT_ERRORS = [
  "strict",
  "ignore",
  "replace",
  "surrogateescape",
  "backslashreplace",
  "xmlcharrefreplace",
] as const;

/** One of {@link TEXT_ERRORS}. */
export type TextErrors = (typeof TEXT_ERRORS)[number];

/** Bytes to text, piece by piece: a character split between two pieces comes out whole. */
export interface Decoder {
  /** What could not be decoded, and where. All text before it was returned, and nothing after it will be. */
  readonly failure: string | null;
  /** The text of the next bytes; `final` where none will follow. */
  decode(data: Buffer, final: boolean): string;
}

/** Text to bytes; a RangeError where the text cannot be encoded. */
export type Encoder = (text: string) => Buffer;

/** An encoding that is decoded here, so that every way of handling errors works with it. */
interface Codec {
  readonly name: string;
  /** The text of data that is valid from its first byte to its last, otherwise null. */
  whole(data: Buffer): string | null;
  /** The length of the character at `at`; 0: its end has not come yet; -n: n bytes that belong to no character. */
  character(data: Buffer, at: number): number;
}

const utf8: Codec = {
  name: "utf-8",
  whole: (data) => (isUtf8(data) ? data.toString("utf8") : null),
  // The Unicode Standard, table 3-7. What fails is cut as it recommends: the longest part that could have become a character.
  character(data, at) {
    const first = data[at]!;
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return -1;
    const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    for (let i = 1; i < length; i++) {
      const next = data[at + i];
      if (next === undefined) return 0;
      if (next < low || next > high) return -i;
      low = 0x80;
      high = 0xbf;
    }
    return length;
  },
};

const ascii: Codec = {
  name: "ascii",
  whole: (data) => (isAscii(data) ? data.toString("latin1") : null),
  character: (data, at) => (data[at]! < 0x80 ? 1 : -1),
};

const latin1: Codec = {
  name: "latin1",
  whole: (data) => data.toString("latin1"),
  character: () => 1,
};

function utf16(name: string, bigEndian: boolean): Codec {
  const unit = (data: Buffer, at: number) => (bigEndian ? data.readUInt16BE(at) : data.readUInt16LE(at));
  return {
    name,
    whole(data) {
      if (data.length % 2 !== 0) return null;
      const text = (bigEndian ? Buffer.from(data).swap16() : data).toString("utf16le");
      return text.isWellFormed() ? text : null;
    },
    character(data, at) {
      if (at + 2 > data.length) return 0;
      const first = unit(data, at);
      if (first < 0xd800 || first > 0xdfff) return 2;
      if (first > 0xdbff) return -2;
      if (at + 4 > data.length) return 0;
      const second = unit(data, at + 2);
      return second >= 0xdc00 && second <= 0xdfff ? 4 : -2;
    },
  };
}

const utf16le = utf16("utf-16le", false);
const utf16be = utf16("utf-16be", true);

/** The mark at the beginning tells the byte order; without one it is little-endian, as what is written here. */
const utf16marked = "utf-16";

const codecs: Record<string, Codec | typeof utf16marked> = {
  "utf-8": utf8,
  utf8,
  ascii,
  "us-ascii": ascii,
  latin1,
  "latin-1": latin1,
  "iso-8859-1": latin1,
  "iso8859-1": latin1,
  "utf-16": utf16marked,
  utf16: utf16marked,
  "utf-16le": utf16le,
  "utf-16-le": utf16le,
  utf16le,
  ucs2: utf16le,
  "ucs-2": utf16le,
  "utf-16be": utf16be,
  "utf-16-be": utf16be,
  utf16be,
};

function codecOf(encoding: string): Codec | typeof utf16marked | undefined {
  const name = encoding.toLowerCase().replaceAll("_", "-");
  return Object.hasOwn(codecs, name) ? codecs[name] : undefined;
}

/**
 * A decoder.
 *
 * @throws RangeError for an encoding that is not known, or one that the engine decodes and that has no such `errors`.
 */
export function decoderFor(encoding: string, errors: TextErrors): Decoder {
  let codec = codecOf(encoding);
  if (codec !== undefined) return new CodecDecoder(codec, errors);
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding as Bun.Encoding, { ignoreBOM: true });
  } catch {
    throw wrongValue("options.encoding", "an encoding that TextDecoder knows", encoding);
  }
  // It knows more names for what is decoded here.
  codec = codecOf(decoder.encoding);
  if (codec !== undefined) return new CodecDecoder(codec, errors);
  if (errors !== "strict" && errors !== "replace") {
    throw wrongValue("options.errors", `"strict" or "replace" with the encoding ${decoder.encoding}`, errors);
  }
  return new EngineDecoder(decoder, errors);
}

const noBytes = Buffer.alloc(0);

class CodecDecoder implements Decoder {
  failure: string | null = null;
  #codec: Codec | typeof utf16marked;
  readonly #errors: TextErrors;
  /** The beginning of a character whose end has not come yet. */
  #held: Buffer = noBytes;
  /** How many bytes of the stream lie before what is held. */
  #position = 0;

  constructor(codec: Codec | typeof utf16marked, errors: TextErrors) {
    this.#codec = codec;
    this.#errors = errors;
  }

  decode(bytes: Buffer, final: boolean): string {
    if (this.failure !== null) return "";
    const data = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    let at = 0;
    if (this.#codec === utf16marked) {
      if (data.length < 2 && !final) return this.#hold(data, 0, "");
      const mark = data.length < 2 ? 0 : data.readUInt16BE(0);
      this.#codec = mark === 0xfeff ? utf16be : utf16le;
      if (mark === 0xfeff || mark === 0xfffe) at = 2;
    }
    const codec = this.#codec;
    const all = codec.whole(at === 0 ? data : data.subarray(at));
    if (all !== null) return this.#hold(data, data.length, all);

    let text = "";
    while (at < data.length) {
      let end = at;
      let length = 0;
      while (end < data.length && (length = codec.character(data, end)) > 0) end += length;
      if (end > at) text += codec.whole(data.subarray(at, end));
      at = end;
      if (at === data.length || (length === 0 && !final)) break;
      const bad = length === 0 ? data.subarray(at) : data.subarray(at, at - length);
      const [instead, used] = handleBytes(bad, this.#errors);
      if (used === 0) {
        const reason = length === 0 ? "the stream ends in the midst of a character" : "no character begins so";
        const position = this.#position + at;
        this.failure = `cannot decode ${codec.name}: 0x${bad.toString("hex")} at byte ${position} of the stream: ${reason}`;
        break;
      }
      text += instead;
      at += used;
    }
    return this.#hold(data, at, text);
  }

  /** Keeps what lies behind `at` for the next time. */
  #hold(data: Buffer, at: number, text: string): string {
    this.#held = at === data.length ? noBytes : Buffer.from(data.subarray(at));
    this.#position += at;
    return text;
  }
}

/** What stands for bytes that are no text, and for how many of them; for none where they are an error. */
function handleBytes(bad: Buffer, errors: TextErrors): [instead: string, used: number] {
  switch (errors) {
    case "ignore":
      return ["", bad.length];
    case "replace":
      return ["\ufffd", bad.length];
    case "backslashreplace":
      return [Array.from(bad, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""), bad.length];
    case "surrogateescape": {
      // ASCII is never escaped: it could be smuggled past a check of the text that way.
      const end = bad.findIndex((byte) => byte < 0x80);
      const escaped = end < 0 ? bad : bad.subarray(0, end);
      return [String.fromCharCode(...Array.from(escaped, (byte) => 0xdc00 + byte)), escaped.length];
    }
    default:
      return ["", 0];
  }
}

/**
 * An encoding that only the engine's TextDecoder knows. Where that puts U+FFFD, `strict` fails: a decoder that fails by
 * itself would not tell the text before. Of these encodings only gb18030 and gbk spell U+FFFD: it is refused there too.
 */
class EngineDecoder implements Decoder {
  failure: string | null = null;
  readonly #decoder: TextDecoder;
  readonly #strict: boolean;
  #position = 0;

  constructor(decoder: TextDecoder, errors: "strict" | "replace") {
    this.#decoder = decoder;
    this.#strict = errors === "strict";
  }

  decode(data: Buffer, final: boolean): string {
    if (this.failure !== null) return "";
    const text = this.#decoder.decode(data, { stream: !final });
    const good = this.#strict ? text.indexOf("\ufffd") : -1;
    const start = this.#position;
    this.#position += data.length;
    if (good < 0) return text;
    this.failure = `cannot decode ${this.#decoder.encoding}: not valid near bytes ${start} to ${this.#position} of the stream`;
    return text.slice(0, good);
  }
}

/** What the encodings that can be written cannot encode, and what Buffer calls them. */
const writable = new Map<Codec | typeof utf16marked, { buffer: BufferEncoding; last: number }>([
  [utf8, { buffer: "utf8", last: 0x10ffff }],
  [utf16le, { buffer: "utf16le", last: 0x10ffff }],
  // Without a mark: there is no telling that this is the beginning of the stream.
  [utf16marked, { buffer: "utf16le", last: 0x10ffff }],
  [latin1, { buffer: "latin1", last: 0xff }],
  [ascii, { buffer: "latin1", last: 0x7f }],
]);

/**
 * An encoder.
 *
 * @throws RangeError for an encoding that cannot be written.
 */
export function encoderFor(encoding: string, errors: TextErrors): Encoder {
  const codec = codecOf(encoding);
  const target = codec === undefined ? undefined : writable.get(codec);
  if (target === undefined) {
    throw wrongValue("options.encoding", "utf-8, utf-16le, latin1 or ascii where the mode writes", encoding);
  }
  const { buffer, last } = target;
  const encodable = (point: number) => point <= last && (point < 0xd800 || point > 0xdfff);
  const isWhole =
    last === 0x10ffff
      ? (text: string) => text.isWellFormed()
      : last === 0xff
        ? (text: string) => /^[\0-\xff]*$/.test(text)
        : (text: string) => /^[\0-\x7f]*$/.test(text);

  return (text) => {
    if (isWhole(text)) return Buffer.from(text, buffer);
    const pieces: Buffer[] = [];
    let good = "";
    let at = 0;
    for (const character of text) {
      const point = character.codePointAt(0)!;
      const instead = encodable(point) ? character : handlePoint(point, errors);
      if (instead === null || (typeof instead === "number" && buffer === "utf16le")) {
        const shown = `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
        throw new RangeError(`data: cannot encode ${shown} at index ${at} as ${encoding} (options.errors: ${errors})`);
      }
      if (typeof instead === "number") {
        pieces.push(Buffer.from(good, buffer), Buffer.of(instead));
        good = "";
      } else {
        good += instead;
      }
      at += character.length;
    }
    pieces.push(Buffer.from(good, buffer));
    return Buffer.concat(pieces);
  };
}

/** What stands for a character that has no bytes: text, a byte, or null where it is an error. */
function handlePoint(point: number, errors: TextErrors): string | number | null {
  switch (errors) {
    case "ignore":
      return "";
    case "replace":
      return "?";
    case "xmlcharrefreplace":
      return `&#${point};`;
    case "backslashreplace": {
      const hex = point.toString(16);
      if (point < 0x100) return `\\x${hex.padStart(2, "0")}`;
      return point < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
    }
    case "surrogateescape":
      return point >= 0xdc80 && point <= 0xdcff ? point - 0xdc00 : null;
    default:
      return null;
  }
}
