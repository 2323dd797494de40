/** Which documents the server gets. */

/** The language of the bundled model. */
const BUNDLED = ["python"];
/** Values of the setting `model` that mean it. */
const BUNDLED_NAMES = ["", "bundled", "small"];
const ACTIVATION = "onLanguage:";

export interface LanguageSettings {
  readonly languages: readonly string[];
  readonly model: string;
}

/** The languages that start this extension, from its manifest. */
export function knownLanguages(activationEvents: readonly string[]): readonly string[] {
  return activationEvents
    .filter((event) => event.startsWith(ACTIVATION))
    .map((event) => event.slice(ACTIVATION.length));
}

/** The languages in use: those in the settings; else Python for the bundled model; else all known ones. */
export function languagesInUse(settings: LanguageSettings, known: readonly string[]): readonly string[] {
  if (settings.languages.length > 0) {
    return [...new Set(settings.languages)];
  }
  return BUNDLED_NAMES.includes(settings.model) ? BUNDLED : known;
}

/**
 * The languages whose documents the server gets. They include those that another model would know, so that a change of
 * the model needs no new connection.
 */
export function languagesToOpen(settings: LanguageSettings, known: readonly string[]): readonly string[] {
  return [...new Set([...known, ...settings.languages])];
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
