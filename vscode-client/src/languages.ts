/** Which documents the server gets. */

const ACTIVATION = "onLanguage:";

/** The languages that start this extension, from its manifest. */
export function knownLanguages(activationEvents: readonly string[]): readonly string[] {
  return activationEvents
    .filter((event) => event.startsWith(ACTIVATION))
    .map((event) => event.slice(ACTIVATION.length));
}

/** The languages in use: those in the settings, else all known ones. The bundled model was found to help in them. */
export function languagesInUse(chosen: readonly string[], known: readonly string[]): readonly string[] {
  return chosen.length > 0 ? [...new Set(chosen)] : known;
}

/** The languages whose documents the server gets: all that may be chosen, so that a choice needs no new connection. */
export function languagesToOpen(chosen: readonly string[], known: readonly string[]): readonly string[] {
  return [...new Set([...known, ...chosen])];
}

export interface Filter {
  readonly scheme: string;
  readonly language: string;
}

/**
 * Filters for files, new documents, cells of notebooks and the files of virtual workspaces; not for output panels,
 * sides of a comparison, the commit message.
 */
export function selectorOf(languages: readonly string[], workspaceSchemes: readonly string[]): Filter[] {
  const schemes = new Set(["file", "untitled", "vscode-notebook-cell", ...workspaceSchemes]);
  return [...schemes].flatMap((scheme) => languages.map((language) => ({ scheme, language })));
}
