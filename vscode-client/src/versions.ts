/** Versions of Python and of the server: reading and comparing them. */

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly text: string;
}

export const LEAST_PYTHON = "3.11";

/** Reads `3.11.2`, `3.14.0rc1`, `0.1.0+local`; undefined for anything that does not begin with two numbers. */
export function parseVersion(text: string): Version | undefined {
  const parts = /^(\d+)\.(\d+)/.exec(text.trim());
  return parts ? { major: Number(parts[1]), minor: Number(parts[2]), text: text.trim() } : undefined;
}

function isAtLeast(version: Version, least: Version): boolean {
  return version.major === least.major ? version.minor >= least.minor : version.major > least.major;
}

/** Whether the server runs on this Python. */
export function isSupportedPython(text: string): boolean {
  const version = parseVersion(text);
  const least = parseVersion(LEAST_PYTHON);
  return version !== undefined && least !== undefined && isAtLeast(version, least);
}

/** The newest of some versions. Unreadable ones are ignored. */
export function newest(texts: readonly string[]): string | undefined {
  const versions = texts.map(parseVersion).filter((version) => version !== undefined);
  return versions.sort((a, b) => a.major - b.major || a.minor - b.minor).at(-1)?.text;
}

/**
 * Whether a server and this extension are compatible: the first numbers are equal and, before 1.0, where each minor
 * version may change anything, the second numbers too.
 */
export function fits(server: string, extension: string): boolean {
  const [a, b] = [parseVersion(server), parseVersion(extension)];
  return a !== undefined && a.major === b?.major && (a.major > 0 || a.minor === b.minor);
}

/** The part of a version that must be equal, for messages: `0.1` or `2`. */
export function series(text: string): string {
  const version = parseVersion(text);
  return version === undefined ? text : version.major > 0 ? `${version.major}` : `0.${version.minor}`;
}
