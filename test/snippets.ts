/**
 * Runs the TypeScript snippets of the documentation, each in a process of its own, as a user's program would run: from a
 * folder where the package is installed.
 *
 * What a `console.log` prints must be what the comment behind it says. There `…` stands for any text, `⏎` for a newline,
 * and what is printed in several rounds of a loop has commas between:
 *
 *     console.log(sock.getsockname()); // [ "127.0.0.1", … ]
 *     for (const byte of [1, 2]) console.log(byte); // 1, 2
 */
import { expect } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import {
  errorsOf,
  hasTypeChecker,
  hasUnix,
  isWindows,
  needs,
  passesDescriptors,
  removeFolder,
  slowness,
  hasFilters,
  hasLinuxOptions,
  hasLo,
  hasMulticastInterface,
  hasPacketRings,
  hasSourceMulticast,
  hasTcpInfo,
} from "./help.ts";
import { AF_CAN, AF_PACKET, AF_XDP, SO_PEERCRED } from "../src/index.ts";
import { CLOCK_REALTIME } from "../src/packets.ts";

const project = join(import.meta.dir, "..");

export interface Snippet {
  /** Where it stands: `README.md:40`. */
  place: string;
  code: string;
}

/** The ```ts blocks of a Markdown text. */
export function blocksOf(text: string, file: string): Snippet[] {
  const found: Snippet[] = [];
  for (const match of text.matchAll(/^```ts\n(.*?)^```$/gms)) {
    found.push({ place: `${file}:${lineAt(text, match.index)}`, code: match[1]! });
  }
  return found;
}

/** The ```ts blocks of a TypeScript file's doc comments. */
export function examplesOf(source: string, file: string): Snippet[] {
  const found: Snippet[] = [];
  for (const comment of source.matchAll(/^ *\/\*\*.*?\*\//gms)) {
    const text = comment[0].replaceAll(/^ *\* ?/gm, "");
    for (const { place, code } of blocksOf(text, "")) {
      const line = lineAt(source, comment.index) + Number(place.slice(1)) - 1;
      found.push({ place: `${file}:${line}`, code });
    }
  }
  return found;
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** Puts the package in a folder: by a link or, where the system (Wine) has none from drive to drive, by a package of it. */
function install(path: string): void {
  try {
    symlinkSync(project, path, "junction");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOTSUP") throw error;
    mkdirSync(path);
    const { exports } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
      exports: Record<string, string>;
    };
    const entries = Object.entries(exports).map(([entry, file], i) => {
      writeFileSync(join(path, `${i}.ts`), `export * from ${JSON.stringify(join(project, file))};`);
      return [entry, `./${i}.ts`];
    });
    const manifest = { name: "berkeley-sockets", exports: Object.fromEntries(entries) };
    writeFileSync(join(path, "package.json"), JSON.stringify(manifest));
  }
}

/** A folder with the package in its node_modules, and the project's compiler options. */
class Consumer implements Disposable {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), "bs snippets ")));

  constructor() {
    mkdirSync(join(this.path, "node_modules"));
    install(join(this.path, "node_modules", "berkeley-sockets"));
    const tsconfig = { extends: join(project, "tsconfig.json"), include: ["."] };
    writeFileSync(join(this.path, "tsconfig.json"), JSON.stringify(tsconfig));
  }

  write({ place, code }: Snippet): string {
    const path = join(this.path, `${place.replaceAll(/\W/g, "_")}.ts`);
    writeFileSync(path, code);
    return path;
  }

  [Symbol.dispose](): void {
    removeFolder(this.path);
  }
}

const PROMISED = /\bconsole\.log\(.*\);? \/\/ (.+)$/;
const mark = (line: number) => `\x01${line}\x02`;

/** Makes each `console.log` say first which line of the snippet it is on. */
function marked(code: string): string {
  const lines = code.split("\n");
  return lines
    .map((line, i) => line.replaceAll(/\bconsole\.log\(/g, `(console.log(${JSON.stringify(mark(i))}), console).log(`))
    .join("\n");
}

/** What each line of a snippet promises to print, and what it printed. */
function compare(code: string, stdout: string): { promised: string[]; printed: string[] } {
  const printedBy = new Map<number, string[]>();
  for (const [, line, text] of stdout.matchAll(/\x01(\d+)\x02\n([^\x01]*)/g)) {
    const texts = printedBy.get(Number(line)) ?? [];
    printedBy.set(Number(line), [...texts, text!.replace(/\n$/, "")]);
  }
  const promised: string[] = [];
  const printed: string[] = [];
  for (const [i, line] of code.split("\n").entries()) {
    const promise = PROMISED.exec(line)?.[1];
    if (promise === undefined) continue;
    const pattern = new RegExp(`^${promise.split("…").map(RegExp.escape).join(".*")}$`);
    const text = printedBy.get(i)?.join(", ").replaceAll("\n", "⏎") ?? "(nothing)";
    promised.push(promise);
    printed.push(pattern.test(text) ? promise : text);
  }
  return { promised, printed };
}

async function run(consumer: Consumer, snippet: Snippet) {
  const path = consumer.write({ ...snippet, code: marked(snippet.code) });
  const child = Bun.spawn([process.execPath, path], {
    cwd: consumer.path,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    stdin: "ignore",
    stderr: "pipe",
    timeout: 10_000 * slowness,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { status, stderr: errorsOf(stderr), ...compare(snippet.code, stdout) };
}

type Requirement = [pattern: RegExp, what: string, have: boolean];
/** What snippets use that not every machine has. */
const requirements: Requirement[] = [
  [/\b(send|recv)Fds\(/, "SCM_RIGHTS", passesDescriptors],
  [/\bnew Socket\(AF_UNIX\b/, "AF_UNIX", hasUnix],
  [/\b(attach|detach|lock)Filter\(/, "SO_ATTACH_FILTER", hasFilters],
  [/\bMCAST_JOIN_/, "MCAST_JOIN_GROUP on lo", hasSourceMulticast],
  [/if_nametoindex\("lo"\)/, "interface lo", hasLo],
  [/\b(can_filter|bcm_msg_head)\b/, "AF_CAN", AF_CAN !== undefined],
  [/\b(Packet|Transmit)Ring\(/, "packet rings", hasPacketRings],
  [/\bXdpSocket\(/, "AF_XDP", AF_XDP !== undefined],
  [/\bpacket_mreq\b/, "AF_PACKET", AF_PACKET !== undefined],
  [/\bucred\b/, "SO_PEERCRED", SO_PEERCRED !== undefined],
  [/\bip_mreqn\./, "IP_MULTICAST_IF with an interface's number", hasMulticastInterface],
  [/\bTCP_INFO\b/, "TCP_INFO", hasTcpInfo],
  [/\badopt(Server)?\(/, "Bun that adopts descriptors", !isWindows],
  [/\bSO_(TXTIME|ZEROCOPY)\b/, "options of Linux", hasLinuxOptions],
  [/\bCLOCK_REALTIME\b/, "clock_gettime", CLOCK_REALTIME !== undefined],
];

/** Registers a test for each snippet. They all run at once, as soon as the first is asked for. */
export function testSnippets(snippets: Snippet[]): void {
  let results: Promise<Map<Snippet, Awaited<ReturnType<typeof run>>>> | undefined;
  async function runAll() {
    using consumer = new Consumer();
    const waiting = [...snippets];
    const done = new Map<Snippet, Awaited<ReturnType<typeof run>>>();
    const worker = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) done.set(next, await run(consumer, next));
    };
    await Promise.all(Array.from({ length: availableParallelism() + 1 }, worker));
    return done;
  }

  for (const snippet of snippets) {
    const uses = ([pattern]: Requirement): boolean => pattern.test(snippet.code);
    const [, what, have] = requirements.find((one) => uses(one) && !one[2]) ?? [/^/, "", true];
    needs(what, have)(
      `${snippet.place} runs, and prints what it says`,
      async () => {
        const { status, stderr, promised, printed } = (await (results ??= runAll())).get(snippet)!;
        expect({ status, stderr, printed }).toEqual({ status: 0, stderr: "", printed: promised });
      },
      60_000 * slowness,
    );
  }

  needs("type checker", hasTypeChecker())(
    "all of them type-check",
    () => {
      using consumer = new Consumer();
      symlinkSync(
        join(project, "node_modules", "bun-types"),
        join(consumer.path, "node_modules", "bun-types"),
        "junction",
      );
      for (const snippet of snippets) consumer.write(snippet);
      const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "check", "--no-pretty", consumer.path]);
      expect({ exitCode, output: exitCode === 0 ? "" : `${stdout}${stderr}` }).toEqual({ exitCode: 0, output: "" });
    },
    60_000 * slowness,
  );
}
