/** Programs that do not exist, and what `Run` returns for them. */

import type { Outcome, Run } from "../src/run";

export const ABSENT: Outcome = { kind: "failed", reason: "absent", detail: "spawn ENOENT" };

export function ended(output: string, status = 0, errors = ""): Outcome {
  return { kind: "ended", status, output, errors };
}

/** A Python that answers the probe. */
export function python(version: string, server: string | null = null): Outcome {
  return ended(`${JSON.stringify({ python: version, server })}\n`);
}

/** Answers by the program's name; other programs are absent. Records what was run. */
export function programs(answers: Readonly<Record<string, Outcome>>): { run: Run; started: string[] } {
  const started: string[] = [];
  return {
    started,
    run: (command) => {
      started.push(command);
      return Promise.resolve(answers[command] ?? ABSENT);
    },
  };
}
