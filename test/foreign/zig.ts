// Zig's C compiler, as the tests of foreign platforms use it.

import { existsSync } from "node:fs";
import { join } from "node:path";

const packages = join(import.meta.dir, "..", "..", "node_modules", "@zigc");

/** What there has to be for it. Zig comes with the project for the machine, not for what an emulator runs. */
export const zigPackage = `@zigc/${process.platform}-${process.arch}`;
export const hasZig: boolean = existsSync(join(packages, "..", zigPackage));

/** The command that compiles C. */
export const cc: readonly string[] = [process.execPath, join(packages, "cli", "bin", "zig"), "cc"];
