/** Servers of other people, started for a test on a port of their own. */
import { AF_INET, createConnection, OSError, Socket } from "../../src/promises.ts";
import { slowness } from "../help.ts";

/** The path of a program; Debian has servers where ordinary users do not look. */
export const program = (name: string): string | null =>
  Bun.which(name, { PATH: `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin` });

/** A port of 127.0.0.1 that nobody has. */
export function freePort(): number {
  using sock = new Socket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  return sock.getsockname()[1];
}

/** A server that runs until the end of its scope. */
export class Server implements AsyncDisposable {
  readonly address: readonly [host: string, port: number];
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">;

  private constructor(port: number, command: string[]) {
    this.address = ["127.0.0.1", port];
    this.#process = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** Starts one, and waits until it takes connections. */
  static async start(command: (port: number) => string[]): Promise<Server> {
    for (let tries = 0; ; tries++) {
      const port = freePort();
      const server = new Server(port, command(port));
      const until = performance.now() + 10_000 * slowness;
      while (server.#process.exitCode === null && performance.now() < until) {
        try {
          (await createConnection(server.address)).close();
          return server;
        } catch (error) {
          if (!(error instanceof OSError)) throw error;
          await Bun.sleep(10);
        }
      }
      await server[Symbol.asyncDispose]();
      // Somebody else may have taken the port meanwhile.
      if (tries === 3) throw new Error(`it does not start: ${await server.#process.stderr.text()}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    const late = setTimeout(() => this.#process.kill("SIGKILL"), 2000);
    await this.#process.exited;
    clearTimeout(late);
  }
}
