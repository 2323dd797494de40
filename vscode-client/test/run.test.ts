import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { runnerIn, safeEnvironment, type Run, type RunOptions } from "../src/run";

async function runner(): Promise<Run> {
  return runnerIn(await mkdtemp(join(tmpdir(), "midtoken-")));
}

/** Runs a few lines of JavaScript with node. */
async function node(code: string, options?: RunOptions) {
  return (await runner())(process.execPath, ["-e", code], options);
}

test("both outputs and the status come back, each line as it comes", async () => {
  const lines: string[] = [];
  const outcome = await node("console.log('a\\nb'); console.error('c'); process.exitCode = 3", {
    onLine: (line) => lines.push(line),
  });
  assert.deepEqual(outcome, { kind: "ended", status: 3, output: "a\nb\n", errors: "c\n" });
  assert.deepEqual(lines.sort(), ["a", "b", "c"]);
});

test("a program that is not there, and one that cannot be run", async () => {
  const run = await runner();
  const absent = await run("/nowhere/midtoken", []);
  assert.ok(absent.kind === "failed" && absent.reason === "absent");
  const folder = await run(tmpdir(), []);
  assert.ok(folder.kind === "failed" && folder.reason === "error");
});

// A grandchild keeps the output open. It must end too, or the call would never return.
const HANG = `require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
  console.log("hanging"); setInterval(() => {}, 1000)`;

test("a program that never ends is given up, and what it started too", async () => {
  const outcome = await node(HANG, { timeoutMs: 500 });
  assert.deepEqual(outcome, { kind: "failed", reason: "timeout", detail: "it did not end within 0.5 s" });
});

test("a cancelled program ends, and what it started too", async () => {
  const abort = new AbortController();
  const outcome = await node(HANG, {
    signal: abort.signal,
    onLine: () => {
      abort.abort();
    },
  });
  assert.ok(outcome.kind === "failed" && outcome.reason === "cancelled");
});

test("what is cancelled before it starts ends at once", async () => {
  const outcome = await node(HANG, { signal: AbortSignal.abort() });
  assert.ok(outcome.kind === "failed" && outcome.reason === "cancelled");
});

test("Python searches neither the current folder nor the folders of a project", async () => {
  process.env["PYTHONPATH"] = "/home/me/project";
  try {
    assert.equal(safeEnvironment()["PYTHONPATH"], undefined);
    const outcome = await node("console.log('PYTHONPATH' in process.env, process.env.PYTHONSAFEPATH)");
    assert.ok(outcome.kind === "ended" && outcome.output === "false 1\n");
  } finally {
    delete process.env["PYTHONPATH"];
  }
});
