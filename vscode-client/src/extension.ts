/** Activation: connects the parts and listens for changes. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  window,
  workspace,
  type ConfigurationChangeEvent,
  type Event,
  type ExtensionContext,
  type LogOutputChannel,
} from "vscode";

import { Connection } from "./client";
import { registerCommands } from "./commands";
import { baseCandidates, candidates, discover, type Discovery, type Places } from "./discovery";
import { ServerHost } from "./host";
import { installedInterpreter } from "./install";
import { installServer } from "./installation";
import { onInterpreterChange, selectedInterpreter } from "./interpreter";
import { selectorOf } from "./languages";
import { relay, reportProblem, warnOnceOfSwitchedOffSuggestions } from "./messages";
import { describe } from "./problems";
import { runnerIn, type Run } from "./run";
import { isEnabled, languages, launchSettings, manifestOf, offersList, openedLanguages, SECTION } from "./settings";
import { statusOf, type Status } from "./status";
import { StatusBar } from "./statusBar";

/** The interface for other extensions and for our tests. */
export interface Api {
  /** The text in the status bar. */
  readonly status: () => Status;
  readonly onDidChangeStatus: Event<Status>;
}

let extension: Extension | undefined; // VS Code calls deactivate() without arguments

export async function activate(context: ExtensionContext): Promise<Api> {
  const storage = context.globalStorageUri.fsPath;
  const log = window.createOutputChannel("Midtoken", { log: true });
  context.subscriptions.push(log);
  await mkdir(storage, { recursive: true }).catch((error: unknown) => {
    log.error(`the storage folder cannot be made: ${String(error)}`);
  });
  extension = new Extension(context, log, storage);
  return extension.begin();
}

export async function deactivate(): Promise<void> {
  await extension?.host.stop();
}

class Extension {
  readonly host: ServerHost<Connection>;
  private readonly manifest;
  private readonly environmentFolder: string;
  private readonly run: Run;
  private readonly bar: StatusBar;
  /** The settings of the last start; empty if the server is turned off, undefined before the first check. */
  private launchKey: string | undefined;
  private installing: Promise<boolean> | undefined;

  constructor(
    private readonly context: ExtensionContext,
    private readonly log: LogOutputChannel,
    storage: string,
  ) {
    this.manifest = manifestOf(context);
    this.environmentFolder = join(storage, "server");
    this.run = runnerIn(storage);
    this.bar = new StatusBar(() => languages(this.manifest));
    this.host = new ServerHost({
      version: this.manifest.version,
      find: () => this.find(),
      report: (problem) => {
        log.error(problem.message);
        reportProblem(problem);
      },
      showStatus: (status) => {
        this.bar.show(status);
      },
      connect: (server, onClosed, onStatus) =>
        new Connection({
          server,
          log,
          folder: storage,
          selector: this.selector(),
          list: this.wantsList(),
          manifest: this.manifest,
          events: {
            onClosed,
            onStatus,
            onMessage: relay,
            onNothingFound: () => {
              window.setStatusBarMessage("Midtoken: no suggestion here", 3000);
            },
          },
        }),
    });
  }

  begin(): Api {
    this.context.subscriptions.push(
      this.bar,
      ...registerCommands({
        connection: () => this.host.current,
        languages: () => languages(this.manifest),
        restart: () => this.host.restart(),
        install: () => this.install(),
        showLog: () => {
          this.log.show();
        },
      }),
      window.onDidChangeActiveTextEditor(() => {
        this.host.current?.tellFocus(window.activeTextEditor);
        this.bar.refresh();
        this.bar.completeWalkthroughStep(); // the walkthrough may be open now
        this.checkInlineSuggestions();
      }),
      workspace.onDidChangeConfiguration((event) => {
        this.onConfigurationChange(event);
      }),
      workspace.onDidChangeWorkspaceFolders(() => {
        this.followSettings();
      }),
      workspace.onDidGrantWorkspaceTrust(() => {
        this.searchAgain();
      }),
    );
    this.followSettings();
    this.checkInlineSuggestions();
    void this.followInterpreter();
    return { status: () => this.bar.current, onDidChangeStatus: this.bar.onDidChange };
  }

  private selector() {
    const schemes = (workspace.workspaceFolders ?? []).map((folder) => folder.uri.scheme);
    return selectorOf(openedLanguages(this.manifest), schemes);
  }

  private wantsList(): boolean {
    return openedLanguages(this.manifest).some(offersList);
  }

  private async places(): Promise<Places> {
    const settings = launchSettings();
    return {
      commandSetting: settings.command,
      pythonSetting: settings.python,
      selectedInterpreter: await this.interpreter(),
      ownEnvironment: await installedInterpreter(this.environmentFolder),
      platform: process.platform,
    };
  }

  private async find(): Promise<Discovery> {
    const discovery = await discover(candidates(await this.places()), this.run, this.manifest.version);
    for (const attempt of discovery.attempts) {
      this.log.info(`${attempt.candidate.source}: ${describe(attempt, this.manifest.version)}`);
    }
    return discovery;
  }

  private async interpreter(): Promise<string | undefined> {
    try {
      return await selectedInterpreter();
    } catch (error) {
      this.log.warn(`the Python extension does not tell its interpreter: ${String(error)}`);
      return undefined;
    }
  }

  /** Starts, restarts or stops the server if the settings for it have changed since the last time. */
  private followSettings(): void {
    const wanted = languages(this.manifest).some(isEnabled);
    const key = wanted ? JSON.stringify([this.selector(), this.wantsList(), launchSettings()]) : "";
    if (key !== this.launchKey) {
      this.launchKey = key;
      void (wanted ? this.host.restart() : this.host.stop(statusOf("off", "Turned off in the settings")));
    }
  }

  private onConfigurationChange(event: ConfigurationChangeEvent): void {
    if (event.affectsConfiguration(SECTION)) {
      this.followSettings();
      this.bar.refresh();
    }
    if (event.affectsConfiguration("editor.inlineSuggest")) {
      this.checkInlineSuggestions();
    }
  }

  /** Looks again for a server if there was none. */
  private searchAgain(): void {
    if (this.host.currentServer === undefined) {
      this.restartIfWanted();
    }
  }

  private restartIfWanted(): void {
    if (this.launchKey !== "" && this.installing === undefined) {
      void this.host.restart();
    }
  }

  private async followInterpreter(): Promise<void> {
    try {
      const listener = await onInterpreterChange(() => {
        const source = this.host.currentServer?.source;
        if (source === undefined || source === "selected interpreter") {
          this.restartIfWanted();
        }
      });
      if (listener !== undefined) {
        this.context.subscriptions.push(listener);
      }
    } catch (error) {
      this.log.warn(`changes of the Python interpreter are not noticed: ${String(error)}`);
    }
  }

  /** One installation at a time. A second one waits for the first, also while a cancelled one ends. */
  private async install(): Promise<void> {
    const task = (this.installing ?? Promise.resolve(false)).then((done) => done || this.installNow());
    this.installing = task;
    await task;
    if (this.installing === task) {
      this.installing = undefined;
    }
  }

  private async installNow(): Promise<boolean> {
    const worked = this.host.currentServer !== undefined;
    await this.host.stop(statusOf("loading", "Installing the server"));
    const installed = await installServer({
      bases: baseCandidates(await this.places()),
      version: this.manifest.version,
      folder: this.environmentFolder,
      package: launchSettings().package,
      bundle: this.context.asAbsolutePath("server"),
      run: this.run,
      log: this.log,
    });
    if (installed) {
      await this.host.restart();
      const isUsed = this.host.currentServer?.source === "own environment";
      const otherwise = " Another one is used: that of a setting, or of the selected interpreter.";
      void window.showInformationMessage(`Midtoken's server is installed.${isUsed ? "" : otherwise}`);
    } else if (worked) {
      await this.host.restart();
    } else {
      await this.host.stop(statusOf("error", "The server is not installed"));
    }
    return installed;
  }

  private checkInlineSuggestions(): void {
    const languageId = window.activeTextEditor?.document.languageId;
    if (languageId === undefined || !languages(this.manifest).includes(languageId) || !isEnabled(languageId)) {
      return;
    }
    const editor = workspace.getConfiguration("editor", { languageId });
    if (!editor.get<boolean>("inlineSuggest.enabled", true)) {
      void warnOnceOfSwitchedOffSuggestions(this.context.globalState, () =>
        editor.update("inlineSuggest.enabled", true, true),
      );
    }
  }
}
