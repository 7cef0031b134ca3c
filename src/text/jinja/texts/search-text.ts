/** Searching in texts that may hold guards: the text is matched as if they were not there. */
import { plain } from "../values.ts";
import { guard, tick, tickText } from "../work.ts";

export interface Found {
  readonly start: number;
  readonly end: number;
}

const escaped = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");

/** The first occurrence from the unit `from` on. Guards behind its last character are not part of it. */
export function search(text: string, wanted: string, from = 0): Found | undefined {
  wanted = plain(wanted);
  if (guard === "" || wanted === "" || !text.includes(guard)) {
    const start = text.indexOf(wanted, from);
    return start === -1 ? undefined : { start, end: start + wanted.length };
  }
  const pattern = new RegExp([...wanted].map(escaped).join(`${guard}*`), "gsu");
  pattern.lastIndex = from;
  const match = pattern.exec(text);
  return match ? { start: match.index, end: match.index + match[0].length } : undefined;
}

/** All occurrences that do not overlap, at most `limit`. */
export function searchAll(text: string, wanted: string, limit = Number.POSITIVE_INFINITY): Found[] {
  const all: Found[] = [];
  for (let from = 0; all.length < limit; ) {
    const found = search(text, wanted, from);
    if (!found) break;
    tick();
    all.push(found);
    from = found.end;
  }
  return all;
}

/** The text in pieces between the occurrences. */
export function cut(text: string, occurrences: readonly Found[]): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (const { start, end } of occurrences) {
    pieces.push(text.slice(from, start));
    from = end;
  }
  return [...pieces, text.slice(from)];
}

/** Python's `str.replace`. */
export function replaceText(
  text: string,
  old: string,
  by: string,
  limit = Number.POSITIVE_INFINITY,
): string {
  if (limit < 0) limit = Number.POSITIVE_INFINITY;
  if (plain(old) !== "") {
    const found = searchAll(text, old, limit);
    tickText(text.length + found.length * by.length);
    return cut(text, found).join(by);
  }
  tickText(text.length * (by.length + 1));
  let out = "";
  let made = 0;
  for (const char of [...text, ""]) out += (made++ < limit ? by : "") + char;
  return out;
}
