/** The messages if there is no server: one for each case, with what to do. */

import { isBase, type Attempt, type Discovery } from "./discovery";
import { LEAST_PYTHON, newest, series } from "./versions";

/** What the user can do, as buttons. */
export type Remedy = "install" | "settings" | "python.org" | "log" | "retry";

export interface Problem {
  readonly message: string;
  readonly remedies: readonly Remedy[];
}

/** One line about one attempt, for the log and for messages about a setting. */
export function describe({ candidate, finding, python }: Attempt, extension: string): string {
  const name = candidate.command.join(" ");
  switch (finding.kind) {
    case "server":
      return `${name} has Midtoken ${finding.version}`;
    case "other version":
      return `${name} has Midtoken ${finding.version}, and this extension works with ${series(extension)}`;
    case "no server":
      return `${name} is Python ${python ?? ""} without Midtoken`;
    case "old python":
      return `${name} is Python ${python ?? ""}, and Midtoken needs ${LEAST_PYTHON} or later`;
    case "broken":
      return `${name} does not work: ${finding.detail}`;
    case "absent":
      return `${name} does not exist`;
  }
}

/** The message for a discovery that found no server. */
export function explain(discovery: Discovery, extension: string): Problem {
  return (
    settingProblem(discovery, extension) ?? versionProblem(discovery, extension) ?? explainPythons(discovery.attempts)
  );
}

function settingProblem({ attempts }: Discovery, extension: string): Problem | undefined {
  const attempt = attempts.find(({ candidate }) => candidate.source.endsWith("setting"));
  if (attempt === undefined) {
    return undefined;
  }
  const setting = attempt.candidate.source === "command setting" ? "midtoken.server.command" : "midtoken.server.python";
  return {
    message: `The setting '${setting}' names no server: ${describe(attempt, extension)}.`,
    remedies: ["settings", "retry", "log"],
  };
}

function versionProblem(discovery: Discovery, extension: string): Problem | undefined {
  const attempt = discovery.attempts.find(({ finding }) => finding.kind === "other version");
  if (attempt === undefined) {
    return undefined;
  }
  const canInstall = discovery.attempts.some(isBase);
  const advice = canInstall ? " The one that fits can be installed into an environment of its own." : " Update it.";
  return {
    message: `The server has another version: ${describe(attempt, extension)}.${advice}`,
    remedies: [...(canInstall ? (["install"] as const) : []), "settings", "retry", "log"],
  };
}

/** The message for interpreters none of which has a server. */
export function explainPythons(attempts: readonly Attempt[]): Problem {
  if (attempts.some(isBase)) {
    return {
      message: "Midtoken's server is not installed. It can be installed now, into an environment of its own.",
      remedies: ["install", "settings", "log"],
    };
  }
  const best = newest(attempts.flatMap(({ python }) => python ?? []));
  const found = best === undefined ? "none was found" : `the newest found is ${best}`;
  return {
    message: `Midtoken needs Python ${LEAST_PYTHON} or later; ${found}. Install one, or name it in the settings.`,
    remedies: ["python.org", "settings", "retry", "log"],
  };
}
