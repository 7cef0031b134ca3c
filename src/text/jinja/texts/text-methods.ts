import { Given } from "../arguments.ts";
import { TemplateError } from "../template-error.ts";
import { charsOf, itemsOf, type Keywords, plain, Tuple, typeName, type Value } from "../values.ts";
import { tickText } from "../work.ts";
import {
  CHARACTER_TESTS,
  capitalized,
  isSpace,
  lowered,
  stripText,
  swapped,
  titled,
} from "./letters.ts";
import { cut, type Found, replaceText, search, searchAll } from "./search-text.ts";

type Method = readonly [signature: string, run: (text: string, given: Given) => Value];

const strip =
  (sides: "both" | "left" | "right"): Method[1] =>
  (text, given) =>
    stripText(
      charsOf(text),
      sides,
      given.value("chars") === null ? undefined : given.plain("chars"),
    );

/** Positions in characters, as Python counts them. */
function find(text: string, given: Given, last: boolean): number {
  const wanted = Array.from(plain(given.text("sub")));
  const chars = Array.from(plain(text));
  const at = (name: string, fallback: number) => {
    const bound = given.wholeOrNone(name) ?? fallback;
    return Math.min(Math.max(bound < 0 ? bound + chars.length : bound, 0), chars.length + 1);
  };
  const [start, end] = [
    at("start", 0),
    Math.min(at("end", chars.length), chars.length) - wanted.length,
  ];
  const matches = (from: number) => wanted.every((char, i) => chars[from + i] === char);
  if (last) {
    for (let from = end; from >= start; from--) if (matches(from)) return from;
  } else for (let from = start; from <= end; from++) if (matches(from)) return from;
  return -1;
}

function index(text: string, given: Given, last: boolean): bigint {
  const at = find(text, given, last);
  if (at === -1) throw new TemplateError("substring not found");
  return BigInt(at);
}

const fits =
  (matches: (text: string, part: string) => boolean): Method[1] =>
  (text, given) => {
    const wanted = given.value("prefix");
    const parts = wanted instanceof Tuple ? wanted.items : [wanted];
    const within = part(plain(text), given.wholeOrNone("start"), given.wholeOrNone("end"));
    return parts.some((part) => {
      if (typeof part !== "string")
        throw new TemplateError(`a text or a tuple of texts is needed, not ${typeName(part)}`);
      return within !== undefined && matches(within, plain(part));
    });
  };

function part(text: string, start?: number, end?: number): string | undefined {
  if (start === undefined && end === undefined) return text;
  const chars = Array.from(text);
  return (start ?? 0) > chars.length ? undefined : chars.slice(start, end).join("");
}

function split(text: string, given: Given, fromEnd: boolean): Value {
  const most = given.whole("maxsplit", -1);
  const limit = most < 0 ? Number.POSITIVE_INFINITY : most;
  if (given.value("sep") === null) return splitWords(text, limit, fromEnd);
  const separator = given.plain("sep");
  if (separator === "") throw new TemplateError("empty separator");
  if (!fromEnd) return cut(text, searchAll(text, separator, limit));
  const found = searchAll(text, separator);
  return cut(text, limit === 0 ? [] : found.slice(-Math.min(limit, found.length)));
}

/** At white space; there are no empty pieces. */
function splitWords(text: string, limit: number, fromEnd: boolean): string[] {
  const words: Found[] = [];
  let start = -1;
  for (let i = 0; i <= text.length; i++) {
    const space = i === text.length || isSpace(text[i]!);
    if (!space && start === -1) start = i;
    if (space && start !== -1) {
      words.push({ start, end: i });
      start = -1;
    }
  }
  const pieces = words.map((word) => text.slice(word.start, word.end));
  if (words.length <= limit) return pieces;
  if (!fromEnd)
    return [...pieces.slice(0, limit), stripText(text.slice(words[limit]!.start), "left")].filter(
      (piece) => piece !== "",
    );
  const kept = words.length - limit;
  return [text.slice(0, words[kept - 1]!.end), ...pieces.slice(kept)].map((piece, i) =>
    i === 0 ? stripText(piece, "right") : piece,
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at these separators of ASCII too
const LINE_END = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/g;

export function splitLines(text: string, keepEnds: boolean): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const { index, 0: end } of text.matchAll(LINE_END)) {
    lines.push(text.slice(from, keepEnds ? index + end.length : index));
    from = index + end.length;
  }
  return from < text.length ? [...lines, text.slice(from)] : lines;
}

function pad(text: string, given: Given, place: (missing: number) => number): string {
  const [width, fill] = [given.whole("width", 0), given.text("fillchar", " ")];
  const missing = width - charsOf(text).length;
  if (missing <= 0) return text;
  tickText(width);
  const left = place(missing);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

export const centered = (text: string, width: number, fill = " "): string => {
  const missing = width - charsOf(text).length;
  if (missing <= 0) return text;
  tickText(width);
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
};

export function joinTexts(separator: string, values: Iterable<Value>): string {
  let out = "";
  let at = 0;
  for (const value of values) {
    if (typeof value !== "string")
      throw new TemplateError(`item ${at} of a join is no text, but ${typeName(value)}`);
    out += (at++ === 0 ? "" : separator) + value;
    tickText(separator.length + value.length);
  }
  return out;
}

function partition(text: string, given: Given, last: boolean): Value {
  const all = searchAll(text, given.text("sep"));
  const found = last ? all.at(-1) : all[0];
  if (!found) return new Tuple(last ? ["", "", text] : [text, "", ""]);
  const { start, end } = found;
  return new Tuple([text.slice(0, start), text.slice(start, end), text.slice(end)]);
}

function zeroFilled(text: string, given: Given): string {
  const sign = /^[-+]/.exec(text)?.[0] ?? "";
  const missing = given.whole("width", 0) - charsOf(text).length;
  tickText(Math.max(missing, 0));
  return sign + "0".repeat(Math.max(missing, 0)) + text.slice(sign.length);
}

function expandTabs(text: string, size: number): string {
  let column = 0;
  return Array.from(charsOf(text), (char) => {
    if (char === "\n" || char === "\r") column = 0;
    else if (char !== "\t") column++;
    else {
      const spaces = size > 0 ? size - (column % size) : 0;
      column += spaces;
      tickText(column);
      return " ".repeat(spaces);
    }
    return char;
  }).join("");
}

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["upper", ["", (text) => text.toUpperCase()]],
  ["lower", ["", (text) => lowered(text)]],
  ["casefold", ["", (text) => text.replaceAll("ß", "ss").toLowerCase()]],
  ["capitalize", ["", (text) => capitalized(text)]],
  ["title", ["", (text) => titled(text)]],
  ["swapcase", ["", (text) => swapped(text)]],
  ["strip", ["chars?", strip("both")]],
  ["lstrip", ["chars?", strip("left")]],
  ["rstrip", ["chars?", strip("right")]],
  ["split", ["sep? maxsplit?", (text, given) => split(text, given, false)]],
  ["rsplit", ["sep? maxsplit?", (text, given) => split(text, given, true)]],
  [
    "splitlines",
    ["keepends?", (text, given) => splitLines(text, given.value("keepends") === true)],
  ],
  ["startswith", ["prefix start? end?", fits((text, part) => text.startsWith(part))]],
  ["endswith", ["prefix start? end?", fits((text, part) => text.endsWith(part))]],
  ["replace", ["old new count?", (text, given) => replaced(text, given)]],
  ["join", ["iterable", (text, given) => joinTexts(text, itemsOf(given.value("iterable")))]],
  ["find", ["sub start? end?", (text, given) => BigInt(find(text, given, false))]],
  ["rfind", ["sub start? end?", (text, given) => BigInt(find(text, given, true))]],
  ["index", ["sub start? end?", (text, given) => index(text, given, false)]],
  ["rindex", ["sub start? end?", (text, given) => index(text, given, true)]],
  ["count", ["sub start? end?", (text, given) => count(text, given)]],
  [
    "center",
    [
      "width fillchar?",
      (text, given) => centered(text, given.whole("width", 0), given.text("fillchar", " ")),
    ],
  ],
  ["ljust", ["width fillchar?", (text, given) => pad(text, given, () => 0)]],
  ["rjust", ["width fillchar?", (text, given) => pad(text, given, (missing) => missing)]],
  ["zfill", ["width", (text, given) => zeroFilled(text, given)]],
  ["partition", ["sep", (text, given) => partition(text, given, false)]],
  ["rpartition", ["sep", (text, given) => partition(text, given, true)]],
  ["removeprefix", ["prefix", (text, given) => without(text, given.text("prefix"), true)]],
  ["removesuffix", ["suffix", (text, given) => without(text, given.text("suffix"), false)]],
  ["expandtabs", ["tabsize?", (text, given) => expandTabs(text, given.whole("tabsize", 8))]],
]);

function replaced(text: string, given: Given): string {
  return replaceText(text, given.text("old"), given.text("new"), given.whole("count", -1));
}

function count(text: string, given: Given): bigint {
  const wanted = given.plain("sub");
  const within = part(plain(text), given.wholeOrNone("start"), given.wholeOrNone("end")) ?? "";
  if (wanted === "") return BigInt(Array.from(within).length + 1);
  return BigInt(searchAll(within, wanted).length);
}

function without(text: string, part: string, front: boolean): string {
  if (plain(part) === "") return text;
  const found = front ? search(text, part) : searchAll(text, part).at(-1);
  if (front && found?.start === 0) return text.slice(found.end);
  if (!front && found && plain(text).endsWith(plain(part))) return text.slice(0, found.start);
  return text;
}

/** The method of that name of a text, or undefined. */
export function textMethod(
  text: string,
  name: string,
): ((args: readonly Value[], keywords: Keywords) => Value) | undefined {
  const test = CHARACTER_TESTS.get(name);
  if (test)
    return (args, keywords) => {
      new Given(name, "", args, keywords);
      return test(plain(text));
    };
  const method = METHODS.get(name);
  if (!method) return undefined;
  const [signature, run] = method;
  return (args, keywords) => {
    tickText(text.length);
    return run(text, new Given(name, signature, args, keywords));
  };
}
