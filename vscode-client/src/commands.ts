/** The commands of the palette and of key bindings. */

import { commands, ConfigurationTarget, env, window, workspace, type Disposable, type QuickPickItem } from "vscode";

import { chooseModel, chooseModelFolder } from "./chooseModel";
import type { Connection } from "./client";
import { factLines } from "./facts";
import { SECTION, updateWhereSet } from "./settings";

export interface CommandTargets {
  connection(): Connection | undefined;
  languages(): readonly string[];
  restart(): Promise<void>;
  install(): Promise<void>;
  showLog(): void;
}

/** The editor's own commands under our names, so that keys can be bound to them. */
const EDITOR_COMMANDS = {
  trigger: "editor.action.inlineSuggest.trigger",
  accept: "editor.action.inlineSuggest.commit",
  acceptNextWord: "editor.action.inlineSuggest.acceptNextWord",
  acceptNextLine: "editor.action.inlineSuggest.acceptNextLine",
  showNext: "editor.action.inlineSuggest.showNext",
  showPrevious: "editor.action.inlineSuggest.showPrevious",
  dismiss: "editor.action.inlineSuggest.hide",
} as const;

export function registerCommands(targets: CommandTargets): Disposable[] {
  const register = (name: string, run: () => unknown) => commands.registerCommand(`${SECTION}.${name}`, run);
  return [
    ...Object.entries(EDITOR_COMMANDS).map(([name, command]) => register(name, () => commands.executeCommand(command))),
    register("enable", () => setEnabled(true)),
    register("disable", () => setEnabled(false)),
    register("enableLanguage", () => enableLanguage(targets.languages())),
    register("disableLanguage", () => setEnabled(false, window.activeTextEditor?.document.languageId)),
    register("restart", () => targets.restart()),
    register("installServer", () => targets.install()),
    register("showLog", () => {
      targets.showLog();
    }),
    register("modelInfo", () => showFacts(targets, "midtoken.server.modelInfo", "Model")),
    register("statistics", () => showFacts(targets, "midtoken.server.statistics", "Statistics")),
    register("chooseModel", () => chooseModel(targets.connection())),
    register("chooseModelFolder", chooseModelFolder),
    register("showMenu", showMenu),
  ];
}

async function setEnabled(value: boolean, languageId?: string): Promise<void> {
  const configuration = workspace.getConfiguration(SECTION, languageId === undefined ? undefined : { languageId });
  const found = configuration.inspect("enabled");
  const inWorkspace = languageId === undefined ? found?.workspaceValue : found?.workspaceLanguageValue;
  const target = inWorkspace === undefined ? ConfigurationTarget.Global : ConfigurationTarget.Workspace;
  await configuration.update("enabled", value, target, languageId !== undefined);
}

/** Enables the language of the active editor, and removes the settings that disable it. */
async function enableLanguage(inUse: readonly string[]): Promise<void> {
  const languageId = window.activeTextEditor?.document.languageId;
  if (languageId === undefined) {
    return;
  }
  if (!inUse.includes(languageId)) {
    await updateWhereSet("languages", [...inUse, languageId]);
  }
  if (!workspace.getConfiguration(SECTION, { languageId }).get<boolean>("enabled", true)) {
    await setEnabled(true, languageId);
  }
}

async function showFacts(targets: CommandTargets, command: string, title: string): Promise<void> {
  const connection = targets.connection();
  if (connection === undefined) {
    void window.showWarningMessage("Midtoken: the server does not run; see 'Midtoken: Restart Server'.");
    return;
  }
  let lines: string[];
  try {
    lines = factLines(await connection.execute(command));
  } catch (error) {
    void window.showErrorMessage(`Midtoken: the server does not tell: ${error instanceof Error ? error.message : ""}`);
    return;
  }
  const detail = lines.length > 0 ? lines.join("\n") : "There is nothing to tell yet.";
  const chosen = await window.showInformationMessage(`Midtoken: ${title}`, { modal: true, detail }, "Copy");
  if (chosen === "Copy") {
    await env.clipboard.writeText(detail);
  }
}

interface MenuItem extends QuickPickItem {
  readonly command: string;
  readonly args?: readonly unknown[];
}

async function showMenu(): Promise<void> {
  const languageId = window.activeTextEditor?.document.languageId;
  const enabled = workspace.getConfiguration(SECTION).get<boolean>("enabled", true);
  const items: MenuItem[] = [
    { label: "$(sparkle) Show suggestions here", command: "midtoken.trigger" },
    enabled
      ? { label: "$(circle-slash) Disable", command: "midtoken.disable" }
      : { label: "$(check) Enable", command: "midtoken.enable" },
    ...(languageId === undefined ? [] : [languageItem(languageId)]),
    { label: "$(debug-restart) Restart server", command: "midtoken.restart" },
    { label: "$(info) Model information", command: "midtoken.modelInfo" },
    { label: "$(graph) Statistics", command: "midtoken.statistics" },
    { label: "$(library) Choose model…", command: "midtoken.chooseModel" },
    { label: "$(output) Show log", command: "midtoken.showLog" },
    { label: "$(gear) Settings", command: "workbench.action.openSettings", args: [SECTION] },
  ];
  const chosen = await window.showQuickPick(items, { title: "Midtoken" });
  if (chosen !== undefined) {
    await commands.executeCommand(chosen.command, ...(chosen.args ?? []));
  }
}

function languageItem(languageId: string): MenuItem {
  return workspace.getConfiguration(SECTION, { languageId }).get<boolean>("enabled", true)
    ? { label: `$(circle-slash) Disable for '${languageId}'`, command: "midtoken.disableLanguage" }
    : { label: `$(check) Enable for '${languageId}'`, command: "midtoken.enableLanguage" };
}
