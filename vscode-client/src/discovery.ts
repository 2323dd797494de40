/** Finds a server: which places are tried, in which order, and what is found there. */

import { lastLine, type Outcome, type Run } from "./run";
import { fits, isSupportedPython } from "./versions";

/** The source of a program's name. */
export type Source = "command setting" | "python setting" | "selected interpreter" | "own environment" | "path";

export interface Candidate {
  readonly source: Source;
  /** A Python interpreter, or the program `midtoken` itself. */
  readonly kind: "python" | "program";
  readonly command: readonly [string, ...string[]];
}

export type Finding =
  | { readonly kind: "server"; readonly version: string }
  | { readonly kind: "other version"; readonly version: string }
  | { readonly kind: "no server" }
  | { readonly kind: "old python" }
  | { readonly kind: "broken"; readonly detail: string }
  | { readonly kind: "absent" };

export interface Attempt {
  readonly candidate: Candidate;
  readonly finding: Finding;
  /** The version of the interpreter, if there is one that runs. */
  readonly python?: string;
}

/** A server that can be started. */
export interface Server {
  readonly command: string;
  readonly args: readonly string[];
  readonly version: string;
  readonly source: Source;
}

/** All attempts in order, and the server, if the last attempt found one. */
export interface Discovery {
  readonly server?: Server;
  readonly attempts: readonly Attempt[];
}

/** What decides where to look. Empty and undefined mean "not set". */
export interface Places {
  readonly commandSetting: readonly string[];
  readonly pythonSetting: string;
  readonly selectedInterpreter: string | undefined;
  readonly ownEnvironment: string | undefined;
  readonly platform: NodeJS.Platform;
}

const PROBE_TIMEOUT_MS = 20_000;

// Runs on any Python, even Python 2, to find out that it is too old.
const PROBE = `
import json, sys
try:
    from importlib.metadata import version
    server = version("midtoken")
except Exception:
    server = None
print(json.dumps({"python": sys.version.split()[0], "server": server}))
`;

/** Names under which interpreters are found; later versions have names of their own beside an old `python3`. */
function pythonsOnPath(platform: NodeJS.Platform): readonly [string, ...string[]][] {
  return platform === "win32"
    ? [["py", "-3"], ["python"]]
    : [["python3"], ["python"], ["python3.14"], ["python3.13"], ["python3.12"], ["python3.11"]];
}

/** Where to look, best first. If a setting names a program, only that one is tried. */
export function candidates(places: Places): readonly Candidate[] {
  const [program, ...args] = places.commandSetting;
  if (program !== undefined && program !== "") {
    return [{ source: "command setting", kind: "program", command: [program, ...args] }];
  }
  if (places.pythonSetting !== "") {
    return [{ source: "python setting", kind: "python", command: [places.pythonSetting] }];
  }
  const found: Candidate[] = [];
  if (places.selectedInterpreter !== undefined) {
    found.push({ source: "selected interpreter", kind: "python", command: [places.selectedInterpreter] });
  }
  if (places.ownEnvironment !== undefined) {
    found.push({ source: "own environment", kind: "python", command: [places.ownEnvironment] });
  }
  found.push({ source: "path", kind: "program", command: ["midtoken"] });
  return [...found, ...pathCandidates(places.platform)];
}

/** Interpreters that could create an environment, best first. */
export function baseCandidates(places: Places): readonly Candidate[] {
  const found: Candidate[] = [];
  if (places.pythonSetting !== "") {
    found.push({ source: "python setting", kind: "python", command: [places.pythonSetting] });
  }
  if (places.selectedInterpreter !== undefined) {
    found.push({ source: "selected interpreter", kind: "python", command: [places.selectedInterpreter] });
  }
  return [...found, ...pathCandidates(places.platform)];
}

function pathCandidates(platform: NodeJS.Platform): readonly Candidate[] {
  return pythonsOnPath(platform).map((command) => ({ source: "path", kind: "python", command }));
}

/** Tries one candidate after the other until one has a server that fits this extension's version. */
export async function discover(list: readonly Candidate[], run: Run, extension: string): Promise<Discovery> {
  const attempts: Attempt[] = [];
  for (const candidate of list) {
    const attempt = await inspect(candidate, run, extension);
    attempts.push(attempt);
    if (attempt.finding.kind === "server") {
      return { attempts, server: serverOf(candidate, attempt.finding.version) };
    }
  }
  return { attempts };
}

/** Examines one candidate. */
export async function inspect(candidate: Candidate, run: Run, extension: string): Promise<Attempt> {
  const [command, ...args] = candidate.command;
  const question = candidate.kind === "python" ? ["-c", PROBE] : ["--version"];
  const outcome = await run(command, [...args, ...question], { timeoutMs: PROBE_TIMEOUT_MS });
  const trouble = troubleOf(outcome);
  if (trouble) {
    return { candidate, finding: trouble };
  }
  const output = outcome.kind === "ended" ? outcome.output : "";
  return candidate.kind === "python"
    ? readPython(candidate, output, extension)
    : { candidate, finding: readProgram(output, extension) };
}

function troubleOf(outcome: Outcome): Finding | undefined {
  if (outcome.kind === "failed") {
    return outcome.reason === "absent" ? { kind: "absent" } : { kind: "broken", detail: outcome.detail };
  }
  if (outcome.status !== 0) {
    const said = lastLine(outcome.errors);
    return { kind: "broken", detail: said || `it ended with status ${outcome.status}` };
  }
  return undefined;
}

function readPython(candidate: Candidate, output: string, extension: string): Attempt {
  const answer = parseAnswer(lastLine(output));
  if (answer === undefined) {
    return { candidate, finding: { kind: "broken", detail: "it is no Python interpreter" } };
  }
  const { python, server } = answer;
  if (!isSupportedPython(python)) {
    return { candidate, python, finding: { kind: "old python" } };
  }
  return { candidate, python, finding: server === null ? { kind: "no server" } : judge(server, extension) };
}

function parseAnswer(line: string): { python: string; server: string | null } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && "python" in value && "server" in value) {
      const { python, server } = value;
      if (typeof python === "string" && (typeof server === "string" || server === null)) {
        return { python, server };
      }
    }
  } catch {
    // reported below
  }
  return undefined;
}

function readProgram(output: string, extension: string): Finding {
  const version = /^midtoken (\d\S*)/m.exec(output)?.[1];
  return version === undefined
    ? { kind: "broken", detail: "it is not the program midtoken" }
    : judge(version, extension);
}

function judge(version: string, extension: string): Finding {
  return { kind: fits(version, extension) ? "server" : "other version", version };
}

/** How to start the server of an attempt. */
export function serverOf(candidate: Candidate, version: string): Server {
  const [command, ...args] = candidate.command;
  const module = candidate.kind === "python" ? ["-m", "lsp_server"] : [];
  return { command, args: [...args, ...module, "serve"], version, source: candidate.source };
}

/** Whether the found interpreter can create an environment. */
export function isBase({ candidate, finding, python }: Attempt): boolean {
  return python !== undefined && finding.kind !== "old python" && candidate.source !== "own environment";
}

/** Looks for the first interpreter that can create an environment. If there is one, it is the last attempt. */
export async function findBase(list: readonly Candidate[], run: Run, extension: string): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = [];
  for (const candidate of list) {
    const attempt = await inspect(candidate, run, extension);
    attempts.push(attempt);
    if (isBase(attempt)) {
      break;
    }
  }
  return attempts;
}
