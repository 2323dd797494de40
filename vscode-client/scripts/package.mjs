// Makes midtoken-VERSION.vsix: the bundle, and the server's wheel, which PYTHON's pip builds from this checkout.
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync } from "node:fs";

const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
const python = process.env.PYTHON ?? (process.platform === "win32" ? "python" : "python3");

run(process.execPath, "scripts/build.mjs");
copyFileSync("../LICENSE", "LICENSE");
copyFileSync("../NOTICE", "NOTICE");
// Otherwise files of an earlier build, such as deleted modules, would get into the wheel.
for (const folder of ["server", "../build"]) {
  rmSync(folder, { recursive: true, force: true });
}
run(python, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", "server", "..");
run(
  process.execPath,
  "node_modules/@vscode/vsce/vsce",
  "package",
  "--no-dependencies",
  "--allow-missing-repository",
  "--no-rewrite-relative-links",
  "--out",
  `${name}-${version}.vsix`,
);

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error || status !== 0) {
    console.error(`package: '${[command, ...args].join(" ")}' failed${error ? `: ${error.message}` : ""}`);
    process.exit(1);
  }
}
