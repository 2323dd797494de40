import assert from "node:assert/strict";
import { test } from "node:test";

import { CommandProgress } from "../src/commandProgress";

test("the progress of a command is shown by us, and any other is not ours", async () => {
  const progress = new CommandProgress();
  const begin = { kind: "begin", title: "adding", cancellable: true } as const;
  assert.equal(progress.take("early", begin), false);
  const shown: [string, number][] = [];
  const show = (message: string, percentage: number): void => {
    shown.push([message, percentage]);
  };
  let finish: (result: string) => void = () => undefined;
  const command = new Promise<string>((resolve) => {
    finish = resolve;
  });
  const during = progress.during(show, command);
  assert.equal(progress.take("load", { kind: "begin", title: "loading" }), false);
  assert.equal(progress.take("add", begin), true);
  assert.equal(progress.take("load", { kind: "report", message: "x" }), false);
  assert.equal(progress.take("add", { kind: "report", message: "weights", percentage: 40 }), true);
  finish("done");
  assert.equal(await during, "done");
  assert.equal(progress.take("add", { kind: "report", message: "late" }), true);
  assert.equal(progress.take("add", { kind: "end" }), true);
  assert.deepEqual(shown, [["weights", 40]]);
  await assert.rejects(progress.during(show, Promise.reject(new Error("cancelled"))), /cancelled/);
  assert.equal(progress.take("next", begin), false);
});
