/** Descriptors that a service manager passes: by systemd's own launcher, by Python's, by a shell. */
import { describe, expect } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { listenFds } from "../../src/bun.ts";
import { AF_UNIX, Socket } from "../../src/index.ts";
import { bounded, Folder, hasUnix, isWindows, needs, python, script, slowness, Sockets } from "../help.ts";
import { Program } from "../program.ts";

const posix = needs("POSIX environment", !isWindows);
const module = join(import.meta.dir, "..", "..", "src", "bun.ts");
const LIMIT = 30_000 * slowness;

/** The service: tells what it was passed, and greets one client on each listening socket. */
const service = script(
  async (net, path) => {
    const { listenFds } = (await import(path)) as typeof import("../../src/bun.ts");
    const passed = listenFds();
    const left = Object.keys(process.env).filter((name) => name.startsWith("LISTEN_"));
    const look = ["sh", "-c", "ls /dev/fd/3 2> /dev/null; env | grep ^LISTEN_"];
    const child = Bun.spawnSync(look, { env: process.env }).stdout.toString();
    const sockets = passed.map(({ fd }) => new net.Socket({ fileno: fd }));
    const inheritable = sockets.some((sock) => sock.getInheritable());
    console.log(JSON.stringify({ passed, again: listenFds(), left, child, inheritable }));
    for (const [i, sock] of sockets.entries()) {
      sock.setblocking(true);
      using conn = sock.accept()[0];
      conn.sendall(`hello from ${passed[i]!.name}`);
    }
  },
  [module],
);

/** What the service tells when all is well. */
const told = (...names: string[]) => ({
  passed: names.map((name, i) => ({ name, fd: 3 + i })),
  again: [],
  left: [],
  child: "",
  inheritable: false,
});

/** Has each of the service's sockets greet, in their order. */
function greetings(addresses: readonly string[]): string[] {
  return addresses.map((path) => {
    using client = bounded(new Socket(AF_UNIX));
    client.connect(path);
    return client.recv(100).toString();
  });
}

/** Starts a program with sockets as the descriptors 3, 4 …, and variables that a shell sets, which knows its number. */
function launch(variables: string, given: Socket[], code: string): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const command = ["sh", "-c", `${variables} exec "$0" -e "$1"`, process.execPath, code];
  const stdio = ["ignore", "pipe", "pipe", ...given.map((sock) => sock.fileno())] as never;
  const child = Bun.spawn(command, { stdio, env: { ...process.env, NO_COLOR: "1" } });
  for (const sock of given) sock.close();
  return child as unknown as Bun.Subprocess<"ignore", "pipe", "pipe">;
}

/** What {@link listenFds} gives or throws in a process with these variables. */
async function withVariables(variables: string, given: Socket[] = []): Promise<unknown> {
  const child = launch(
    variables,
    given,
    script(
      async (_, path) => {
        const { listenFds } = (await import(path)) as typeof import("../../src/bun.ts");
        let result: unknown;
        try {
          result = listenFds().map(({ name, fd }) => `${name} ${fd}`);
        } catch (error) {
          result = `${error}`;
        }
        const left = Object.keys(process.env).filter((name) => name.startsWith("LISTEN_"));
        console.log(JSON.stringify([result, left]));
      },
      [module],
    ),
  );
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(stderr).toBe("");
  const [result, left] = JSON.parse(stdout) as [unknown, unknown];
  expect(left).toEqual([]); // whatever happened
  return result;
}

/** Two listening Unix sockets. */
function twoServers(own: Sockets, folder: Folder): [Socket[], string[]] {
  const paths = [folder.file("first"), folder.file("second")];
  const servers = paths.map((path) => {
    const sock = own.add(new Socket(AF_UNIX));
    sock.bind(path);
    sock.listen();
    return sock;
  });
  return [servers, paths];
}

needs("systemd-socket-activate (Debian: systemd)", Bun.which("systemd-socket-activate") !== null)(
  "systemd-socket-activate starts a service, with names",
  async () => {
    using folder = new Folder();
    const paths = [folder.file("first"), folder.file("second")];
    const sockets = paths.flatMap((path) => ["-l", path]);
    const command = ["systemd-socket-activate", ...sockets, "--fdname=web:admin", process.execPath, "-e", service];
    using program = new Program(command);
    while (!existsSync(paths[1]!)) await Bun.sleep(5);
    // The first client starts the service, as soon as the socket listens.
    using client = bounded(new Socket(AF_UNIX));
    while (client.connectEx(paths[0]!) !== 0) await Bun.sleep(5);
    const [line = ""] = await program.line(/^(\{.*\})$/);
    expect(JSON.parse(line)).toEqual(told("web", "admin"));
    expect(client.recv(100).toString()).toBe("hello from web");
    expect(greetings([paths[1]!])).toEqual(["hello from admin"]);
    expect((await program.end()).status).toBe(0);
  },
  LIMIT,
);

needs("python3", python !== null && !isWindows)(
  "Python starts a service, without names",
  async () => {
    using folder = new Folder();
    const paths = [folder.file("first"), folder.file("second")];
    const launcher = `
import os, socket, sys
sockets = []
for path in sys.argv[3:]:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    sockets.append(os.dup(os.dup2(sock.fileno(), 100 + len(sockets))))
for i, fd in enumerate(sockets):
    os.dup2(100 + i, 3 + i, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)))
os.closerange(3 + len(sockets), 200)
os.execv(sys.argv[1], [sys.argv[1], "-e", sys.argv[2]])
`;
    using program = new Program([python!, "-c", launcher, process.execPath, service, ...paths]);
    const [line = ""] = await program.line(/^(\{.*\})$/);
    expect(JSON.parse(line)).toEqual(told("unknown", "unknown"));
    expect(greetings(paths)).toEqual(["hello from unknown", "hello from unknown"]);
    expect((await program.end()).status).toBe(0);
  },
  LIMIT,
);

needs("AF_UNIX and a shell", hasUnix && !isWindows)(
  "a shell starts a service, with one name that is empty",
  async () => {
    using own = new Sockets();
    using folder = new Folder();
    const [servers, paths] = twoServers(own, folder);
    const child = launch("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=:admin", servers, service);
    expect(greetings(paths)).toEqual(["hello from ", "hello from admin"]);
    expect(JSON.parse(await child.stdout.text())).toEqual(told("", "admin"));
    expect(await child.exited).toBe(0);
  },
  LIMIT,
);

describe("the variables", () => {
  const pidRange = "expected a number from 1 to 2147483647, got";
  const fdsRange = "expected a number from 1 to 2147483644, got";
  const cases: [variables: string, result: unknown][] = [
    ["", []],
    ["LISTEN_FDS=2", []],
    ["LISTEN_PID=$$", []],
    ["LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=a:b", []],
    ["LISTEN_PID=1 LISTEN_FDS=nonsense", []], // another process's affair
    ["LISTEN_PID=$$ LISTEN_PIDFDID=1 LISTEN_FDS=2", ["unknown 3", "unknown 4"]],
    ["LISTEN_PID=$$ LISTEN_FDS=1", ["unknown 3"]],
    ["LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web.socket", ["web.socket 3"]],
    ["LISTEN_PID=$$ LISTEN_FDS=02 LISTEN_FDNAMES=same:same", ["same 3", "same 4"]],
    ["LISTEN_PID=0 LISTEN_FDS=2", `RangeError: LISTEN_PID: ${pidRange} "0"`],
    ["LISTEN_PID= LISTEN_FDS=2", `RangeError: LISTEN_PID: ${pidRange} ""`],
    ["LISTEN_PID=-$$ LISTEN_FDS=2", expect.stringMatching(/^RangeError: LISTEN_PID: expected .* got "-\d+"$/)],
    ["LISTEN_PID=99999999999 LISTEN_FDS=2", `RangeError: LISTEN_PID: ${pidRange} "99999999999"`],
    ["LISTEN_PID=$$ LISTEN_FDS=0", `RangeError: LISTEN_FDS: ${fdsRange} "0"`],
    ["LISTEN_PID=$$ LISTEN_FDS=", `RangeError: LISTEN_FDS: ${fdsRange} ""`],
    ["LISTEN_PID=$$ LISTEN_FDS=-1", `RangeError: LISTEN_FDS: ${fdsRange} "-1"`],
    ["LISTEN_PID=$$ LISTEN_FDS=1e3", `RangeError: LISTEN_FDS: ${fdsRange} "1e3"`],
    ["LISTEN_PID=$$ LISTEN_FDS=2147483645", `RangeError: LISTEN_FDS: ${fdsRange} "2147483645"`],
    ["LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=one", 'RangeError: LISTEN_FDNAMES: expected 2 names, got "one"'],
    ["LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a:b", 'RangeError: LISTEN_FDNAMES: expected 1 names, got "a:b"'],
    ["LISTEN_PID=$$ LISTEN_FDS=2000000000", "OSError: fcntl EBADF: Bad file descriptor"],
  ];

  needs("POSIX environment", !isWindows).each(cases)(
    "%s",
    async (variables, result) => {
      using own = new Sockets();
      expect(await withVariables(variables, own.pair())).toEqual(result);
    },
    LIMIT,
  );
});

posix("the test's own process was passed nothing", () => expect(listenFds()).toEqual([]));

needs("Windows", isWindows)("Windows has no such thing", () => {
  expect(() => listenFds()).toThrow(
    new TypeError("listenFds: win32 has no such call; it exists on every other platform"),
  );
});
