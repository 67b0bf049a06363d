// Makes a component of a JavaScript module: node componentize.mjs SOURCE WIT WORLD OUTPUT [ENGINE]
import childProcess from "node:child_process";
import { writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, worldName, output, engine] = process.argv.slice(2);

// The same project is to give the same bytes. The engine runs at build time and its memory is kept, so it sees its
// folders under names that do not depend on where they are, and what is put in place of WASI's clock stands still.
Date.now = () => 1e12;
const { spawnSync } = childProcess;
childProcess.spawnSync = (program, args, options) => {
  const valueOf = (option) => args.find((arg) => arg.startsWith(option))?.slice(option.length);
  const [generated, sources] = [valueOf("--dir="), valueOf("--mapdir=/::")];
  if (generated === undefined || sources === undefined) return spawnSync(program, args, options);
  const mapped = args.map((arg) => (arg === `--dir=${generated}` ? `--mapdir=/generated::${generated}` : arg));
  const input = options.input.replace(`${generated}/`, "/generated/").replace(`${sources}/`, "/");
  return spawnSync(program, mapped, { ...options, input });
};
syncBuiltinESMExports();

const { component } = await componentize({
  sourcePath,
  witPath,
  worldName,
  engine,
  // Without these, the engine imports no WASI at all.
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await writeFile(output, component);
