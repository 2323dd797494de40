/** The progress of a command, shown by us: the language client's own stands in the status bar and cannot be cancelled. */

import type {
  ProgressToken,
  WorkDoneProgressBegin,
  WorkDoneProgressEnd,
  WorkDoneProgressReport,
} from "vscode-languageclient";

export type ShowProgress = (message: string, percentage: number) => void;

export class CommandProgress {
  private show: ShowProgress | undefined;
  private token: ProgressToken | undefined;

  /** While the command runs, `show` is told how much of it is done. */
  async during<Result>(show: ShowProgress, command: Promise<Result>): Promise<Result> {
    this.show = show;
    try {
      return await command;
    } finally {
      this.show = undefined;
    }
  }

  /** Whether a report of the server is about the command: it is shown then. */
  take(token: ProgressToken, params: WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd): boolean {
    if (params.kind === "begin" && params.cancellable === true && this.show !== undefined) {
      this.token = token;
    }
    if (token !== this.token) {
      return false;
    }
    if (params.kind === "report") {
      this.show?.(params.message ?? "", params.percentage ?? 0);
    }
    return true;
  }
}
