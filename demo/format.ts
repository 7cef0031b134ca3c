import type { ReadProgress } from "../src/api/types.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Decimal units, three significant digits: 98.4 MB. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = Math.max(0, bytes);
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Grouped by thousands in the reader's own way. */
export const formatCount = (count: number): string => Math.round(count).toLocaleString();

/** About how many tokens a text has: four characters each is usual for English. */
export const estimateTokens = (text: string): number => Math.ceil(text.length / 4);

/** "about 12,000 tokens". */
export function formatTokens(text: string): string {
  const tokens = estimateTokens(text);
  const digits = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, tokens))) - 1);
  return `about ${formatCount(Math.ceil(tokens / digits) * digits)} tokens`;
}

/** "about 40 s", "about 3 min": nobody needs the seconds of a long wait. */
export function formatWait(seconds: number): string {
  if (seconds < 1.5) return "about a second";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}

/** "1,024 of 12,000 tokens read, about 40 s left". */
export function formatReading({ read, total, secondsLeft }: ReadProgress): string {
  const done = `${formatCount(read)} of ${formatCount(total)} tokens read`;
  return secondsLeft === undefined ? done : `${done}, ${formatWait(secondsLeft)} left`;
}

/** "today", "yesterday", or the date in the reader's own way. */
export function formatDay(date: Date, now = new Date()): string {
  const days = Math.round((startOfDay(now) - startOfDay(date)) / 86_400_000);
  if (days <= 0) return "today";
  if (days === 1) return "yesterday";
  return date.toLocaleDateString(undefined, { dateStyle: "medium" });
}

const startOfDay = (date: Date): number => new Date(date).setHours(0, 0, 0, 0);

/** One decimal below 100. */
export const formatRate = (perSecond: number): string =>
  perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1);

export const formatSeconds = (seconds: number): string =>
  seconds < 10 ? `${seconds.toFixed(2)}\u00a0s` : `${seconds.toFixed(1)}\u00a0s`;

/** "smaller by" factor: 4.2x; below 1.05 there is nothing to boast of. */
export function formatFactor(whole: number, part: number): string {
  if (part <= 0 || whole / part < 1.05) return "";
  const factor = whole / part;
  return `${factor >= 10 ? factor.toFixed(0) : factor.toFixed(1)}×`;
}

/** A token as a reader can see it: line ends and lone spaces become signs. */
export function visibleToken(text: string): string {
  if (text === "") return "(control)";
  const shown = text.replaceAll("\n", "↵").replaceAll("\t", "⇥");
  return shown.trim() === "" ? shown.replaceAll(" ", "␣") : shown;
}
