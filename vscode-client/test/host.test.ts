import assert from "node:assert/strict";
import { test } from "node:test";

import { BackOff, MOST_RESTARTS } from "../src/backOff";
import type { Discovery, Server } from "../src/discovery";
import { ServerHost, type HostedConnection } from "../src/host";
import type { Problem } from "../src/problems";
import { statusOf, type Status } from "../src/status";

const SERVER: Server = { command: "midtoken", args: ["serve"], version: "0.1.0", source: "path" };

class FakeConnection implements HostedConnection {
  lastComplaint = "out of memory";
  stopped = 0;
  constructor(
    readonly server: Server,
    readonly close: () => void,
    readonly tell: (status: Status) => void,
    private readonly starts: () => Promise<void>,
  ) {}
  start(): Promise<void> {
    return this.starts();
  }
  stop(): Promise<void> {
    this.stopped += 1;
    return Promise.resolve();
  }
}

/** A host whose servers start or fail as the test says, with a clock that the test sets. */
class Scene {
  discovery: Discovery = { attempts: [], server: SERVER };
  starts: () => Promise<void> = () => Promise.resolve();
  searches = 0;
  readonly connections: FakeConnection[] = [];
  readonly problems: Problem[] = [];
  readonly shown: Status[] = [];
  readonly timers: { run: () => void; delayMs: number }[] = [];
  readonly host = new ServerHost<FakeConnection>({
    version: "0.1.0",
    find: () => {
      this.searches += 1;
      return Promise.resolve(this.discovery);
    },
    connect: (server, onClosed, onStatus) => {
      const connection = new FakeConnection(server, onClosed, onStatus, () => this.starts());
      this.connections.push(connection);
      return connection;
    },
    report: (problem) => this.problems.push(problem),
    showStatus: (status) => this.shown.push(status),
    backOff: new BackOff(() => 0),
    setTimer: (run, delayMs) => {
      this.timers.push({ run, delayMs });
      return setTimeout(() => undefined, 0);
    },
  });

  state(): Status | undefined {
    return this.shown.at(-1);
  }

  /** Waits until the host has done everything. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  async crash(): Promise<void> {
    this.connections.at(-1)?.close();
    await this.settle();
  }

  async passTime(): Promise<void> {
    this.timers.at(-1)?.run();
    await this.settle();
  }
}

test("a server that is found is started", async () => {
  const it = new Scene();
  await it.host.restart();
  assert.equal(it.host.current, it.connections[0]);
  assert.equal(it.host.currentServer, SERVER);
  assert.deepEqual(
    it.shown.map(({ message }) => message),
    ["Looking for the server", "Starting the server"],
  );
});

test("one server at a time: what is asked for while one starts waits", async () => {
  const it = new Scene();
  await Promise.all([it.host.restart(), it.host.restart(), it.host.stop(), it.host.restart()]);
  assert.deepEqual(
    it.connections.map(({ stopped }) => stopped),
    [1, 1, 0],
  );
  assert.equal(it.host.current, it.connections[2]);
});

test("what the server says of itself is shown", async () => {
  const it = new Scene();
  await it.host.restart();
  it.connections.at(0)?.tell(statusOf("ready"));
  assert.deepEqual(it.state(), statusOf("ready"));
});

test("no server: the problem is told, and shown", async () => {
  const it = new Scene();
  it.discovery = { attempts: [] };
  await it.host.restart();
  assert.equal(it.problems.length, 1);
  assert.equal(it.state()?.state, "error");
  assert.equal(it.host.current, undefined);
});

test("a server that ends at its start is not tried again by itself", async () => {
  const it = new Scene();
  it.starts = () => Promise.reject(new Error("closed"));
  await it.host.restart();
  assert.equal(it.problems.at(0)?.message, "The server ended at its start: out of memory.");
  assert.deepEqual(it.problems.at(0)?.remedies, ["settings", "retry", "log"]);
  assert.equal(it.connections[0]?.stopped, 1);
  assert.equal(it.timers.length, 0);
});

test("a broken environment of our own can be installed again", async () => {
  const it = new Scene();
  it.discovery = { attempts: [], server: { ...SERVER, source: "own environment" } };
  it.starts = () => Promise.reject(new Error("closed"));
  await it.host.restart();
  assert.equal(it.problems.at(0)?.remedies[0], "install");
});

test("a crash in use: started again with longer and longer delays, five times, then given up", async () => {
  const it = new Scene();
  await it.host.restart();
  for (let crash = 1; crash <= MOST_RESTARTS; crash++) {
    await it.crash();
    assert.equal(it.state()?.message, "The server crashed and is started again");
    assert.equal(it.problems.length, 0);
    await it.passTime();
    assert.equal(it.state()?.message, "Starting the server");
    assert.equal(it.host.current, it.connections[crash]);
  }
  assert.deepEqual(
    it.timers.map(({ delayMs }) => delayMs),
    [500, 1000, 2000, 4000, 8000],
  );
  await it.crash();
  assert.equal(it.problems.at(0)?.message, "The server crashed 6 times and stays off: out of memory.");
  assert.deepEqual(it.problems.at(0)?.remedies, ["log", "retry"]);
  assert.equal(it.state()?.state, "error");
  assert.equal(it.timers.length, MOST_RESTARTS);
});

test("a failed restart counts as a crash", async () => {
  const it = new Scene();
  await it.host.restart();
  it.starts = () => Promise.reject(new Error("closed"));
  await it.crash();
  await it.passTime();
  assert.equal(it.problems.length, 0);
  assert.equal(it.timers.length, 2);
});

test("the user's restart clears the record and searches again", async () => {
  const it = new Scene();
  await it.host.restart();
  await it.crash();
  await it.host.restart();
  assert.equal(it.searches, 2);
  await it.passTime(); // the old timer: there is a server already
  assert.equal(it.connections.length, 2);
  await it.crash();
  assert.equal(it.timers.at(-1)?.delayMs, 500);
});

test("a stopped server is not started again, and a late message of its end means nothing", async () => {
  const it = new Scene();
  await it.host.restart();
  await it.host.stop(statusOf("off", "Turned off"));
  assert.equal(it.connections[0]?.stopped, 1);
  await it.crash();
  assert.equal(it.timers.length, 0);
  assert.equal(it.state()?.message, "Turned off");
});

test("stopping while waiting to start again ends the waiting", async () => {
  const it = new Scene();
  await it.host.restart();
  await it.crash();
  await it.host.stop();
  await it.passTime();
  assert.equal(it.connections.length, 1);
  assert.equal(it.host.currentServer, undefined);
});

test("an error in a search does not block what comes after it", async () => {
  const it = new Scene();
  const host = new ServerHost<FakeConnection>({
    version: "0.1.0",
    find: () => (it.searches++ === 0 ? Promise.reject(new Error("no")) : Promise.resolve(it.discovery)),
    connect: (server, onClosed, onStatus) => new FakeConnection(server, onClosed, onStatus, it.starts),
    report: () => undefined,
    showStatus: () => undefined,
  });
  await assert.rejects(host.restart(), /no/);
  await host.restart();
  assert.ok(host.current);
});
