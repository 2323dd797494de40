import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";

import { explainPip, install, InstallCancelled, installedInterpreter, interpreterOf, stepOf } from "../src/install";
import type { Outcome, Run } from "../src/run";
import { ended } from "./programs";

interface Scene {
  readonly folder: string;
  readonly calls: string[];
  readonly steps: string[];
  readonly lines: string[];
  readonly abort: AbortController;
  install(): Promise<string>;
}

/** An installation whose programs give prepared answers. `venv` creates an interpreter, as the real one does. */
async function scene(answer: (call: string) => Outcome | undefined = () => undefined): Promise<Scene> {
  const folder = join(await mkdtemp(join(tmpdir(), "midtoken-")), "storage", "server");
  const [calls, steps, lines]: [string[], string[], string[]] = [[], [], []];
  const abort = new AbortController();
  const run: Run = async (command, args, options = {}) => {
    const call = [command, ...args].join(" ");
    calls.push(call);
    if (options.signal?.aborted) {
      return { kind: "failed", reason: "cancelled", detail: "" };
    }
    const told = answer(call);
    if (told !== undefined) {
      return told;
    }
    if (call.includes("-m venv")) {
      await mkdir(dirname(interpreterOf(folder)), { recursive: true });
      await writeFile(interpreterOf(folder), "");
      await chmod(interpreterOf(folder), 0o755);
    }
    return ended(call.includes("requires(") ? "numpy>=2.0\n\n" : "");
  };
  const watcher = {
    report: (step: string) => steps.push(step),
    log: (line: string) => lines.push(line),
    signal: abort.signal,
  };
  const plan = { python: ["py", "-3"] as const, folder, package: "/ext/midtoken.whl" };
  return {
    folder,
    calls,
    steps,
    lines,
    abort,
    install: () => install({ ...plan, python: ["py", "-3"] }, run, watcher),
  };
}

test("an environment is made, filled and tried, in this order", async () => {
  const it = await scene();
  assert.equal(await installedInterpreter(it.folder), undefined);
  const interpreter = await it.install();
  assert.equal(interpreter, interpreterOf(it.folder));
  assert.equal(await installedInterpreter(it.folder), interpreter);
  const shapes = it.calls.map((call) => call.replace(it.folder, "ENV").replace(/\n[^]*/, ""));
  assert.equal(shapes[0], "py -3 -m venv --clear ENV");
  assert.match(shapes[1] ?? "", /pip install .* --no-deps \/ext\/midtoken\.whl$/);
  assert.match(shapes[3] ?? "", /pip install .* numpy>=2\.0$/);
  assert.match(shapes[4] ?? "", /pip install .* \/ext\/midtoken\.whl\[datrie\]$/);
  assert.match(shapes[5] ?? "", /import lsp_server\.server$/);
  assert.deepEqual(it.steps, [
    "making the environment",
    "installing the server",
    "fetching what it needs",
    "building what makes it a little faster",
    "trying the server",
  ]);
});

test("what needs a compiler may fail", async () => {
  const it = await scene((call) => (call.includes("[datrie]") ? ended("", 1, "error: gcc not found") : undefined));
  await it.install();
  assert.ok(it.lines.some((line) => line.endsWith("the server does without")));
});

test("a half-built environment does not count", async () => {
  const it = await scene((call) => (call.includes("import lsp_server") ? ended("", 1, "ImportError: x") : undefined));
  await assert.rejects(it.install(), /does not start: ImportError: x/);
  assert.equal(await installedInterpreter(it.folder), undefined);
});

test("an installation that fails leaves an earlier one unusable, not half right", async () => {
  let fails = false;
  const it = await scene((call) => (fails && call.includes("--no-deps") ? ended("", 1, "ERROR: no") : undefined));
  await it.install();
  fails = true;
  await assert.rejects(it.install(), /pip failed: no/);
  assert.equal(await installedInterpreter(it.folder), undefined);
});

test("a Python without venv: what to install", async () => {
  const it = await scene((call) =>
    call.includes("-m venv")
      ? ended("The virtual environment was not created: ensurepip is not available\n", 1)
      : undefined,
  );
  await assert.rejects(it.install(), /apt install python3-venv/);
});

test("a cancelled installation says nothing and lets the next one in", async () => {
  const it = await scene();
  it.abort.abort();
  await assert.rejects(it.install(), InstallCancelled);
  await assert.rejects(it.install(), InstallCancelled); // not: another window installs
});

test("a second window waits its turn; the lock of a process that is gone does not hold", async () => {
  const it = await scene();
  await mkdir(dirname(it.folder), { recursive: true });
  await writeFile(`${it.folder}.lock`, `${process.pid}`);
  await assert.rejects(it.install(), /Another window installs the server now/);
  await writeFile(`${it.folder}.lock`, "999999999");
  await it.install();
  await assert.rejects(readFile(`${it.folder}.lock`));
});

test("a storage folder that cannot be written to", async () => {
  const it = await scene();
  await writeFile(dirname(it.folder), "a file where the folder belongs");
  await assert.rejects(it.install(), /storage folder cannot be written to/);
});

test("pip without a connection", () => {
  const said = [
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(Failed to establish)': /simple/numpy/",
    "ERROR: Could not find a version that satisfies the requirement numpy>=2.0 (from versions: none)",
    "ERROR: No matching distribution found for numpy>=2.0",
  ].join("\n");
  assert.match(explainPip(said), /^The Python package index cannot be reached\. Connect to the internet/);
});

test("other failures of pip: its own first error", () => {
  assert.equal(
    explainPip("note\nERROR: No matching distribution found for x\n"),
    "pip failed: No matching distribution found for x",
  );
  assert.match(explainPip("ERROR: Could not install: [Errno 28] No space left on device"), /no space left on the disk/);
  assert.equal(explainPip("Killed"), "pip failed: Killed");
});

test("pip's progress in a few words", () => {
  assert.equal(
    stepOf("  Downloading onnxruntime_gpu-1.24.0-cp311-cp311-manylinux_2_28_x86_64.whl (252.1 MB)"),
    "fetching onnxruntime_gpu (252.1 MB)",
  );
  assert.equal(stepOf("Downloading https://host/x/numpy-2.3.1-cp311.whl (16.6 MB)"), "fetching numpy (16.6 MB)");
  assert.equal(stepOf("Installing collected packages: a, b"), "unpacking");
  assert.equal(stepOf("Collecting numpy"), undefined);
});
