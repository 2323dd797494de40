/** The item in the status bar, and the context keys that commands and key bindings depend on. */

import {
  commands,
  EventEmitter,
  MarkdownString,
  StatusBarAlignment,
  ThemeColor,
  window,
  type Disposable,
} from "vscode";

import { isEnabled } from "./settings";
import { barText, barTooltip, isRunning, statusOf, type Status } from "./status";

export class StatusBar implements Disposable {
  private readonly item = window.createStatusBarItem("midtoken.status", StatusBarAlignment.Right, 100);
  private readonly changed = new EventEmitter<Status>();
  private status: Status = statusOf("off");

  readonly onDidChange = this.changed.event;

  /** `languages` returns the languages in use now. */
  constructor(private readonly languages: () => readonly string[]) {
    this.item.name = "Midtoken";
    this.item.command = "midtoken.showMenu";
    this.show(this.status);
  }

  get current(): Status {
    return this.status;
  }

  show(status: Status): void {
    this.status = status;
    this.item.text = barText(status);
    const lines = barTooltip(status);
    this.item.tooltip = new MarkdownString().appendText(lines.join("\n"));
    this.item.accessibilityInformation = { label: lines.join(". "), role: "button" };
    this.item.backgroundColor = status.state === "error" ? new ThemeColor("statusBarItem.errorBackground") : undefined;
    this.refresh();
    this.completeWalkthroughStep();
    this.changed.fire(status);
  }

  /**
   * Marks the walkthrough's first step as done if the server runs. VS Code does so only if the context key of the step
   * becomes true after VS Code has read the walkthrough, which may be late. So the key becomes true again now and then.
   */
  completeWalkthroughStep(): void {
    if (isRunning(this.status)) {
      void commands.executeCommand("setContext", "midtoken.seenRunning", true);
      void commands.executeCommand("setContext", "midtoken.seenRunning", false);
    }
  }

  /** Another editor is active, or the settings changed. */
  refresh(): void {
    const language = window.activeTextEditor?.document.languageId;
    const inUse = language !== undefined && this.languages().includes(language);
    const enabled = inUse && isEnabled(language);
    const running = isRunning(this.status);
    void commands.executeCommand("setContext", "midtoken.running", running);
    void commands.executeCommand("setContext", "midtoken.languageEnabled", enabled);
    void commands.executeCommand("setContext", "midtoken.active", running && enabled);
    if (inUse || this.status.state === "error") {
      this.item.show();
    } else {
      this.item.hide();
    }
  }

  dispose(): void {
    this.item.dispose();
    this.changed.dispose();
  }
}
