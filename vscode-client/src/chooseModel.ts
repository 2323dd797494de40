/** "Choose Model": a list of models. A model that is not ready is added first; then the setting names it. */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ProgressLocation, QuickPickItemKind, window, type QuickPickItem } from "vscode";

import type { Connection } from "./client";
import { reportFailedModel } from "./messages";
import { ADD_MODEL, BUNDLED, LIST_MODELS, modelGroups, readAdded, readModels, type Model, type Models } from "./models";
import { updateWhereSet } from "./settings";

interface Choice extends QuickPickItem {
  readonly model?: Model;
  readonly run?: () => Promise<void>;
}

/** Rejects if the server is gone. */
export async function chooseModel(connection: Connection | undefined): Promise<void> {
  if (connection === undefined) {
    void window.showWarningMessage("Midtoken: the server does not run; see 'Midtoken: Restart Server'.");
    return;
  }
  const chosen = await window.showQuickPick(choices(connection), {
    title: "Midtoken: Choose Model",
    placeHolder: "Models on this machine; nothing is fetched from a network",
    matchOnDescription: true,
    matchOnDetail: true,
  });
  if (chosen?.run !== undefined) {
    await chosen.run();
  } else if (chosen?.model !== undefined) {
    await use(connection, chosen.model);
  }
}

async function choices(connection: Connection): Promise<Choice[]> {
  const found = await models(connection);
  if (found.problem !== null) {
    reportFailedModel(found.problem);
  }
  const rows = modelGroups(found).flatMap(({ heading, items }) => [
    { label: heading, kind: QuickPickItemKind.Separator },
    ...items,
  ]);
  return [
    ...rows,
    { label: "Elsewhere", kind: QuickPickItemKind.Separator },
    { label: "$(file) A GGUF file…", run: () => addFile(connection) },
    { label: "$(folder) A model folder…", run: chooseModelFolder },
  ];
}

/** What is elsewhere can be chosen all the same where the server has no list. */
async function models(connection: Connection): Promise<Models> {
  const none = { models: [], setting: null };
  try {
    const found = readModels(await connection.execute(LIST_MODELS));
    return found ?? { ...none, problem: "the server cannot list models; install its newest version" };
  } catch (error) {
    return { ...none, problem: `the server cannot list models: ${error instanceof Error ? error.message : ""}` };
  }
}

async function use(connection: Connection, model: Model): Promise<void> {
  if (model.state === "ready") {
    await updateWhereSet("model", model.name === BUNDLED ? undefined : model.name);
  } else if (model.state === "convertible") {
    await add(connection, model.name);
  } else {
    reportFailedModel(`${model.name} cannot be used: ${model.reason ?? "the server does not say why"}`);
  }
}

/** Adds a model, with a notification that shows the progress and can be cancelled. */
async function add(connection: Connection, model: string): Promise<void> {
  const options = { location: ProgressLocation.Notification, title: `Midtoken: adding ${model}`, cancellable: true };
  const outcome = await window.withProgress(options, async (progress, token) => {
    let done = 0;
    const show = (message: string, percentage: number): void => {
      progress.report({ message, increment: Math.max(0, percentage - done) });
      done = Math.max(done, percentage);
    };
    try {
      return readAdded(await connection.executeShown(ADD_MODEL, [model], show, token));
    } catch (error) {
      if (!token.isCancellationRequested) {
        throw error;
      }
      return { state: "cancelled", name: model, problem: null } as const; // the server deletes the unfinished model
    }
  });
  if (outcome?.state === "added" || outcome?.state === "unchanged") {
    await updateWhereSet("model", outcome.name);
  } else if (outcome?.state !== "cancelled") {
    reportFailedModel(outcome?.problem ?? "the server cannot add models; install its newest version");
  }
}

async function addFile(connection: Connection): Promise<void> {
  const chosen = await window.showOpenDialog({
    title: "Choose a GGUF file",
    openLabel: "Add This Model",
    filters: { GGUF: ["gguf"], "All files": ["*"] },
  });
  const path = chosen?.[0]?.fsPath;
  if (path !== undefined) {
    await add(connection, path);
  }
}

export async function chooseModelFolder(): Promise<void> {
  const chosen = await window.showOpenDialog({
    title: "Choose a model folder",
    openLabel: "Use This Model",
    canSelectFolders: true,
    canSelectFiles: false,
    canSelectMany: false,
  });
  const folder = chosen?.[0]?.fsPath;
  if (folder === undefined) {
    return;
  }
  if (!(await hasModel(folder))) {
    reportFailedModel(`${folder} is no model folder: there is no model.onnx in it.`);
    return;
  }
  await updateWhereSet("model", folder);
}

function hasModel(folder: string): Promise<boolean> {
  return stat(join(folder, "model.onnx")).then(
    (found) => found.isFile(),
    () => false,
  );
}
