/**
 * What the import of the library costs a program, beside that of `node:dgram`.
 *
 *     bun bench/import.ts [--json] [--rounds N] [--quick]
 *
 * A process tells how long it ran until its imports were there, by its own clock; the time of a program that imports nothing
 * is taken off. The package is made first, because its modules are bundled and those of the sources are not.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { main, once, type Run, type Section } from "./suite.ts";

const project = join(import.meta.dir, "..");
const packed = join(project, "dist", "lib", "index.js");

/** Milliseconds of a program; it is given as text, so that no cache holds it. */
async function milliseconds(code: string): Promise<number> {
  const [time] = await once([process.execPath, "--eval", `${code}; console.log(performance.now())`]);
  return time!;
}

function importing(names: string, from: string): Run {
  const code = `import { ${names} } from ${JSON.stringify(from)}; globalThis.used = [${names}]`;
  return async () => {
    if (from === packed && !existsSync(packed)) {
      const pack = Bun.spawnSync([process.execPath, "run", "pack"], { cwd: project, stderr: "inherit" });
      if (!pack.success) throw new Error("the package could not be made");
    }
    return [(await milliseconds(code)) - (await milliseconds(""))];
  };
}

/** The section of the report. */
export const imports: Section = {
  title: "Import",
  about: "How long a program starts later for what it imports, as a process of its own.",
  contests() {
    const dgram = importing("createSocket", "node:dgram");
    const contest = { bytes: 0, units: ["ms"], turns: 3, warm: 1, seconds: 0.1 };
    return [
      {
        ...contest,
        workload: "import of the package",
        runs: { here: importing("AF_INET, Socket", packed), "node:dgram": dgram },
      },
      {
        ...contest,
        workload: "import of the sources",
        runs: { here: importing("AF_INET, Socket", join(project, "src", "index.ts")), "node:dgram": dgram },
      },
    ];
  },
};

if (import.meta.main) await main(imports);
