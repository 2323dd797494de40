import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { baseCandidates, candidates, discover, findBase, inspect, type Candidate, type Places } from "../src/discovery";
import { runnerIn } from "../src/run";
import { ended, programs, python } from "./programs";

const VERSION = "0.1.0";
const NOWHERE: Places = {
  commandSetting: [],
  pythonSetting: "",
  selectedInterpreter: undefined,
  ownEnvironment: undefined,
  platform: "linux",
};

function names(places: Partial<Places>): string[] {
  return candidates({ ...NOWHERE, ...places }).map(({ command }) => command.join(" "));
}

test("the order is interpreter, own environment, path", () => {
  assert.deepEqual(names({ selectedInterpreter: "/venv/bin/python", ownEnvironment: "/own/bin/python" }).slice(0, 4), [
    "/venv/bin/python",
    "/own/bin/python",
    "midtoken",
    "python3",
  ]);
  assert.deepEqual(names({ platform: "win32" }), ["midtoken", "py -3", "python"]);
});

test("a setting stands alone, the command before the interpreter", () => {
  const selectedInterpreter = "/venv/bin/python";
  assert.deepEqual(names({ pythonSetting: "/py", selectedInterpreter }), ["/py"]);
  assert.deepEqual(names({ commandSetting: ["/m", "-x"], pythonSetting: "/py", selectedInterpreter }), ["/m -x"]);
  assert.equal(names({ commandSetting: [""] })[0], "midtoken");
});

test("the first server that fits is taken, and nothing behind it is started", async () => {
  const { run, started } = programs({
    "/venv/bin/python": python("3.12.1"),
    midtoken: ended("midtoken 0.1.4\n"),
    python3: python("3.11.2", "0.1.0"),
  });
  const found = await discover(candidates({ ...NOWHERE, selectedInterpreter: "/venv/bin/python" }), run, VERSION);
  assert.deepEqual(found.server, { command: "midtoken", args: ["serve"], version: "0.1.4", source: "path" });
  assert.deepEqual(started, ["/venv/bin/python", "midtoken"]);
});

test("an interpreter runs the server as a module; arguments of a command stay in front", async () => {
  const { run } = programs({ py: python("3.13.0", "0.1.0"), uvx: ended("midtoken 0.1.0\n") });
  const windows = await discover(candidates({ ...NOWHERE, platform: "win32" }), run, VERSION);
  assert.deepEqual(windows.server?.args, ["-3", "-m", "lsp_server", "serve"]);
  const wrapped = await discover(candidates({ ...NOWHERE, commandSetting: ["uvx", "midtoken"] }), run, VERSION);
  assert.deepEqual(wrapped.server?.args, ["midtoken", "serve"]);
});

const findings: [string, Candidate["kind"], ReturnType<typeof ended>, object][] = [
  ["a server", "python", python("3.11.0", "0.1.0"), { kind: "server", version: "0.1.0" }],
  ["another version", "python", python("3.11.0", "0.2.0"), { kind: "other version", version: "0.2.0" }],
  ["no server", "python", python("3.11.0"), { kind: "no server" }],
  ["an old Python with a server", "python", python("3.10.9", "0.1.0"), { kind: "old python" }],
  ["Python 2", "python", python("2.7.18"), { kind: "old python" }],
  [
    "a warning before the answer",
    "python",
    ended(`hello\n${JSON.stringify({ python: "3.11.0", server: null })}\n`),
    { kind: "no server" },
  ],
  ["a shell", "python", ended("whatever\n"), { kind: "broken", detail: "it is no Python interpreter" }],
  [
    "something that prints numbers",
    "python",
    ended("[1]\n"),
    { kind: "broken", detail: "it is no Python interpreter" },
  ],
  [
    "a broken environment",
    "python",
    ended("", 1, "Traceback\nImportError: no encodings\n"),
    { kind: "broken", detail: "ImportError: no encodings" },
  ],
  ["a silent failure", "python", ended("", 3), { kind: "broken", detail: "it ended with status 3" }],
  ["a program", "program", ended("midtoken 0.1.0\n"), { kind: "server", version: "0.1.0" }],
  ["a later program", "program", ended("midtoken 1.0.0\n"), { kind: "other version", version: "1.0.0" }],
  [
    "a checkout that is not installed",
    "program",
    ended("midtoken (not installed)\n"),
    { kind: "broken", detail: "it is not the program midtoken" },
  ],
  [
    "another program",
    "program",
    ended("cat (GNU coreutils) 9.1\n"),
    { kind: "broken", detail: "it is not the program midtoken" },
  ],
];
for (const [what, kind, outcome, expected] of findings) {
  test(`what is found: ${what}`, async () => {
    const candidate: Candidate = { source: "path", kind, command: ["it"] };
    const attempt = await inspect(candidate, programs({ it: outcome }).run, VERSION);
    assert.deepEqual(attempt.finding, expected);
  });
}

test("an environment is made with a Python that is new enough, whether it has a server or not", async () => {
  const { run, started } = programs({
    "/venv/bin/python": python("3.9.2"),
    python3: ended("", 1),
    python: python("3.12.0", "0.1.0"),
    "python3.12": python("3.12.0"),
  });
  const places = {
    ...NOWHERE,
    pythonSetting: "/gone",
    selectedInterpreter: "/venv/bin/python",
    ownEnvironment: "/own",
  };
  const attempts = await findBase(baseCandidates(places), run, VERSION);
  assert.deepEqual(attempts.at(-1)?.candidate.command, ["python"]);
  assert.deepEqual(started, ["/gone", "/venv/bin/python", "python3", "python"]);
});

test("the probe runs on the Python of this machine, and not in a folder of the user's", async () => {
  const folder = await mkdtemp(join(tmpdir(), "midtoken-"));
  // A Python that imports from the current folder would use this file.
  await writeFile(join(folder, "json.py"), "raise SystemExit('imported')\n");
  const candidate: Candidate = { source: "path", kind: "python", command: [process.env["PYTHON"] ?? "python3"] };
  const attempt = await inspect(candidate, runnerIn(folder), VERSION);
  assert.match(attempt.python ?? "", /^3\.\d+/);
  assert.notEqual(attempt.finding.kind, "broken");
});
