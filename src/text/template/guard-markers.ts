import { invalidArgument } from "../../errors.ts";
import type { LiteralFinder } from "../literal-finder.ts";

/**
 * Puts `guard` behind the first character of every marker spelled in the content, and of an unfinished one at its
 * end, which the text behind the content could complete. The template sees the content as if it were unchanged, so
 * that it may search, trim or cut it as it likes.
 */
function guardMarkers(content: string, guard: string, markers: LiteralFinder): string {
  const end = content.trimEnd();
  let out = "";
  for (let at = 0; at < content.length; at++) {
    out += content[at];
    const spelled = markers.matchAt(content, at) > 0;
    if (spelled || (at < end.length && markers.mayContinueFrom(end, at))) out += guard;
  }
  return out;
}

/** The same for all texts of plain data. */
export function guardAll<T>(data: T, guard: string, markers: LiteralFinder): T {
  const guarded = (value: unknown): unknown => {
    if (typeof value === "string") return guardMarkers(value, guard, markers);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(guarded);
    return Object.fromEntries(Object.entries(value).map((entry) => entry.map(guarded)));
  };
  return guarded(data) as T;
}

/** A noncharacter (Unicode sets U+FDD0 to U+FDEF aside for such internal use) none of the texts has. */
export function unusedCharacter(texts: readonly string[]): string {
  for (let code = 0xfdd0; code <= 0xfdef; code++) {
    const char = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(char))) return char;
  }
  throw invalidArgument("messages", "they use all of the noncharacters U+FDD0 to U+FDEF");
}
