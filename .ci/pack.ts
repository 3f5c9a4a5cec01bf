/**
 * Makes the package: `bun run pack` prints the path of its tarball on the last line.
 *
 * What is published is not what lies here: the modules are bundled to JavaScript and the types are compiled to declarations
 * (a program that uses them is not checked by its own compiler options against our sources), beside the sources and the
 * libraries of all platforms.
 */
import { cpSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";

const project = join(import.meta.dir, "..");
const stage = join(project, "dist");
const at = (...path: string[]): string => join(stage, ...path);

/** The package's entries: the path a user imports, and the module. */
const entries: Record<string, string> = {
  ".": "index",
  "./bun": "bun",
  "./constants": "all-constants",
  "./messages": "messages",
  "./packets": "packets",
  "./promises": "promises",
};

/** The tarball's largest size, in bytes. */
const SIZE_MAX = 1_000_000;

$.cwd(project);
rmSync(stage, { recursive: true, force: true });
mkdirSync(stage);

await $`${process.execPath} shim/build.ts --all`;
for (const path of ["README.md", "CHANGELOG.md", "LICENSE", "src", "shim"]) {
  cpSync(join(project, path), at(path), { recursive: true });
}

// Many small files are slow to import: the modules are bundled. Not those of the constants, whose names would stand in the
// bundle three times, nor the one whose calls of `require` are for the user's bundler to see.
const apart = ["constants", "more-constants", "library"];
const apartFiles = new RegExp(`/(${apart.join("|")})\\.ts$`);
await Bun.build({
  entrypoints: Object.values(entries).map((name) => join(project, "src", `${name}.ts`)),
  outdir: at("lib"),
  target: "bun",
  splitting: true,
  plugins: [
    {
      name: "apart",
      setup(build) {
        build.onResolve({ filter: apartFiles }, ({ path }) => ({
          path: `./${apartFiles.exec(path)?.[1]}.js`,
          external: true,
        }));
      },
    },
  ],
});
const transpiler = new Bun.Transpiler({ loader: "ts" });
for (const name of apart) {
  const source = await Bun.file(join(project, "src", `${name}.ts`)).text();
  // The first line tells Bun that there is nothing left to transpile.
  await Bun.write(at("lib", `${name}.js`), `// @bun\n${transpiler.transformSync(source)}`);
}

await $`${process.execPath} x tsc -p ${join(import.meta.dir, "declarations.json")} --outDir ${at("lib")}`;
for (const path of new Bun.Glob("lib/**/*.d.ts").scanSync({ cwd: stage, absolute: true })) {
  const declarations = await Bun.file(path).text();
  await Bun.write(path, declarations.replace(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"'));
}

const { version, ...manifest } = await Bun.file(join(project, "package.json")).json();
await Bun.write(
  at("package.json"),
  `${JSON.stringify(
    {
      ...manifest,
      version,
      scripts: undefined,
      devDependencies: undefined,
      sideEffects: false,
      exports: {
        ...Object.fromEntries(
          Object.entries(entries).map(([path, name]) => [
            path,
            { types: `./lib/${name}.d.ts`, default: `./lib/${name}.js` },
          ]),
        ),
        "./package.json": "./package.json",
      },
    },
    null,
    2,
  )}\n`,
);

const name = `${manifest.name}-${version}.tgz`;
await $`${process.execPath} pm pack --filename ${join(project, name)}`.cwd(stage).quiet();
const { size } = statSync(join(project, name));
console.log(`${size} bytes`);
if (size > SIZE_MAX) throw new Error(`${name} is larger than ${SIZE_MAX} bytes`);
console.log(join(project, name));
