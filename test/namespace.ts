/**
 * A machine of its own for tests of names: namespaces of Linux with a name server, a hosts file and a host's name that the
 * tests know. Run as `bun test/namespace.ts module`, inside `unshare`, it prepares all that and prints what the module's
 * default export returns, as JSON.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { slowness } from "./help.ts";
import { AF_INET, SIOCGIFFLAGS, SIOCSIFFLAGS, sethostname, SOCK_DGRAM, Socket } from "../src/index.ts";

const wrapper = ["unshare", "--mount", "--net", "--uts"];

/** What is missing for {@link inNamespace}; empty where nothing is. */
export const missing: string =
  process.platform !== "linux"
    ? "Linux"
    : process.getuid?.() !== 0
      ? "root"
      : Bun.which("unshare") === null || Bun.which("mount") === null
        ? "unshare and mount"
        : Bun.spawnSync([...wrapper, "true"], { timeout: 5000 }).exitCode !== 0
          ? "the right to make namespaces"
          : "";

/** What a module's default export returns there. */
export function inNamespace<T>(module: string): T {
  const command = [...wrapper, process.execPath, import.meta.path, module];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { timeout: 25_000 * slowness });
  if (exitCode !== 0) throw new Error(`the namespace ended with ${exitCode}: ${stderr.toString()}`);
  return JSON.parse(stdout.toString());
}

const files: Record<string, string> = {
  "/etc/hosts": [
    "127.0.0.1 localhost",
    "::1 localhost",
    "10.1.1.1 hosted.test hosted other",
    "10.1.1.2 hosted.test",
    "fd00::5 six-hosted.test six-hosted",
    "10.1.1.3 nodots",
    "10.1.1.4 plain nick.test",
    "",
  ].join("\n"),
  "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
  "/etc/nsswitch.conf": "hosts: files dns\nservices: files\nprotocols: files\n",
};

if (import.meta.main) {
  const directory = mkdtempSync(join(tmpdir(), "bs-etc-"));
  for (const [path, content] of Object.entries(files)) {
    const own = join(directory, path.replaceAll("/", "-"));
    writeFileSync(own, content);
    if (Bun.spawnSync(["mount", "--bind", own, path]).exitCode !== 0) throw new Error(`cannot mount over ${path}`);
  }
  Bun.spawnSync(["rm", "-r", directory]); // what is mounted stays
  sethostname("hosted");

  // struct ifreq: the name in 16 bytes, then the flags.
  const request = Buffer.alloc(40);
  request.write("lo");
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.ioctl(SIOCGIFFLAGS, request);
  request.writeUInt16LE(request.readUInt16LE(16) | 1, 16); // IFF_UP
  sock.ioctl(SIOCSIFFLAGS, request);

  const server = new Worker(new URL("name-server.ts", import.meta.url));
  await new Promise((resolve, reject) => {
    server.onmessage = resolve;
    server.onerror = reject;
  });
  const module = (await import(process.argv[2] ?? "")) as { default: () => unknown };
  await Bun.write(Bun.stdout, JSON.stringify(await module.default()));
  process.exit(0);
}
