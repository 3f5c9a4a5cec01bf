// Reads what a shared library of any platform says of itself: ELF, Mach-O and PE, 64 bits, little-endian.

export interface Library {
  readonly machine: "x64" | "arm64";
  /** The functions that it offers. */
  readonly exports: readonly string[];
  /** The functions that it wants from others; ELF only. */
  readonly wants: readonly string[];
  /** The libraries that it names. */
  readonly needs: readonly string[];
  /** Mach-O: the name that programs linked with it remember, the least version of macOS, whether it is signed. */
  readonly installName?: string;
  readonly minimum?: string;
  readonly isSigned?: boolean;
}

type Machine = Library["machine"];

/** The text that begins at an offset and ends with a NUL. */
function textAt(file: Buffer, at: number): string {
  return file.toString("latin1", at, file.indexOf(0, at));
}

function machineOf(number: number, x64: number, arm64: number): Machine {
  if (number === x64) return "x64";
  if (number === arm64) return "arm64";
  throw new Error(`machine ${number}`);
}

/** See elf(5). */
function readElf(file: Buffer): Library {
  const offset = (at: number) => Number(file.readBigUInt64LE(at));
  const sections = Array.from({ length: file.readUInt16LE(60) }, (_, i) => {
    const at = offset(40) + i * 64;
    return {
      type: file.readUInt32LE(at + 4),
      at: offset(at + 24),
      size: offset(at + 32),
      link: file.readUInt32LE(at + 40),
    };
  });
  const exports: string[] = [];
  const wants: string[] = [];
  const needs: string[] = [];
  for (const { type, at, size, link } of sections) {
    const strings = sections[link]?.at ?? 0;
    if (type === 11) {
      // SHT_DYNSYM
      for (let symbol = at + 24; symbol < at + size; symbol += 24) {
        const name = textAt(file, strings + file.readUInt32LE(symbol));
        const isDefined = file.readUInt16LE(symbol + 6) !== 0;
        (isDefined ? exports : wants).push(name);
      }
    } else if (type === 6) {
      // SHT_DYNAMIC
      for (let entry = at; entry < at + size; entry += 16) {
        if (offset(entry) === 1) needs.push(textAt(file, strings + offset(entry + 8)));
      }
    }
  }
  return { machine: machineOf(file.readUInt16LE(18), 62, 183), exports, wants, needs };
}

/** See <mach-o/loader.h>. */
function readMachO(file: Buffer): Library {
  const exports: string[] = [];
  const needs: string[] = [];
  let installName: string | undefined;
  let minimum: string | undefined;
  let isSigned = false;
  let at = 32;
  for (let i = file.readUInt32LE(16); i > 0; i--, at += file.readUInt32LE(at + 4)) {
    const word = (n: number) => file.readUInt32LE(at + 4 * n);
    const command = word(0);
    if (command === 0xc) needs.push(textAt(file, at + word(2)));
    else if (command === 0xd) installName = textAt(file, at + word(2));
    else if (command === 0x1d) isSigned = true;
    else if (command === 0x32) minimum = `${word(3) >> 16}.${(word(3) >> 8) & 0xff}`;
    else if (command === 0x80000022 || command === 0x22)
      readTrie(file.subarray(word(10), word(10) + word(11)), exports);
    else if (command === 0x80000033) readTrie(file.subarray(word(2), word(2) + word(3)), exports);
  }
  return {
    machine: machineOf(file.readUInt32LE(4), 0x01000007, 0x0100000c),
    exports,
    wants: [],
    needs,
    isSigned,
    ...(installName === undefined ? {} : { installName }),
    ...(minimum === undefined ? {} : { minimum }),
  };
}

/** The tree of names that dlsym looks in. C's names have an underscore in front. */
function readTrie(trie: Buffer, names: string[], at = 0, prefix = ""): void {
  const [info, children] = uleb(trie, at);
  if (info > 0) names.push(prefix.replace(/^_/, ""));
  let next = children + info;
  for (let i = trie[next++] ?? 0; i > 0; i--) {
    const edge = textAt(trie, next);
    const [child, end] = uleb(trie, next + edge.length + 1);
    readTrie(trie, names, child, prefix + edge);
    next = end;
  }
}

/** A number in LEB128, and where it ends. */
function uleb(data: Buffer, at: number): [value: number, end: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = data[at++];
    if (byte === undefined) throw new Error("a number has no end");
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

/** See https://learn.microsoft.com/windows/win32/debug/pe-format */
function readPe(file: Buffer): Library {
  const pe = file.readUInt32LE(60);
  const optional = pe + 24;
  if (file.readUInt16LE(optional) !== 0x20b) throw new Error("not PE32+");
  const sections = Array.from({ length: file.readUInt16LE(pe + 6) }, (_, i) => {
    const at = optional + file.readUInt16LE(pe + 20) + i * 40;
    return { address: file.readUInt32LE(at + 12), size: file.readUInt32LE(at + 16), at: file.readUInt32LE(at + 20) };
  });
  const placeOf = (address: number) => {
    const section = sections.find((s) => address >= s.address && address < s.address + s.size);
    if (section === undefined) throw new Error(`no section has ${address}`);
    return section.at + address - section.address;
  };
  const exports: string[] = [];
  const needs: string[] = [];
  const exportsAt = file.readUInt32LE(optional + 112);
  if (exportsAt > 0) {
    const table = placeOf(exportsAt);
    const names = placeOf(file.readUInt32LE(table + 32));
    for (let i = 0; i < file.readUInt32LE(table + 24); i++) {
      exports.push(textAt(file, placeOf(file.readUInt32LE(names + 4 * i))));
    }
  }
  const importsAt = file.readUInt32LE(optional + 120);
  if (importsAt > 0) {
    for (let at = placeOf(importsAt); file.readUInt32LE(at + 12) > 0; at += 20) {
      needs.push(textAt(file, placeOf(file.readUInt32LE(at + 12))));
    }
  }
  return { machine: machineOf(file.readUInt16LE(pe + 4), 0x8664, 0xaa64), exports, wants: [], needs };
}

/** What a library says of itself. */
export function readLibrary(file: Buffer): Library {
  const magic = file.readUInt32LE(0);
  if (magic === 0x464c457f) return readElf(file);
  if (magic === 0xfeedfacf) return readMachO(file);
  if ((magic & 0xffff) === 0x5a4d) return readPe(file);
  throw new Error(`magic ${magic.toString(16)}`);
}

/**
 * The symbols that glibc had in a version, from the list that Zig makes its stubs of (lib/libc/glibc/abilists; what it
 * looks like, its src/libs/glibc.zig says).
 */
export function readGlibc(list: Buffer, target: string, version: readonly [number, number]): Set<string> {
  let at = 0;
  const byte = () => list[at++]!;
  const name = () => {
    const text = textAt(list, at);
    at += text.length + 1;
    return text;
  };
  for (let libraries = byte(); libraries > 0; libraries--) name();
  const isOld = Array.from({ length: byte() }, () => {
    const [major, minor] = [byte(), byte()];
    byte();
    return major < version[0] || (major === version[0] && minor <= version[1]);
  });
  const targets = Array.from({ length: byte() }, name);
  const bit = targets.indexOf(target);
  if (bit < 0) throw new Error(`no ${target} among ${targets.join(" ")}`);
  const found = new Set<string>();
  // A symbol has an entry for each set of targets that have it in the same versions of the same library.
  let symbol: string | null = null;
  const entries = list.readUInt16LE(at);
  at += 2;
  for (let i = 0; i < entries; i++) {
    symbol ??= name();
    const [mask, end] = uleb(list, at);
    at = end;
    const isLast = byte() >= 0x80;
    let entry: number;
    do {
      entry = byte();
      if (Math.floor(mask / 2 ** bit) % 2 === 1 && isOld[entry & 0x7f]) found.add(symbol);
    } while (entry < 0x80);
    if (isLast) symbol = null;
  }
  return found;
}
