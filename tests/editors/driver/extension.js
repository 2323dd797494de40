// Runs in the extension host what a test sends: a line of JSON in, a line of JSON out, over a socket that is named by
// the process, so that two windows of one server do not meet.
'use strict';

const net = require('node:net');
const path = require('node:path');
const readline = require('node:readline');
const vscode = require('vscode');

const AsyncFunction = (async () => {}).constructor;

async function run(line) {
  try {
    const { code, args } = JSON.parse(line);
    const result = await new AsyncFunction('vscode', 'args', code)(vscode, args);
    return JSON.stringify({ result: result ?? null });
  } catch (error) {
    return JSON.stringify({ error: String(error?.stack ?? error) });
  }
}

exports.activate = (context) => {
  const server = net.createServer((socket) => {
    readline.createInterface({ input: socket }).on('line', async (line) => socket.write(`${await run(line)}\n`));
  });
  server.listen(path.join(process.env.EDITOR_TEST_SOCKETS, String(process.pid)));
  context.subscriptions.push({ dispose: () => server.close() });
};
