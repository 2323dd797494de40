/** The server's table of models as entries of a pick list. Nothing here depends on the editor. */

/** A row of `midtoken.server.listModels`. Unknown values are null. */
export interface Model {
  readonly name: string;
  readonly source: string;
  readonly parameters: number | null;
  readonly quantization: string | null;
  readonly fim: boolean | null;
  readonly licence: string | null;
  readonly bytes: number;
  readonly state: "ready" | "convertible" | "unusable";
  readonly reason: string | null;
}

/** The server's answer. `setting` is the present value of its setting `model`. */
export interface Models {
  readonly models: readonly Model[];
  readonly setting: string | null;
  readonly problem: string | null;
}

/** The result of `midtoken.server.addModel`. */
export interface Added {
  readonly state: "added" | "unchanged" | "failed" | "cancelled";
  readonly name: string;
  readonly problem: string | null;
}

export const LIST_MODELS = "midtoken.server.listModels";
export const ADD_MODEL = "midtoken.server.addModel";
export const BUNDLED = "bundled";

const STATES = ["ready", "convertible", "unusable"] as const;
const HEADINGS = {
  ready: "Ready",
  convertible: "On this machine, to be added",
  unusable: "Cannot be used",
} as const satisfies Record<Model["state"], string>;

const PLACES: Readonly<Record<string, string>> = {
  ollama: "Ollama",
  "lm-studio": "LM Studio",
  "hugging-face": "Hugging Face",
};

export interface ModelItem {
  readonly label: string;
  readonly description: string;
  readonly detail?: string;
  readonly model: Model;
}

/** The models grouped by what can be done with them, each group with a heading. Empty groups are left out. */
export function modelGroups(found: Models): { heading: string; items: ModelItem[] }[] {
  return STATES.map((state) => ({
    heading: HEADINGS[state],
    items: found.models.filter((model) => model.state === state).map((model) => itemOf(model, found.setting)),
  })).filter(({ items }) => items.length > 0);
}

function itemOf(model: Model, setting: string | null): ModelItem {
  const current = (setting ?? BUNDLED) === model.name;
  const facts = [
    PLACES[model.source] ?? model.source,
    model.parameters === null ? "" : `${count(model.parameters)} parameters`,
    model.quantization ?? "",
    size(model.bytes),
    model.fim === false ? "prefix only" : "",
    model.licence ?? "licence not stated",
  ];
  return {
    label: current ? `$(check) ${model.name}` : model.name,
    description: facts.filter((fact) => fact !== "").join(" · "),
    ...(model.reason === null ? {} : { detail: model.reason }),
    model,
  };
}

function count(value: number): string {
  return value >= 1e9 ? `${(value / 1e9).toFixed(1)} B` : `${Math.round(value / 1e6)} M`;
}

function size(bytes: number): string {
  return bytes === 0 ? "" : bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}

/** Reads the server's answer; undefined if it is invalid, for example from an older server. */
export function readModels(answer: unknown): Models | undefined {
  if (typeof answer !== "object" || answer === null || !("models" in answer) || !Array.isArray(answer.models)) {
    return undefined;
  }
  const raw = answer as { models: unknown[]; setting?: unknown; problem?: unknown };
  return {
    models: raw.models.filter(isModel),
    setting: typeof raw.setting === "string" && raw.setting !== "" ? raw.setting : null,
    problem: typeof raw.problem === "string" ? raw.problem : null,
  };
}

function isModel(raw: unknown): raw is Model {
  const model = raw as Partial<Record<keyof Model, unknown>> | null;
  return typeof model?.name === "string" && STATES.some((state) => state === model.state);
}

/** Reads the result of adding a model. */
export function readAdded(answer: unknown): Added | undefined {
  const raw = answer as Partial<Record<keyof Added, unknown>> | null;
  const states = ["added", "unchanged", "failed", "cancelled"] as const;
  const state = states.find((one) => one === raw?.state);
  return state === undefined
    ? undefined
    : { state, name: String(raw?.name), problem: typeof raw?.problem === "string" ? raw.problem : null };
}
