/** `midtoken/moreText` of the server: it has more text than the first words that it answered at a place. */

export interface MoreText {
  readonly uri: string;
  readonly version: number;
  readonly line: number;
  readonly character: number;
}

export const MORE_TEXT_METHOD = "midtoken/moreText";

/** Reads the notification; undefined if it is invalid. */
export function readMoreText(value: unknown): MoreText | undefined {
  const { textDocument, position } = fields(value);
  const { uri, version } = fields(textDocument);
  const { line, character } = fields(position);
  return typeof uri === "string" &&
    typeof version === "number" &&
    typeof line === "number" &&
    typeof character === "number"
    ? { uri, version, line, character }
    : undefined;
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
