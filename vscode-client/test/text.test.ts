import assert from "node:assert/strict";
import { test } from "node:test";

import { factLines } from "../src/facts";
import { readMoreText } from "../src/moreText";
import { knownLanguages, languagesInUse, languagesToOpen, selectorOf } from "../src/languages";
import { lastLine } from "../src/run";
import { barText, barTooltip, readStatus, statusOf } from "../src/status";

test("the status bar has the state and the time", () => {
  assert.equal(barText({ ...statusOf("ready"), latencyMs: 37.6 }), "$(check) Midtoken 38 ms");
  assert.equal(barText({ ...statusOf("loading"), latencyMs: 37.6 }), "$(loading~spin) Midtoken");
  assert.equal(barText(statusOf("error", "no")), "$(error) Midtoken");
  const other = { ...statusOf("ready"), model: "Qwen2.5 Coder 0.5B Instruct", latencyMs: 80 };
  assert.equal(barText(other), "$(check) Midtoken: Qwen2.5 Coder 0.5B Inst… 80 ms");
  assert.equal(barText({ ...other, model: "$(flame) mine" }), "$(check) Midtoken: flame mine 80 ms");
  assert.equal(barText({ ...other, model: "bundled" }), "$(check) Midtoken: bundled 80 ms");
});

test("the hover says all that is known", () => {
  const status = { state: "ready", message: null, model: "bundled", device: "cpu", latencyMs: 12 } as const;
  assert.deepEqual(barTooltip(status), [
    "Midtoken: ready",
    "Model: bundled on cpu",
    "Median time of recent answers: 12 ms",
  ]);
  assert.deepEqual(barTooltip(statusOf("off", "Turned off")), ["Midtoken: off", "Turned off"]);
});

test("a status of the server is read; what is none is not", () => {
  const raw = { state: "busy", message: null, model: "m", device: "cuda", latencyMs: 4 };
  assert.deepEqual(readStatus(raw), raw);
  assert.deepEqual(readStatus({ state: "ready", message: 3, device: "tpu", latencyMs: Number.NaN }), statusOf("ready"));
  for (const bad of [null, undefined, "ready", {}, { state: "asleep" }, { state: "toString" }]) {
    assert.equal(readStatus(bad), undefined);
  }
});

test("that there is more text is read; what is none is not", () => {
  const more = { textDocument: { uri: "file:///a.py", version: 3 }, position: { line: 1, character: 2 } };
  assert.deepEqual(readMoreText(more), { uri: "file:///a.py", version: 3, line: 1, character: 2 });
  for (const bad of [null, 1, {}, { ...more, position: null }, { ...more, textDocument: { uri: "file:///a.py" } }]) {
    assert.equal(readMoreText(bad), undefined);
  }
});

test("languages: the settings' own, else all that are known", () => {
  const known = knownLanguages(["onLanguage:python", "onLanguage:rust", "onCommand:x"]);
  assert.deepEqual(known, ["python", "rust"]);
  assert.deepEqual(languagesInUse([], known), known);
  assert.deepEqual(languagesInUse(["go", "go"], known), ["go"]);
});

test("documents are told of whichever languages are chosen, so that another choice needs no new connection", () => {
  const known = ["python", "rust"];
  assert.deepEqual(languagesToOpen([], known), known);
  assert.deepEqual(languagesToOpen(["python"], known), known);
  assert.deepEqual(languagesToOpen(["rust", "cobol"], known), ["python", "rust", "cobol"]);
});

test("documents: files, new ones, cells of notebooks, virtual workspaces", () => {
  assert.deepEqual(selectorOf(["python"], ["file", "vscode-vfs"]), [
    { scheme: "file", language: "python" },
    { scheme: "untitled", language: "python" },
    { scheme: "vscode-notebook-cell", language: "python" },
    { scheme: "vscode-vfs", language: "python" },
  ]);
});

test("facts of the server as lines", () => {
  const facts = {
    name: "small",
    path: null,
    notices: [],
    size: { ofFile: 8.123456, bytes: 137220096 },
    list: [1, 2],
    all: [{ a: true }],
  };
  assert.deepEqual(factLines(facts), [
    "name: small",
    "size of file: 8.123",
    "size bytes: 137,220,096",
    "list: 1, 2",
    "all 0 a: true",
  ]);
  assert.deepEqual(factLines(null), []);
  assert.deepEqual(factLines("text"), ["text"]);
});

test("the last line is where programs say what went wrong", () => {
  assert.equal(lastLine("a\n b \n\n"), "b");
  assert.equal(lastLine(""), "");
});
