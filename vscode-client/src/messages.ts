/** Messages with buttons. */

import { commands, env, Uri, window, type Memento } from "vscode";
import { MessageType } from "vscode-languageclient/node";

import type { Problem, Remedy } from "./problems";

interface Button {
  readonly label: string;
  press(): Thenable<unknown>;
}

const BUTTONS = {
  install: { label: "Install", press: () => commands.executeCommand("midtoken.installServer") },
  settings: {
    label: "Open Settings",
    press: () => commands.executeCommand("workbench.action.openSettings", "midtoken.server"),
  },
  "python.org": {
    label: "Get Python",
    press: () => env.openExternal(Uri.parse("https://www.python.org/downloads/")),
  },
  log: { label: "Show Log", press: () => commands.executeCommand("midtoken.showLog") },
  retry: { label: "Try Again", press: () => commands.executeCommand("midtoken.restart") },
} as const satisfies Record<Remedy, Button>;

const CHOOSE_MODEL: Button = {
  label: "Choose Model",
  press: () => commands.executeCommand("midtoken.chooseModel"),
};

type Show = (message: string, ...labels: string[]) => Thenable<string | undefined>;

async function ask(show: Show, message: string, buttons: readonly Button[]): Promise<void> {
  const chosen = await show(message, ...buttons.map(({ label }) => label));
  await buttons.find(({ label }) => label === chosen)?.press();
}

/** Tells the user why there is no server. A server that is not installed yet is not an error. */
export function reportProblem({ message, remedies }: Problem): void {
  const show: Show = remedies[0] === "install" ? window.showInformationMessage : window.showErrorMessage;
  const text = message.startsWith("Midtoken") ? message : `Midtoken: ${message}`;
  void ask(
    show,
    text,
    remedies.map((remedy) => BUTTONS[remedy]),
  );
}

/** Shows the server's state. Its errors are about the model that the settings name. */
export function relay(type: MessageType, message: string): void {
  if (type === MessageType.Error) {
    void ask(window.showErrorMessage, message, [CHOOSE_MODEL, BUTTONS.log]);
  } else if (type === MessageType.Warning) {
    void ask(window.showWarningMessage, message, [BUTTONS.log]);
  } else {
    void window.showInformationMessage(message);
  }
}

/** Tells the user why an installation failed. */
export function reportFailedInstallation(message: string): void {
  void ask(window.showErrorMessage, `Midtoken: ${message}`, [{ ...BUTTONS.install, label: "Try Again" }, BUTTONS.log]);
}

/** Tells the user why a model cannot be used or added. */
export function reportFailedModel(message: string): void {
  void ask(window.showErrorMessage, `Midtoken: ${message}`, [CHOOSE_MODEL, BUTTONS.log]);
}

const TOLD = "told that inline suggestions are off";

/** Tells the user, only once ever, that the editor's inline suggestions are turned off. */
export async function warnOnceOfSwitchedOffSuggestions(memory: Memento, turnOn: () => Thenable<void>): Promise<void> {
  if (memory.get<boolean>(TOLD, false)) {
    return;
  }
  await memory.update(TOLD, true);
  await ask(
    window.showWarningMessage,
    "Midtoken can show nothing: inline suggestions are turned off in the editor ('editor.inlineSuggest.enabled').",
    [{ label: "Turn On", press: turnOn }],
  );
}
