import { pathOf } from "../attributes.ts";
import { TemplateError } from "../template-error.ts";
import { capitalized, lowered, stripText } from "../texts/letters.ts";
import { percentFormat } from "../texts/percent-format.ts";
import { textOf } from "../texts/print.ts";
import { replaceText } from "../texts/search-text.ts";
import { centered, splitLines } from "../texts/text-methods.ts";
import { charsOf, Dict, isTrue, itemsOf, listOf, plain, Tuple, type Value } from "../values.ts";
import { tickText } from "../work.ts";
import type { Filter } from "./filter-type.ts";

/** A filter of the value's text. */
const ofText = (
  signature: string,
  run: (text: string, given: Parameters<Filter[1]>[1]) => Value,
): Filter => [
  signature,
  (value, given) => {
    const text = textOf(value);
    tickText(text.length);
    return run(text, given);
  },
];

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};
const escapeMarkup = ofText("", (text) => text.replace(/[&<>"']/g, (char) => ESCAPES[char]!));

/** A word begins at the start, and behind white space, a hyphen or an opening bracket. */
const title = (text: string): string =>
  text
    .split(/([-\s({[<]+)/)
    .map((part) =>
      part === ""
        ? ""
        : `${Array.from(part)[0]!.toUpperCase()}${lowered(Array.from(part).slice(1).join(""))}`,
    )
    .join("");

function indented(text: string, given: Parameters<Filter[1]>[1]): string {
  const width = given.value("width");
  const by = typeof width === "string" ? width : " ".repeat(given.whole("width", 4));
  const [first, blank] = [isTrue(given.value("first")), isTrue(given.value("blank"))];
  const lines = splitLines(`${text}\n`, false);
  tickText(text.length + lines.length * by.length);
  const rest = lines.slice(1).map((line) => (blank || line !== "" ? by + line : line));
  return (first ? by : "") + [lines[0] ?? "", ...rest].join("\n");
}

function truncated(text: string, given: Parameters<Filter[1]>[1]): string {
  const length = given.whole("length", 255);
  const end = given.text("end", "...");
  const chars = Array.from(charsOf(text));
  if (chars.length <= length + given.whole("leeway", 5)) return text;
  const kept = chars.slice(0, Math.max(length - charsOf(end).length, 0)).join("");
  if (isTrue(given.value("killwords"))) return kept + end;
  const space = kept.lastIndexOf(" ");
  return (space === -1 ? kept : kept.slice(0, space)) + end;
}

function percentEncoded(value: Value): string {
  const quote = (part: Value, safe: string) =>
    Array.from(new TextEncoder().encode(plain(textOf(part))), (byte) => {
      const char = String.fromCharCode(byte);
      const kept = /[A-Za-z0-9_.~-]/.test(char) || safe.includes(char);
      return kept ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    }).join("");
  if (
    typeof value === "string" ||
    (!(value instanceof Dict) && !Array.isArray(value) && !(value instanceof Tuple))
  )
    return quote(value, "/");
  const pairs =
    value instanceof Dict
      ? Array.from(value.entries(), (pair) => [...pair])
      : listOf(value).map(listOf);
  return pairs
    .map(
      ([key = null, item = null]) =>
        `${quote(key, "").replaceAll("%20", "+")}=${quote(item, "").replaceAll("%20", "+")}`,
    )
    .join("&");
}

function wrapped(text: string, given: Parameters<Filter[1]>[1]): string {
  const width = given.whole("width", 79);
  if (width <= 0) throw new TemplateError("wordwrap needs a width above 0");
  const wrap = (line: string): string[] => {
    const lines: string[] = [];
    let current = "";
    // Hyphens end a piece too.
    for (const piece of line.match(/\s+|[^\s-]*-+(?=\w)|\S+/g) ?? []) {
      if (current !== "" && (current + piece.trimEnd()).length > width) {
        lines.push(current.trimEnd());
        current = piece.trim() === "" ? "" : piece;
      } else current += piece;
      while (current.length > width) {
        const chars = Array.from(current);
        lines.push(chars.slice(0, width).join(""));
        current = chars.slice(width).join("");
      }
    }
    if (current.trimEnd() !== "") lines.push(current.trimEnd());
    return lines;
  };
  const separator = given.text("wrapstring", "\n");
  return splitLines(text, false)
    .map((line) => wrap(line).join(separator))
    .join(separator);
}

export const TEXT_FILTERS: readonly (readonly [string, Filter])[] = [
  ["upper", ofText("", (text) => text.toUpperCase())],
  ["lower", ofText("", lowered)],
  ["capitalize", ofText("", capitalized)],
  ["title", ofText("", title)],
  ["string", ofText("", (text) => text)],
  ["safe", ofText("", (text) => text)],
  ["escape", escapeMarkup],
  ["e", escapeMarkup],
  ["forceescape", escapeMarkup],
  [
    "trim",
    ofText("chars?", (text, given) =>
      stripText(
        charsOf(text),
        "both",
        given.value("chars") === null ? undefined : given.plain("chars"),
      ),
    ),
  ],
  [
    "replace",
    ofText("old new count?", (text, given) =>
      replaceText(
        text,
        textOf(given.value("old")),
        textOf(given.value("new")),
        given.wholeOrNone("count"),
      ),
    ),
  ],
  ["center", ["width?", (value, given) => centered(textOf(value), given.whole("width", 80))]],
  ["indent", ofText("width? first? blank?", indented)],
  ["truncate", ofText("length? killwords? end? leeway?", truncated)],
  ["wordwrap", ofText("width? break_long_words? wrapstring? break_on_hyphens?", wrapped)],
  ["wordcount", ofText("", (text) => BigInt(plain(text).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0))],
  [
    "striptags",
    ofText("", (text) =>
      text
        .replace(/<!--.*?-->|<.*?>/gs, "")
        .replace(/\s+/g, " ")
        .trim(),
    ),
  ],
  ["urlencode", ["", (value) => percentEncoded(value)]],
  [
    "format",
    [
      "*",
      (value, _, { args, keywords }) => {
        if (args.length > 0 && keywords.size > 0)
          throw new TemplateError("format takes values by position or by name, not both");
        const values = keywords.size > 0 ? new Dict(keywords) : new Tuple(args);
        return percentFormat(textOf(value), values);
      },
    ],
  ],
  ["join", ["d? attribute?", (value, given) => joined(value, given)]],
];

function joined(value: Value, given: Parameters<Filter[1]>[1]): string {
  const separator = textOf(given.get("d") ?? "");
  let out = "";
  let first = true;
  const attribute = given.value("attribute");
  const path = attribute === null ? (item: Value) => item : pathOf(attribute);
  for (const item of itemsOf(value)) {
    if (!first) out += separator;
    first = false;
    const text = textOf(path(item));
    tickText(separator.length + text.length);
    out += text;
  }
  return out;
}
