// Formats Lua with StyLua's WebAssembly build, for machines that have node and no stylua.
//
//   npm install --no-save --prefix build/stylua @johnnymorganz/stylua@2.5.2
//   node scripts/stylua.mjs [--check] lua plugin
//
// Reads stylua.toml as the stylua program does; with --check it changes nothing and fails where a
// file is not in the format.
import { createRequire } from "node:module";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const stylua = createRequire(join(root, "build/stylua/"))("@johnnymorganz/stylua");

function configuration() {
  const config = stylua.Config.new();
  config.syntax = stylua.LuaVersion.LuaJIT;
  for (const [, name, value] of readFileSync(join(root, "stylua.toml"), "utf8").matchAll(
    /^(\w+) = "?(\w+)"?$/gm,
  )) {
    if (name === "column_width" || name === "indent_width") config[name] = Number(value);
    else if (name === "indent_type") config.indent_type = stylua.IndentType[value];
    else if (name === "quote_style") config.quote_style = stylua.QuoteStyle[value];
    else if (name === "call_parentheses") config.call_parentheses = stylua.CallParenType[value];
    else throw new Error(`stylua.toml: ${name} is not known to this script`);
  }
  return config;
}

function* luaFiles(path) {
  if (statSync(path).isFile()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path, { recursive: true }).sort()) {
    if (entry.endsWith(".lua")) yield join(path, entry);
  }
}

const check = process.argv.includes("--check");
let different = 0;
for (const path of process.argv.slice(2).filter((argument) => argument !== "--check")) {
  for (const file of luaFiles(path)) {
    const source = readFileSync(file, "utf8");
    const formatted = stylua.formatCode(
      source,
      configuration(),
      undefined,
      stylua.OutputVerification.Full,
    );
    if (formatted === source) continue;
    different += 1;
    console.log(check ? `would format ${file}` : `formatted ${file}`);
    if (!check) writeFileSync(file, formatted);
  }
}
process.exit(check && different > 0 ? 1 : 0);
