/** Runs programs, to examine them and to install. No shell, no window, and never in the workspace's folder. */

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** How a program ended: with an exit status, or with a failure. `output` is standard output. */
export type Outcome =
  | { readonly kind: "ended"; readonly status: number; readonly output: string; readonly errors: string }
  | { readonly kind: "failed"; readonly reason: "absent" | "timeout" | "cancelled" | "error"; readonly detail: string };

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called with each line of standard output and standard error. */
  readonly onLine?: (line: string) => void;
}

export type Run = (command: string, args: readonly string[], options?: RunOptions) => Promise<Outcome>;

const MOST_KEPT_CHARACTERS = 200_000;

/**
 * A function that runs programs in `folder`, which must exist and hold no files of the user: Python imports from the
 * folder in which it is started.
 */
export function runnerIn(folder: string): Run {
  return (command, args, options = {}) =>
    new Promise((resolve) => {
      const child = spawn(command, [...args], {
        cwd: folder,
        env: safeEnvironment(),
        stdio: ["ignore", "pipe", "pipe"],
        windowsHide: true,
        detached: process.platform !== "win32", // a group of its own, so that its children end with it
      });
      const kept = { output: "", errors: "" };
      let failure: { reason: "timeout" | "cancelled"; detail: string } | undefined;
      const abort = (reason: "timeout" | "cancelled", detail: string) => {
        failure ??= { reason, detail };
        killTree(child);
      };
      const timer = options.timeoutMs
        ? setTimeout(abort, options.timeoutMs, "timeout", `it did not end within ${options.timeoutMs / 1000} s`)
        : undefined;
      const onAbort = () => {
        abort("cancelled", "it was cancelled");
      };
      options.signal?.addEventListener("abort", onAbort);
      const settle = (outcome: Outcome) => {
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", onAbort);
        resolve(outcome);
      };
      for (const [stream, name] of [
        [child.stdout, "output"],
        [child.stderr, "errors"],
      ] as const) {
        createInterface({ input: stream }).on("line", (line) => {
          kept[name] = (kept[name] + line + "\n").slice(-MOST_KEPT_CHARACTERS);
          options.onLine?.(line);
        });
      }
      child.on("error", (error: NodeJS.ErrnoException) => {
        settle({ kind: "failed", reason: error.code === "ENOENT" ? "absent" : "error", detail: error.message });
      });
      child.on("close", (status, signal) => {
        settle(
          failure
            ? { kind: "failed", ...failure }
            : status === null
              ? { kind: "failed", reason: "error", detail: `it was ended by ${signal ?? "a signal"}` }
              : { kind: "ended", status, ...kept },
        );
      });
      if (options.signal?.aborted) {
        onAbort();
      }
    });
}

/**
 * The environment of programs that we start: Python must not import from the current folder or from a project's
 * PYTHONPATH, and onnxruntime must send nothing.
 */
export function safeEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PYTHONPATH: undefined, PYTHONSAFEPATH: "1", ORT_DISABLE_TELEMETRY: "1" };
}

/** Ends a program and its children. */
export function killTree(child: ChildProcess): void {
  if (child.pid === undefined) {
    return;
  }
  if (process.platform === "win32") {
    spawn("taskkill", ["/pid", `${child.pid}`, "/t", "/f"], { stdio: "ignore", windowsHide: true });
    return;
  }
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // it has no process group, or has ended
  }
}

/** The last line that is not empty. Most programs report an error there. */
export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
