/** Installing a server into an environment of its own, below the extension's storage folder. */

import { constants } from "node:fs";
import { access, mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { lastLine, type Outcome, type Run } from "./run";

export interface Plan {
  /** The interpreter that makes the environment, with its arguments. */
  readonly python: readonly [string, ...string[]];
  /** The folder of the environment. An existing one is replaced. */
  readonly folder: string;
  /** What pip installs: the path of a wheel, or a requirement. */
  readonly package: string;
}

export interface Watcher {
  /** The present step, in a few words. */
  readonly report: (step: string) => void;
  /** One line of a program's output. */
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Why an installation failed, in one line that says what to do. */
export class InstallError extends Error {
  override readonly name = "InstallError";
}

/** The user stopped it, so no message is needed. */
export class InstallCancelled extends Error {
  override readonly name = "InstallCancelled";
}

// Written last: an environment without it is unfinished.
const READY = "midtoken-ready";
const QUIET = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"];

// An extra that is published as source and needs a C compiler. The server works the same without it.
const OPTIONAL = "datrie";

const LIST_REQUIREMENTS = `
from importlib.metadata import requires
for line in requires("midtoken") or ():
    if "extra ==" not in line:
        print(line)
`;

/** The interpreter of an environment. */
export function interpreterOf(folder: string, platform: NodeJS.Platform = process.platform): string {
  return platform === "win32" ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
}

/** The interpreter of the environment that was installed here, if it was finished. */
export async function installedInterpreter(folder: string): Promise<string | undefined> {
  const interpreter = interpreterOf(folder);
  try {
    await access(join(folder, READY), constants.R_OK);
    await access(interpreter, constants.X_OK);
    return interpreter;
  } catch {
    return undefined;
  }
}

/**
 * Makes the environment and installs the server into it.
 *
 * @throws InstallError or InstallCancelled; then there is no usable environment.
 */
export async function install(plan: Plan, run: Run, watcher: Watcher): Promise<string> {
  await mkdir(dirname(plan.folder), { recursive: true }).catch(refuseStorage);
  const release = await lock(`${plan.folder}.lock`);
  try {
    return await new Installation(plan, run, watcher).carryOut();
  } finally {
    await release();
  }
}

class Installation {
  private readonly interpreter: string;

  constructor(
    private readonly plan: Plan,
    private readonly run: Run,
    private readonly watcher: Watcher,
  ) {
    this.interpreter = interpreterOf(plan.folder);
  }

  async carryOut(): Promise<string> {
    const ready = join(this.plan.folder, READY);
    await rm(ready, { force: true }).catch(refuseStorage);
    this.watcher.report("making the environment");
    await this.makeEnvironment();
    this.watcher.report("installing the server");
    await this.pip(["--no-deps", this.plan.package]);
    this.watcher.report("fetching what it needs");
    await this.pip(await this.requirements());
    await this.installOptional();
    this.watcher.report("trying the server");
    await this.must(["-c", "import lsp_server.server"], (outcome) => `The installed server does not start: ${outcome}`);
    await writeFile(ready, "").catch(refuseStorage);
    return this.interpreter;
  }

  private async makeEnvironment(): Promise<void> {
    const [command, ...args] = this.plan.python;
    const outcome = await this.call(command, [...args, "-m", "venv", "--clear", this.plan.folder]);
    if (outcome.status !== 0) {
      // Debian's Python reports it on standard output.
      const said = outcome.output + outcome.errors;
      throw new InstallError(
        said.includes("ensurepip") || said.includes("No module named venv")
          ? "This Python cannot make environments; on Debian and Ubuntu: apt install python3-venv. Then try again."
          : `The environment cannot be made in ${this.plan.folder}: ${lastLine(said)}`,
      );
    }
  }

  private async requirements(): Promise<string[]> {
    const listed = await this.must(["-c", LIST_REQUIREMENTS], (said) => `What the server needs is unknown: ${said}`);
    return listed.output.split("\n").filter((line) => line.trim() !== "");
  }

  private async pip(what: readonly string[]): Promise<void> {
    if (what.length > 0) {
      await this.must(["-m", "pip", "install", ...QUIET, ...what], explainPip);
    }
  }

  private async installOptional(): Promise<void> {
    this.watcher.report("building what makes it a little faster");
    const outcome = await this.call(this.interpreter, [
      "-m",
      "pip",
      "install",
      ...QUIET,
      `${this.plan.package}[${OPTIONAL}]`,
    ]);
    if (outcome.status !== 0) {
      this.watcher.log(`${OPTIONAL} cannot be installed here; the server does without`);
    }
  }

  /** Runs the environment's interpreter and throws if that fails. `explain` makes the message from its output. */
  private async must(args: readonly string[], explain: (said: string) => string): Promise<Ended> {
    const outcome = await this.call(this.interpreter, args);
    if (outcome.status !== 0) {
      throw new InstallError(explain(outcome.errors.trim() || `it ended with status ${outcome.status}`));
    }
    return outcome;
  }

  private async call(command: string, args: readonly string[]): Promise<Ended> {
    this.watcher.log(`$ ${[command, ...args.map((arg) => (arg.includes("\n") ? "…" : arg))].join(" ")}`);
    const outcome = await this.run(command, args, {
      signal: this.watcher.signal,
      onLine: (line) => {
        this.watcher.log(line);
        const step = stepOf(line);
        if (step !== undefined) {
          this.watcher.report(step);
        }
      },
    });
    if (outcome.kind === "ended") {
      return outcome;
    }
    if (outcome.reason === "cancelled") {
      throw new InstallCancelled();
    }
    throw new InstallError(`${command} cannot be run: ${outcome.detail}`);
  }
}

type Ended = Extract<Outcome, { kind: "ended" }>;

/** The progress that a line of pip's output reports. */
export function stepOf(line: string): string | undefined {
  const fetched = /^\s*Downloading (?:\S*\/)?([A-Za-z0-9_.]+?)-\d\S* \(([^)]+)\)/.exec(line);
  if (fetched) {
    return `fetching ${fetched[1] ?? ""} (${fetched[2] ?? ""})`;
  }
  return line.startsWith("Installing collected packages") ? "unpacking" : undefined;
}

// Without a connection pip retries, says so, and then reports that there is no such package.
const NO_CONNECTION =
  /NewConnectionError|NameResolutionError|name resolution|getaddrinfo failed|Name or service not known|unreachable|No route to host|Connection refused|ConnectTimeout|ProxyError|Max retries exceeded|connection broken by/i;

/** What pip's errors mean, in one line that says what to do. */
export function explainPip(said: string): string {
  if (NO_CONNECTION.test(said)) {
    return "The Python package index cannot be reached. Connect to the internet, or set pip's proxy or index (PIP_PROXY, PIP_INDEX_URL), and try again.";
  }
  if (/No space left on device|\[Errno 28\]/.test(said)) {
    return "There is no space left on the disk. Make some, and try again.";
  }
  const lines = said.split("\n").filter((line) => line.startsWith("ERROR:"));
  return `pip failed: ${(lines.at(0) ?? lastLine(said)).replace(/^ERROR:\s*/, "")}`;
}

function refuseStorage(error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  throw new InstallError(`The extension's storage folder cannot be written to: ${reason}`);
}

/** Locks out a second window. The lock of a process that has ended is taken over. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (const lastTry of [false, true]) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(`${process.pid}`);
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
        refuseStorage(error);
      }
      if (lastTry || (await isHeld(path))) {
        break;
      }
      await rm(path, { force: true });
    }
  }
  throw new InstallError("Another window installs the server now. When it is done, run 'Midtoken: Restart Server'.");
}

async function isHeld(path: string): Promise<boolean> {
  const pid = Number(await readFile(path, "utf8").catch(() => ""));
  if (!Number.isInteger(pid) || pid <= 0) {
    return false;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
