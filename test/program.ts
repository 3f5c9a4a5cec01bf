/** Programs that tests run and follow line by line. */
import { errorsOf } from "./help.ts";

/** A program under test, its output read line by line. */
export class Program implements Disposable {
  static readonly running = new Set<Program>();
  readonly #child: Bun.Subprocess<"ignore" | Buffer, "pipe", "pipe">;
  readonly #lines: AsyncIterator<string>;
  readonly output: string[] = [];
  readonly #errors: Promise<string>;

  /** @param input - What it reads from its standard input; nothing where it is left out. */
  constructor(command: string[], env: Record<string, string | undefined> = {}, input?: string) {
    this.#child = Bun.spawn(command, {
      env: { ...process.env, NO_COLOR: undefined, NOTIFY_SOCKET: undefined, ...env },
      stdin: input === undefined ? "ignore" : Buffer.from(input),
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#lines = lines(this.#child.stdout);
    this.#errors = this.#child.stderr.text().then(errorsOf);
    Program.running.add(this);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The next line that matches, and what it captured. */
  async line(pattern: RegExp): Promise<string[]> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`no ${pattern} in:\n${this.output.slice(-20).join("\n")}\n${await this.#errors}`);
      this.output.push(value);
      const match = pattern.exec(value);
      if (match) return match.slice(1);
    }
  }

  /** What it wrote, once it has ended. */
  async end(): Promise<{ status: number; stdout: string; stderr: string }> {
    for (let next = await this.#lines.next(); !next.done; next = await this.#lines.next()) this.output.push(next.value);
    const status = await this.#child.exited;
    Program.running.delete(this);
    return { status, stdout: this.output.join("\n"), stderr: await this.#errors };
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
    Program.running.delete(this);
  }

  async kill(): Promise<void> {
    this.#child.kill();
    await this.#child.exited;
    Program.running.delete(this);
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}
