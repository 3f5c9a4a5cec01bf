/**
 * Where the shim's library for this platform lies: beside the package, in a bundle, or where the user says.
 */

/** Names another library than the package's own, for those who build theirs. */
const VARIABLE = "BERKELEY_SOCKETS_LIBRARY";

const suffixes: Partial<Record<string, string>> = { darwin: "dylib", freebsd: "so", linux: "so", win32: "dll" };

/** What is wrong with a library and what to do. */
export function noLibrary(problem: string): Error {
  return new Error(
    `berkeley-sockets: ${problem}. Install the package again, in a checkout \`bun run build\`, ` +
      `or set ${VARIABLE} to the path of a library that you built`,
  );
}

/**
 * The library in a bundle. `bun build` takes a `require` of a file that is no program for a file to copy or to embed, and
 * gives its new path. The conditions are written out, so that `--compile` embeds its target's library alone.
 *
 * For bundles only: elsewhere the library would be read as a program.
 */
function bundledLibrary(): string | undefined {
  if (process.platform === "linux") {
    return process.arch === "arm64" ? require("../shim/lib/linux-arm64.so") : require("../shim/lib/linux-x64.so");
  }
  if (process.platform === "darwin") {
    return process.arch === "arm64"
      ? require("../shim/lib/darwin-arm64.dylib")
      : require("../shim/lib/darwin-x64.dylib");
  }
  if (process.platform === "win32") {
    return process.arch === "arm64" ? require("../shim/lib/win32-arm64.dll") : require("../shim/lib/win32-x64.dll");
  }
  if (process.platform === "freebsd") {
    return process.arch === "arm64" ? require("../shim/lib/freebsd-arm64.so") : require("../shim/lib/freebsd-x64.so");
  }
  return undefined;
}

/**
 * The library's path.
 *
 * @throws Error where there is none for this platform.
 */
export function libraryPath(): string {
  const named = process.env[VARIABLE];
  if (named) return named;
  const platform = `${process.platform}-${process.arch}`;
  const beside = `${import.meta.dir}/../shim/lib/${platform}.${suffixes[process.platform]}`;
  if (Bun.file(beside).size > 0) return beside;
  let bundled: string | undefined;
  try {
    bundled = bundledLibrary();
  } catch {
    // Not in a bundle, and the file is not there.
  }
  if (bundled === undefined) throw noLibrary(`there is no library for ${platform} at ${beside}`);
  return bundled.startsWith("./") ? import.meta.dir + bundled.slice(1) : bundled;
}
