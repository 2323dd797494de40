/** The life of the server: found, started, started again after a crash, given up, stopped. */

import { BackOff } from "./backOff";
import type { Discovery, Server } from "./discovery";
import { explain, type Problem } from "./problems";
import { statusOf, type Status } from "./status";

/** What the host needs of a connection to a server process. */
export interface HostedConnection {
  readonly lastComplaint: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface HostOptions<C extends HostedConnection> {
  readonly version: string;
  find(): Promise<Discovery>;
  /** Makes a connection that calls `onClosed` if the server ends on its own, and `onStatus` with each status. */
  connect(server: Server, onClosed: () => void, onStatus: (status: Status) => void): C;
  /** Tells the user what is wrong. */
  report(problem: Problem): void;
  showStatus(status: Status): void;
  readonly backOff?: BackOff;
  readonly setTimer?: (callback: () => void, delayMs: number) => NodeJS.Timeout;
}

/** Owns the server. Calls take effect in the order in which they are made. */
export class ServerHost<C extends HostedConnection> {
  private connection: C | undefined;
  private server: Server | undefined;
  private queue: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  private worked = false; // in this series of crashes, one server got as far as answering
  private readonly backOff: BackOff;

  constructor(private readonly options: HostOptions<C>) {
    this.backOff = options.backOff ?? new BackOff();
  }

  /** The connection to the server that runs now. */
  get current(): C | undefined {
    return this.connection;
  }

  /** The server that runs now, or is about to be started again. */
  get currentServer(): Server | undefined {
    return this.server;
  }

  /** Stops the server if one runs, forgets earlier crashes, and finds and starts a server. */
  restart(): Promise<void> {
    return this.enqueue(async () => {
      await this.end();
      await this.begin();
    });
  }

  /** Stops the server and shows `status`. */
  stop(status: Status = statusOf("off")): Promise<void> {
    return this.enqueue(async () => {
      await this.end();
      this.options.showStatus(status);
    });
  }

  private enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.queue.then(task);
    this.queue = done.catch(() => undefined);
    return done;
  }

  private async begin(): Promise<void> {
    this.options.showStatus(statusOf("loading", "Looking for the server"));
    const discovery = await this.options.find();
    if (discovery.server === undefined) {
      this.fail(explain(discovery, this.options.version));
    } else {
      await this.launch(discovery.server);
    }
  }

  private async launch(server: Server): Promise<void> {
    this.options.showStatus(statusOf("loading", "Starting the server")); // the server reports its later states itself
    this.server = server;
    const connection: C = this.options.connect(
      server,
      () => void this.enqueue(() => this.afterClose(connection, server)),
      (status) => {
        this.options.showStatus(status);
      },
    );
    try {
      await connection.start();
    } catch {
      await connection.stop();
      this.afterFailedStart(server, connection.lastComplaint);
      return;
    }
    this.connection = connection;
    this.worked = true;
  }

  private async end(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.backOff.reset();
    this.worked = false;
    this.server = undefined;
    const connection = this.connection;
    this.connection = undefined;
    await connection?.stop();
  }

  private async afterClose(connection: C, server: Server): Promise<void> {
    if (this.connection !== connection) {
      return; // stopped in the meantime
    }
    this.connection = undefined;
    await connection.stop();
    this.afterCrash(server, connection.lastComplaint);
  }

  private afterFailedStart(server: Server, complaint: string): void {
    if (this.worked) {
      this.afterCrash(server, complaint);
      return;
    }
    this.server = undefined;
    this.fail({
      message: `The server ended at its start${because(complaint)}.`,
      remedies: [server.source === "own environment" ? "install" : "settings", "retry", "log"],
    });
  }

  private afterCrash(server: Server, complaint: string): void {
    const delayMs = this.backOff.afterCrash();
    if (delayMs === undefined) {
      this.server = undefined;
      this.fail({
        message: `The server crashed ${this.backOff.count} times and stays off${because(complaint)}.`,
        remedies: ["log", "retry"],
      });
      return;
    }
    this.options.showStatus(statusOf("loading", "The server crashed and is started again"));
    this.timer = (this.options.setTimer ?? setTimeout)(() => {
      void this.enqueue(async () => {
        if (this.timer !== undefined) {
          this.timer = undefined;
          await this.launch(server);
        }
      });
    }, delayMs);
  }

  private fail(problem: Problem): void {
    this.options.showStatus(statusOf("error", problem.message));
    this.options.report(problem);
  }
}

function because(complaint: string): string {
  return complaint === "" ? "" : `: ${complaint.replace(/\.$/, "")}`;
}
