/** The Python interpreter that the user selected for the workspace, from the Python extension. */

import { extensions, window, workspace, type Disposable, type Event, type Uri } from "vscode";

const PYTHON_EXTENSION = "ms-python.python";

/** The part of the Python extension's public interface that is used here. */
interface PythonExtension {
  readonly environments: {
    getActiveEnvironmentPath(resource?: Uri): { readonly path: string };
    resolveEnvironment(environment: {
      readonly path: string;
    }): Promise<{ readonly executable: { readonly uri?: Uri } } | undefined>;
    readonly onDidChangeActiveEnvironmentPath: Event<unknown>;
  };
}

async function pythonExtension(): Promise<PythonExtension | undefined> {
  const extension = extensions.getExtension<Partial<PythonExtension> | undefined>(PYTHON_EXTENSION);
  const api = await extension?.activate();
  return api?.environments === undefined ? undefined : { environments: api.environments };
}

/**
 * The path of the selected interpreter. Undefined if there is none, and in a workspace that is not trusted, because its
 * interpreter may be a file of the workspace.
 */
export async function selectedInterpreter(): Promise<string | undefined> {
  if (!workspace.isTrusted) {
    return undefined;
  }
  const python = await pythonExtension();
  if (python === undefined) {
    return undefined;
  }
  const resource = window.activeTextEditor?.document.uri ?? workspace.workspaceFolders?.[0]?.uri;
  const active = python.environments.getActiveEnvironmentPath(resource);
  const resolved = await python.environments.resolveEnvironment(active);
  return resolved?.executable.uri?.fsPath;
}

/** Calls back when the user selects another interpreter. */
export async function onInterpreterChange(callback: () => void): Promise<Disposable | undefined> {
  return (await pythonExtension())?.environments.onDidChangeActiveEnvironmentPath(callback);
}
