/**
 * Runs a command as root in a machine of its own whose kernel has every address family: see machine.ts.
 *
 *     bun test/vm/run.ts [--out FOLDER] [--limit SECONDS] [--memory MIB] [--verbose] -- COMMAND...
 *
 * What the command writes into $OUT is in FOLDER afterwards, and its exit status is this program's; 124 says that the time
 * was over, 125 that the machine stopped early, and shows its console, as `--verbose` does always.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Lacking, main } from "../foreign.ts";
import { type Options, runInside } from "./machine.ts";

const usage = "bun test/vm/run.ts [--out FOLDER] [--limit SECONDS] [--memory MIB] [--verbose] -- COMMAND...";

const options = {
  out: { type: "string" },
  limit: { type: "string" },
  memory: { type: "string" },
  verbose: { type: "boolean" },
} as const;

/** A whole number above 0. */
function positive(name: string, value: string | undefined): number | undefined {
  if (value === undefined || /^[1-9]\d{0,8}$/.test(value)) return value === undefined ? undefined : Number(value);
  throw new Lacking(`--${name} is ${value}, which is no whole number above 0`);
}

function parse(args: string[]): [command: string[], options: Options] {
  // Bun keeps the first `--` to itself where no option stands before it; then the command begins there.
  const isOption = args[0]?.startsWith("--") ?? false;
  const end = isOption ? args.indexOf("--") : 0;
  const command = args.slice(isOption ? end + 1 : 0);
  if (end === -1 || command.length === 0) throw new Lacking(`no command: ${usage}`);
  const { values } = parseArgs({ args: args.slice(0, end), options });
  return [
    command,
    {
      ...values,
      out: values.out === undefined ? undefined : resolve(values.out),
      limit: positive("limit", values.limit),
      memory: positive("memory", values.memory),
    },
  ];
}

await main(async () => {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(process.argv.slice(2));
  } catch (error) {
    throw error instanceof TypeError ? new Lacking(error.message) : error; // parseArgs says what is wrong
  }
  return await runInside(...parsed);
});
