/** Reads settings: the extension's, and the server's, of which only those that the user set are sent. */

import { ConfigurationTarget, workspace, type ExtensionContext } from "vscode";

import { knownLanguages, languagesInUse, languagesToOpen } from "./languages";

export const SECTION = "midtoken";

export interface Manifest {
  readonly version: string;
  readonly activationEvents: readonly string[];
  readonly contributes: { readonly configuration: { readonly properties: Readonly<Record<string, unknown>> } };
}

/** This extension's package.json. */
export function manifestOf(context: ExtensionContext): Manifest {
  return context.extension.packageJSON as Manifest;
}

/** Settings that only the extension reads. */
export function isOwnSetting(name: string): boolean {
  return name === "enabled" || name === "completionList" || name.startsWith("server.");
}

/** The names of the server's settings: all in package.json except the extension's own. */
function serverSettingNames(manifest: Manifest): readonly string[] {
  return Object.keys(manifest.contributes.configuration.properties)
    .map((key) => key.slice(SECTION.length + 1))
    .filter((name) => !isOwnSetting(name));
}

/**
 * The server's settings that the user set, and the languages in use. Defaults are not sent, because they would override
 * the server's environment, and the default that one setting implies for another.
 */
export function serverSettings(manifest: Manifest): Record<string, unknown> {
  const configuration = workspace.getConfiguration(SECTION);
  const result: Record<string, unknown> = {};
  for (const name of serverSettingNames(manifest)) {
    const found = configuration.inspect(name);
    if (found?.globalValue !== undefined || found?.workspaceValue !== undefined) {
      result[name] = configuration.get(name);
    }
  }
  return { ...result, languages: languages(manifest) };
}

/** Changes a setting where it is set now: in the workspace, else for the user. */
export async function updateWhereSet(name: string, value: unknown): Promise<void> {
  const configuration = workspace.getConfiguration(SECTION);
  const inWorkspace = configuration.inspect(name)?.workspaceValue !== undefined;
  await configuration.update(name, value, inWorkspace ? ConfigurationTarget.Workspace : ConfigurationTarget.Global);
}

/** Whether completions are wanted in a language. */
export function isEnabled(languageId: string): boolean {
  return workspace.getConfiguration(SECTION, { languageId }).get<boolean>("enabled", true);
}

/** Whether the suggestion list is wanted in a language. */
export function offersList(languageId: string): boolean {
  return (
    isEnabled(languageId) && workspace.getConfiguration(SECTION, { languageId }).get<boolean>("completionList", false)
  );
}

/** The languages that the server is used for, enabled or not. */
export function languages(manifest: Manifest): readonly string[] {
  return languagesInUse(chosenLanguages(), knownLanguages(manifest.activationEvents));
}

/** The languages whose documents the server gets. */
export function openedLanguages(manifest: Manifest): readonly string[] {
  return languagesToOpen(chosenLanguages(), knownLanguages(manifest.activationEvents));
}

function chosenLanguages(): readonly string[] {
  return workspace.getConfiguration(SECTION).get<string[]>("languages", []);
}

export interface LaunchSettings {
  readonly command: readonly string[];
  readonly python: string;
  readonly package: string;
}

/** How the server is found and installed. */
export function launchSettings(): LaunchSettings {
  const configuration = workspace.getConfiguration(`${SECTION}.server`);
  return {
    command: configuration.get<string[]>("command", []),
    python: configuration.get<string>("python", "").trim(),
    package: configuration.get<string>("package", "").trim(),
  };
}
