/** Shows the progress of a command. The language client would show it in the status bar, with no way to cancel. */

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

  /** While the command runs, `show` gets its progress. */
  async during<Result>(show: ShowProgress, command: Promise<Result>): Promise<Result> {
    this.show = show;
    try {
      return await command;
    } finally {
      this.show = undefined;
    }
  }

  /** Whether a progress report of the server is about the command. If so, it is shown. */
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
