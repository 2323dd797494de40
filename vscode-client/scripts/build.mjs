// Bundles the extension into dist/extension.js, with the licences of what is bundled beside it.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { context } from "esbuild";

const build = await context({
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  bundle: true,
  minify: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  external: ["vscode"],
  metafile: true,
  logLevel: "warning",
});
if (process.argv.includes("--watch")) {
  await build.watch();
} else {
  const { metafile } = await build.rebuild();
  writeFileSync("dist/THIRD_PARTY_NOTICES.txt", notices(Object.keys(metafile.inputs)));
  await build.dispose();
}

function notices(inputs) {
  const folders = new Set(inputs.map(packageFolder).filter(Boolean));
  return [...folders].sort().map(notice).join("\n");
}

function packageFolder(input) {
  const end = input.lastIndexOf("node_modules/");
  if (end < 0) {
    return undefined;
  }
  const parts = input.slice(end + "node_modules/".length).split("/");
  const name = parts[0].startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
  return join(input.slice(0, end), "node_modules", name);
}

function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file || !existsSync(join(folder, file))) {
    throw new Error(`${name} has no licence file in ${dirname(folder)}`);
  }
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n\n${"-".repeat(78)}\n`;
}
