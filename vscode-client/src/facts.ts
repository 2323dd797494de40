/** Shows a JSON object of the server as lines for people. */

/** `{"memory": {"residentBytes": 4096}}` becomes `memory resident bytes: 4,096`. Null and empty values are left out. */
export function factLines(value: unknown, path = ""): string[] {
  if (value === null || value === undefined || value === "") {
    return [];
  }
  if (Array.isArray(value) && value.every((part) => typeof part !== "object")) {
    return value.length > 0 ? [`${path}: ${value.join(", ")}`] : [];
  }
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([name, part]) => factLines(part, `${path} ${words(name)}`.trim()));
  }
  const text = typeof value === "number" ? plain(value) : typeof value === "string" ? value : JSON.stringify(value);
  return [path === "" ? text : `${path}: ${text}`];
}

/** Turns `residentBytes` into words. */
function words(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function plain(value: number): string {
  return (Number.isInteger(value) ? value : Number(value.toPrecision(4))).toLocaleString("en");
}
