/** An object of the server, as lines for people. */

/** `{"a": {"b": 1.5}, "c": [1, 2]}` becomes `a.b: 1.5`, `c: 1, 2`. What is null or empty is left out. */
export function factLines(value: unknown, path = ""): string[] {
  if (value === null || value === undefined || value === "") {
    return [];
  }
  if (Array.isArray(value) && value.every((part) => typeof part !== "object")) {
    return value.length > 0 ? [`${path}: ${value.join(", ")}`] : [];
  }
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([name, part]) => factLines(part, path === "" ? name : `${path}.${name}`));
  }
  const text = typeof value === "number" ? plain(value) : typeof value === "string" ? value : JSON.stringify(value);
  return [path === "" ? text : `${path}: ${text}`];
}

function plain(value: number): string {
  return Number.isInteger(value) ? `${value}` : `${Number(value.toPrecision(4))}`;
}
