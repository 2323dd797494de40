import assert from "node:assert/strict";
import { test } from "node:test";

import { candidates, discover, type Places } from "../src/discovery";
import { explain, type Problem } from "../src/problems";
import type { Outcome } from "../src/run";
import { ended, programs, python } from "./programs";

async function problem(answers: Record<string, Outcome>, places: Partial<Places> = {}): Promise<Problem> {
  const list = candidates({
    commandSetting: [],
    pythonSetting: "",
    selectedInterpreter: undefined,
    ownEnvironment: undefined,
    platform: "linux",
    ...places,
  });
  return explain(await discover(list, programs(answers).run, "0.1.0"), "0.1.0");
}

test("no Python at all", async () => {
  const { message, remedies } = await problem({});
  assert.equal(
    message,
    "Midtoken needs Python 3.11 or later; none was found. Install one, or name it in the settings.",
  );
  assert.deepEqual(remedies, ["python.org", "settings", "retry", "log"]);
});

test("a Python that is too old: the newest one is named", async () => {
  const { message, remedies } = await problem({ python3: python("3.9.2"), python: python("2.7.18") });
  assert.equal(
    message,
    "Midtoken needs Python 3.11 or later; the newest found is 3.9.2. Install one, or name it in the settings.",
  );
  assert.ok(!remedies.includes("install"));
});

test("a Python without a server: it can be installed", async () => {
  const { message, remedies } = await problem({ python3: python("3.12.0") });
  assert.match(message, /not installed\. It can be installed now/);
  assert.equal(remedies[0], "install");
});

test("a server of another version: which one it is, and what fits", async () => {
  const { message, remedies } = await problem({ midtoken: ended("midtoken 0.3.0\n"), python3: python("3.12.0") });
  assert.equal(
    message,
    "The server has another version: midtoken has Midtoken 0.3.0, and this extension works with 0.1. " +
      "The one that fits can be installed into an environment of its own.",
  );
  assert.equal(remedies[0], "install");
  const withoutPython = await problem({ midtoken: ended("midtoken 0.3.0\n") });
  assert.match(withoutPython.message, /Update it\.$/);
  assert.ok(!withoutPython.remedies.includes("install"));
});

const settings: [string, Partial<Places>, Outcome | undefined, RegExp][] = [
  ["a missing interpreter", { pythonSetting: "/p" }, undefined, /'midtoken\.server\.python'.*\/p does not exist\.$/],
  ["an old interpreter", { pythonSetting: "/p" }, python("3.8.1"), /\/p is Python 3\.8\.1, and Midtoken needs 3\.11/],
  ["an interpreter without a server", { pythonSetting: "/p" }, python("3.12.0"), /\/p is Python 3\.12\.0 without/],
  ["a missing program", { commandSetting: ["/p"] }, undefined, /'midtoken\.server\.command'.*\/p does not exist\.$/],
  ["a program that fails", { commandSetting: ["/p"] }, ended("", 1, "boom\n"), /\/p does not work: boom\.$/],
];
for (const [what, places, outcome, expected] of settings) {
  test(`a setting that names ${what}: nothing else is tried`, async () => {
    const answers: Record<string, Outcome> = { python3: python("3.12.0", "0.1.0") };
    if (outcome !== undefined) {
      answers["/p"] = outcome;
    }
    const { message, remedies } = await problem(answers, places);
    assert.match(message, expected);
    assert.equal(remedies[0], "settings");
  });
}
