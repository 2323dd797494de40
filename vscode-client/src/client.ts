/** One connection to one server process: the language client, its requests, and the events that it passes on. */

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import {
  commands,
  InlineCompletionTriggerKind,
  languages,
  window,
  type InlineCompletionContext,
  type LogOutputChannel,
  type TextDocument,
  type TextEditor,
} from "vscode";
import {
  CancellationToken,
  CloseAction,
  CompletionRequest,
  ErrorAction,
  ExecuteCommandRequest,
  LanguageClient,
  RevealOutputChannelOn,
  ShowMessageNotification,
  type LanguageClientOptions,
  type MessageType,
  type Middleware,
  type Registration,
  type StaticFeature,
} from "vscode-languageclient/node";

import { CommandProgress, type ShowProgress } from "./commandProgress";
import type { Server } from "./discovery";
import type { Filter } from "./languages";
import { killTree, safeEnvironment } from "./run";
import { isEnabled, languages as languagesInUse, offersList, SECTION, serverSettings, type Manifest } from "./settings";
import { MORE_TEXT_METHOD, readMoreText, type MoreText } from "./moreText";
import { readStatus, STATUS_METHOD, type Status } from "./status";

export interface ConnectionOptions {
  readonly server: Server;
  readonly selector: readonly Filter[];
  readonly manifest: Manifest;
  /** Whether the suggestion list is wanted in any language. */
  readonly list: boolean;
  /** The folder in which the process runs. It holds no files of the user. */
  readonly folder: string;
  readonly log: LogOutputChannel;
  readonly events: ConnectionEvents;
}

export interface ConnectionEvents {
  /** The server ended or closed its streams on its own. */
  onClosed(): void;
  onStatus(status: Status): void;
  onMessage(type: MessageType, text: string): void;
  /** The user asked for suggestions, and there are none. */
  onNothingFound(): void;
}

const FOCUS_METHOD = "midtoken/didFocus";
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 2_000;

/** A client whose own errors go to the log. The host tells the user what is wrong and what to do. */
class QuietClient extends LanguageClient {
  /** The connection is closed or about to be, so failures of open requests are expected. */
  ending = false;

  override error(message: string, data?: unknown): void {
    if (this.ending) {
      this.outputChannel.debug(message);
    } else {
      super.error(message, data, false);
    }
  }
  override warn(message: string, data?: unknown): void {
    super.warn(message, data, false);
  }
  override info(message: string, data?: unknown): void {
    super.info(message, data, false);
  }
}

export class Connection {
  /** The last error message on the server's standard error. */
  lastComplaint = "";
  private readonly client: QuietClient;
  private process: ChildProcess | undefined;
  private open = false;
  /** The next explicit request is ours: the server has more text than it has shown. */
  private asksForMore = false;
  private readonly progress = new CommandProgress();

  constructor(private readonly options: ConnectionOptions) {
    this.client = new QuietClient(SECTION, "Midtoken", () => this.spawn(), this.clientOptions());
    this.client.registerFeature(announcesOurs);
    this.client.onNotification(STATUS_METHOD, (params: unknown) => {
      const status = readStatus(params);
      if (status !== undefined) {
        options.events.onStatus(status);
      }
    });
    this.client.onNotification(MORE_TEXT_METHOD, (params: unknown) => {
      const more = readMoreText(params);
      if (more !== undefined) {
        this.askForMore(more);
      }
    });
    this.client.onNotification(ShowMessageNotification.type, ({ type, message }) => {
      options.events.onMessage(type, message);
    });
  }

  /** Starts the process and introduces the editor. Rejects if the server ends, or does not answer, before that. */
  async start(): Promise<void> {
    const timer = setTimeout(() => {
      this.lastComplaint = `it did not answer within ${START_TIMEOUT_MS / 1000} s`;
      this.kill();
    }, START_TIMEOUT_MS);
    try {
      await this.client.start();
      this.open = true;
      this.tellFocus(window.activeTextEditor);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the process; asks it to end first, if it can answer. */
  async stop(): Promise<void> {
    this.client.ending = true;
    if (this.open) {
      this.open = false;
      await this.client.dispose(STOP_TIMEOUT_MS).catch(() => undefined); // no answer: the process is ended in any case
      await this.exited(STOP_TIMEOUT_MS);
    }
    this.kill();
  }

  /** Tells the server where the cursor is, so that it can read ahead for the first request there. */
  tellFocus(editor: TextEditor | undefined): void {
    if (this.open && editor !== undefined && this.answers(editor.document)) {
      const converter = this.client.code2ProtocolConverter;
      const place = {
        textDocument: converter.asTextDocumentIdentifier(editor.document),
        position: converter.asPosition(editor.selection.active),
      };
      this.client.sendNotification(FOCUS_METHOD, place).catch(() => undefined); // the server is ending
    }
  }

  /** Asks again at the same place. VS Code can renew ghost text only by an explicit request. */
  private askForMore({ uri, version, line, character }: MoreText): void {
    const editor = window.activeTextEditor;
    if (editor?.document.version !== version || editor.selections.length > 1) {
      return;
    }
    const converter = this.client.code2ProtocolConverter;
    const { active } = editor.selection;
    if (converter.asUri(editor.document.uri) === uri && active.line === line && active.character === character) {
      this.asksForMore = true;
      void commands.executeCommand("editor.action.inlineSuggest.trigger");
    }
  }

  /** The trigger kind that the server gets: our own request counts as automatic, whatever VS Code calls it. */
  private asAsked(context: InlineCompletionContext): InlineCompletionContext {
    const isOurs = this.asksForMore && context.triggerKind === InlineCompletionTriggerKind.Invoke;
    this.asksForMore = false;
    return isOurs ? { ...context, triggerKind: InlineCompletionTriggerKind.Automatic } : context;
  }

  /** Whether completions are wanted in a document. The server also gets documents of languages that are not in use. */
  private answers(document: TextDocument): boolean {
    const { selector, manifest } = this.options;
    const { languageId } = document;
    return (
      languages.match(selector, document) > 0 && languagesInUse(manifest).includes(languageId) && isEnabled(languageId)
    );
  }

  /** Runs a command of the server. */
  execute(command: string, args: readonly unknown[] = [], token?: CancellationToken): Promise<unknown> {
    // By the request's type: with its name alone, a token that is undefined would be sent as a second parameter.
    return this.client.sendRequest(ExecuteCommandRequest.type, { command, arguments: [...args] }, token);
  }

  /** Runs a command that takes long and reports its progress to `show`. Only one at a time. */
  executeShown(command: string, args: readonly unknown[], show: ShowProgress, token: CancellationToken) {
    return this.progress.during(show, this.execute(command, args, token));
  }

  /** Waits for the end of the process, but at most the given time. */
  private exited(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (!this.isAlive()) {
        resolve();
        return;
      }
      const timer = setTimeout(resolve, timeoutMs);
      this.process?.once("exit", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private isAlive(): boolean {
    return this.process?.exitCode === null && this.process.signalCode === null;
  }

  private kill(): void {
    if (this.process !== undefined && this.isAlive()) {
      killTree(this.process);
    }
  }

  private spawn(): Promise<ChildProcess> {
    const { server, folder, log } = this.options;
    log.info(`starting ${[server.command, ...server.args].join(" ")}`);
    return new Promise((resolve, reject) => {
      const child = spawn(server.command, [...server.args], { cwd: folder, env: safeEnvironment(), windowsHide: true });
      this.process = child;
      child.once("spawn", () => {
        resolve(child);
      });
      child.once("error", (error) => {
        this.lastComplaint = error.message;
        reject(error);
      });
      child.once("exit", (status, signal) => {
        log.info(`the server process ended (${signal ?? `status ${status ?? "unknown"}`})`);
      });
    });
  }

  private clientOptions(): LanguageClientOptions {
    return {
      documentSelector: this.options.selector.map((filter) => ({ ...filter })),
      outputChannel: this.options.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      middleware: this.middleware(),
      stdioOptions: {
        stdout: ignoreOutput,
        stderr: (input) => {
          this.readLog(input);
        },
      },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          this.client.ending = true;
          if (this.open) {
            this.open = false;
            this.options.events.onClosed();
          }
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
    };
  }

  private middleware(): Middleware {
    return {
      handleRegisterCapability: async ({ registrations }, next) => {
        await next({ registrations: registrations.flatMap((one) => this.adapted(one)) }, CancellationToken.None);
      },
      handleWorkDoneProgress: (token, params, next) => {
        if (!this.progress.take(token, params)) {
          next(token, params);
        }
      },
      provideInlineCompletionItems: async (document, position, context, token, next) => {
        if (!this.answers(document)) {
          return undefined;
        }
        const asked = this.asAsked(context);
        const result = await next(document, position, asked, token);
        const items = Array.isArray(result) ? result : (result?.items ?? []);
        const byHand = asked.triggerKind === InlineCompletionTriggerKind.Invoke;
        if (byHand && items.length === 0 && !token.isCancellationRequested) {
          this.options.events.onNothingFound();
        }
        return result;
      },
      provideCompletionItem: (document, position, context, token, next) =>
        this.answers(document) && offersList(document.languageId)
          ? next(document, position, context, token)
          : undefined,
      workspace: {
        configuration: ({ items }) =>
          items.map(({ section }) => (section === SECTION ? serverSettings(this.options.manifest) : null)),
        // The server asks for the settings that it needs. The whole section also has settings of the extension.
        didChangeConfiguration: (_sections, next) => next(undefined),
      },
    };
  }

  /**
   * The list is left out if nobody wants it, because even a provider without items opens it for a moment. The documents
   * are those of our selector, which has the same languages but leaves out panels and comparisons.
   */
  private adapted(registration: Registration): Registration[] {
    if (registration.method === CompletionRequest.method && !this.options.list) {
      return [];
    }
    const options = registration.registerOptions as object | undefined;
    return options !== undefined && "documentSelector" in options
      ? [{ ...registration, registerOptions: { ...options, documentSelector: null } }]
      : [registration];
  }

  private readLog(input: Readable): void {
    createInterface({ input }).on("line", (line) => {
      const [, level, text] = /^midtoken (\w+): (.*)$/.exec(line) ?? [];
      if (level === "info" || level === "debug") {
        this.options.log.info(text ?? "");
        return;
      }
      this.lastComplaint = (text ?? line).trim() || this.lastComplaint;
      this.options.log[level === "warning" ? "warn" : "error"](text ?? line);
    });
  }
}

// Standard output carries the protocol; the client reads it.
function ignoreOutput(): void {
  return;
}

/** Tells the server that this client understands Midtoken's own notifications. */
const announcesOurs: StaticFeature = {
  fillClientCapabilities(capabilities) {
    const ours = { midtokenStatus: true, midtokenMoreText: true };
    capabilities.experimental = { ...(capabilities.experimental as object | undefined), ...ours };
  },
  initialize() {
    return;
  },
  getState() {
    return { kind: "static" };
  },
  clear() {
    return;
  },
};
