/** Installing the server, as the user sees it: a notification with progress that can be cancelled, and the log. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ProgressLocation, window, type LogOutputChannel } from "vscode";

import { findBase, isBase, type Candidate } from "./discovery";
import { install, InstallCancelled, InstallError } from "./install";
import { reportFailedInstallation, reportProblem } from "./messages";
import { explainPythons } from "./problems";
import type { Run } from "./run";

export interface InstallationOptions {
  /** Interpreters that could create the environment. */
  readonly bases: readonly Candidate[];
  readonly version: string;
  /** The folder of the environment. */
  readonly folder: string;
  /** The setting; empty for the wheel in `bundle`. */
  readonly package: string;
  readonly bundle: string;
  readonly run: Run;
  readonly log: LogOutputChannel;
}

/** Whether there is a server in its own environment now. */
export async function installServer(options: InstallationOptions): Promise<boolean> {
  const attempts = await findBase(options.bases, options.run, options.version);
  const base = attempts.find(isBase);
  if (base === undefined) {
    reportProblem(explainPythons(attempts));
    return false;
  }
  try {
    await window.withProgress(
      { location: ProgressLocation.Notification, title: "Midtoken: installing the server", cancellable: true },
      async (progress, token) => {
        const abort = new AbortController();
        token.onCancellationRequested(() => {
          abort.abort();
        });
        const plan = {
          python: base.candidate.command,
          folder: options.folder,
          package: options.package === "" ? await bundledWheel(options.bundle) : options.package,
        };
        await install(plan, options.run, {
          signal: abort.signal,
          report: (message) => {
            progress.report({ message });
          },
          log: (line) => {
            options.log.info(line);
          },
        });
      },
    );
    return true;
  } catch (error) {
    if (!(error instanceof InstallCancelled)) {
      const message = error instanceof InstallError ? error.message : `The installation failed: ${String(error)}`;
      options.log.error(message);
      reportFailedInstallation(message);
    }
    return false;
  }
}

async function bundledWheel(folder: string): Promise<string> {
  const names = await readdir(folder).catch((): string[] => []);
  const wheel = names.find((name) => name.endsWith(".whl"));
  if (wheel === undefined) {
    throw new InstallError(
      "This build of the extension has no server; name one in the setting 'midtoken.server.package'.",
    );
  }
  return join(folder, wheel);
}
