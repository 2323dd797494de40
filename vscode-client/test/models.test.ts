import assert from "node:assert/strict";
import { test } from "node:test";

import { modelGroups, readAdded, readModels } from "../src/models";

const BUNDLED = {
  name: "bundled",
  path: "/somewhere",
  source: "bundled",
  architecture: "LlamaForCausalLM",
  parameters: null,
  quantization: "int8",
  context: 1024,
  fim: true,
  licence: "Apache-2.0",
  bytes: 11_503_025,
  state: "ready",
  reason: null,
};
const QWEN = {
  ...BUNDLED,
  name: "qwen2.5-coder:0.5b",
  source: "ollama",
  parameters: 494_032_768,
  quantization: "Q5_0",
  licence: null,
  bytes: 491_400_064,
  state: "convertible",
};
const SMOL = {
  ...QWEN,
  name: "smol",
  source: "lm-studio",
  parameters: 1_540_000_000,
  fim: false,
  licence: "mit",
  reason: "no tokens to fill in the middle",
};
const BROKEN = { ...QWEN, name: "broken", bytes: 0, parameters: null, state: "unusable", reason: "it is no GGUF file" };

test("models are grouped by what can be done with them, and the one in use is marked", () => {
  const found = readModels({ models: [BUNDLED, SMOL, QWEN, BROKEN], setting: null, problem: null });
  assert.ok(found);
  const groups = modelGroups(found);
  assert.deepEqual(
    groups.map(({ heading, items }) => [heading, items.map(({ label }) => label)]),
    [
      ["Ready", ["$(check) bundled"]],
      ["On this machine, to be added", ["smol", "qwen2.5-coder:0.5b"]],
      ["Cannot be used", ["broken"]],
    ],
  );
  assert.deepEqual(groups[0]?.items[0]?.description, "bundled · int8 · 12 MB · Apache-2.0");
  assert.deepEqual(
    groups[1]?.items.map(({ description }) => description),
    [
      "LM Studio · 1.5 B parameters · Q5_0 · 492 MB · prefix only · mit",
      "Ollama · 494 M parameters · Q5_0 · 492 MB · licence not stated",
    ],
  );
  assert.equal(groups[1].items[0]?.detail, "no tokens to fill in the middle");
  assert.equal(groups[2]?.items[0]?.detail, "it is no GGUF file");
});

test("groups that are empty are left out", () => {
  const found = readModels({ models: [{ ...QWEN, state: "ready" }], setting: "qwen2.5-coder:0.5b" });
  assert.ok(found);
  const [group, ...others] = modelGroups(found);
  assert.ok(group);
  assert.deepEqual(others, []);
  assert.equal(group.items[0]?.label, "$(check) qwen2.5-coder:0.5b");
});

test("answers of the server are read; what is none is not", () => {
  assert.deepEqual(readModels({ models: [null, {}, { name: 3 }, { name: "x", state: "odd" }], setting: "" }), {
    models: [],
    setting: null,
    problem: null,
  });
  for (const bad of [null, undefined, "x", {}, { models: "x" }]) {
    assert.equal(readModels(bad), undefined);
    assert.equal(readAdded(bad), undefined);
  }
  assert.deepEqual(readAdded({ state: "failed", name: "x", path: null, problem: "no room" }), {
    state: "failed",
    name: "x",
    problem: "no room",
  });
  assert.equal(readAdded({ state: "odd" }), undefined);
});
