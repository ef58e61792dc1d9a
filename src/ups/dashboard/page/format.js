// Numbers and times as people read them.

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count as 12,345. A whole number that JavaScript would round comes as text. */
export const count = (value) => GROUPED.format(typeof value === "string" ? BigInt(value) : value);

/** `1 chart`, `2 charts` */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** A value with five digits at most: 0.01235, 1.2e-5, 12,345. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7))
    return trimmed(value.toExponential(3)).replace("-", "−").replace("e-", "e−").replace("e+", "e");
  if (Number.isInteger(value)) return GROUPED.format(value).replace("-", "−");
  return new Intl.NumberFormat("en", { maximumSignificantDigits: 5 }).format(value).replace("-", "−");
}

/** A value with all its digits. `digits`: those of a whole number that a number of JavaScript would round. */
export function exact(value, digits) {
  if (value === null || value === undefined) return "–";
  if (digits !== undefined || Number.isSafeInteger(value)) return count(digits ?? value).replace("-", "−");
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e16 ? value.toExponential() : String(value);
  return text.replace("-", "−").replace("e-", "e−").replace("e+", "e");
}

function trimmed(text) {
  return text.replace(/\.?0+e/, "e");
}

const SPANS = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"],
];

/** A stretch of seconds in its two largest units: `2 h 5 min`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [large, largeName, small, smallName] of SPANS) {
    if (whole < large) continue;
    const rest = Math.floor((whole % large) / small);
    return `${Math.floor(whole / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
  }
  return `${whole} s`;
}

/** How long ago, in its largest unit. */
export function age(seconds) {
  if (seconds < 5) return "now";
  for (const [large, name] of [
    [86400 * 365, "y"],
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ]) {
    if (seconds >= large) return `${Math.floor(seconds / large)} ${name} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

/** The date and time of epoch seconds, in the reader's own way. */
export function moment(epoch) {
  return new Date(epoch * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** The best unit for a stretch of so many seconds: its name and its length in seconds. */
export function timeUnit(seconds) {
  if (seconds > 2 * 86400) return ["days", 86400];
  if (seconds > 2 * 3600) return ["hours", 3600];
  if (seconds > 180) return ["minutes", 60];
  return ["seconds", 1];
}

/** The name of a run. */
export const runName = (card) => card.name || card.run_id || "run";

/** A metric without the stage that stands above it. */
export function shortName(metric, stage) {
  if (!stage) return metric;
  for (const start of [`training/${stage}/`, `${stage}/`])
    if (metric.startsWith(start)) return metric.slice(start.length);
  return metric;
}
