/** The text of the status bar. */

/** `midtoken/status` of the server. The extension makes one itself while there is no server. */
export interface Status {
  readonly state: "loading" | "ready" | "busy" | "off" | "error";
  readonly message: string | null;
  /** The name of the model that serves, as in the list of models. */
  readonly model: string | null;
  readonly device: "cpu" | "cuda" | null;
  /** The median time of recent answers. */
  readonly latencyMs: number | null;
}

export const STATUS_METHOD = "midtoken/status";

export function statusOf(state: Status["state"], message: string | null = null): Status {
  return { state, message, model: null, device: null, latencyMs: null };
}

const ICONS = {
  loading: "$(loading~spin)",
  ready: "$(check)",
  busy: "$(sync~spin)",
  off: "$(circle-slash)",
  error: "$(error)",
} as const satisfies Record<Status["state"], string>;

const WORDS = {
  loading: "loading",
  ready: "ready",
  busy: "completing",
  off: "off",
  error: "not working",
} as const satisfies Record<Status["state"], string>;

const MOST_NAME_CHARACTERS = 24;

/** The text in the bar: `$(check) Midtoken: bundled 38 ms`; without the name until a model is loaded. */
export function barText(status: Status): string {
  const latency = status.latencyMs === null || !isRunning(status) ? "" : ` ${Math.round(status.latencyMs)} ms`;
  return `${ICONS[status.state]} Midtoken${nameIn(status)}${latency}`;
}

function nameIn({ model }: Status): string {
  const plain = (model ?? "").replace(/[$()]/g, ""); // the bar would turn them into icons
  if (plain === "") {
    return "";
  }
  return `: ${plain.length > MOST_NAME_CHARACTERS ? `${plain.slice(0, MOST_NAME_CHARACTERS - 1).trimEnd()}…` : plain}`;
}

/** The lines of the hover text, which screen readers also read. */
export function barTooltip(status: Status): string[] {
  const lines = [`Midtoken: ${WORDS[status.state]}`];
  if (status.message !== null) {
    lines.push(status.message);
  }
  if (status.model !== null) {
    lines.push(`Model: ${status.model}${status.device === null ? "" : ` on ${status.device}`}`);
  }
  if (status.latencyMs !== null) {
    lines.push(`Median time of recent answers: ${Math.round(status.latencyMs)} ms`);
  }
  return lines;
}

/** Whether the server answers requests. */
export function isRunning(status: Status): boolean {
  return status.state === "ready" || status.state === "busy";
}

/** Reads the server's notification; undefined if it is invalid. */
export function readStatus(params: unknown): Status | undefined {
  if (typeof params !== "object" || params === null) {
    return undefined;
  }
  const raw = params as Partial<Record<keyof Status, unknown>>;
  if (typeof raw.state !== "string" || !Object.hasOwn(ICONS, raw.state)) {
    return undefined;
  }
  return {
    state: raw.state as Status["state"],
    message: typeof raw.message === "string" ? raw.message : null,
    model: typeof raw.model === "string" ? raw.model : null,
    device: raw.device === "cpu" || raw.device === "cuda" ? raw.device : null,
    latencyMs: typeof raw.latencyMs === "number" && Number.isFinite(raw.latencyMs) ? raw.latencyMs : null,
  };
}
