/** Python's ideas of letters, digits and white space. */

/** Separators of ASCII that JavaScript does not count as white space, and U+0085. */
const SEPARATORS = "\x1c\x1d\x1e\x1f\x85";

export const isSpace = (char: string): boolean =>
  SEPARATORS.includes(char) || (char.trim() === "" && char !== "\ufeff");

/** Takes `taken` (white space where none are given) from the ends, as Python's strip. */
export function stripText(
  chars: ArrayLike<string>,
  sides: "both" | "left" | "right",
  taken?: string,
): string {
  const takes = taken === undefined ? isSpace : (char: string) => taken.includes(char);
  // A guard may stand behind a character.
  const first = (char: string) => String.fromCodePoint(char.codePointAt(0)!);
  let [start, end] = [0, chars.length];
  if (sides !== "right") while (start < end && takes(first(chars[start]!))) start++;
  if (sides !== "left") while (end > start && takes(first(chars[end - 1]!))) end--;
  if (typeof chars === "string") return chars.slice(start, end);
  return Array.prototype.slice.call(chars, start, end).join("");
}

const CASED = /\p{Lu}|\p{Ll}|\p{Lt}/u;

/** Python's `str.title`: a letter is a capital where none is before it. */
export function titled(text: string): string {
  let inWord = false;
  return Array.from(text, (char) => {
    const cased = CASED.test(char);
    const out = !cased ? char : inWord ? char.toLowerCase() : titleLetter(char);
    inWord = cased;
    return out;
  }).join("");
}

/** A first letter: of a ligature only its first part is a capital. */
function titleLetter(char: string): string {
  const upper = Array.from(char.toUpperCase());
  return upper[0] + upper.slice(1).join("").toLowerCase();
}

export function capitalized(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return first === "" ? "" : titleLetter(first) + lowered(rest.join(""));
}

export const lowered = (text: string): string => text.toLowerCase();

export function swapped(text: string): string {
  return Array.from(text, (char) =>
    /\p{Lu}/u.test(char) ? char.toLowerCase() : /\p{Ll}/u.test(char) ? char.toUpperCase() : char,
  ).join("");
}

const allOf = (class_: RegExp) => (text: string) => class_.test(text);
const hasCase = (text: string) => CASED.test(text);

/** The methods of a text that answer a question about all of its characters. */
export const CHARACTER_TESTS: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ["isalpha", allOf(/^\p{L}+$/u)],
  ["isdecimal", allOf(/^\p{Nd}+$/u)],
  [
    "isdigit",
    allOf(
      /^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792]+$/u,
    ),
  ],
  ["isnumeric", allOf(/^[\p{N}]+$/u)],
  ["isalnum", allOf(/^[\p{L}\p{N}]+$/u)],
  ["isspace", (text: string) => text !== "" && Array.from(text).every(isSpace)],
  ["isupper", (text: string) => hasCase(text) && !/[\p{Ll}\p{Lt}]/u.test(text)],
  ["islower", (text: string) => hasCase(text) && !/[\p{Lu}\p{Lt}]/u.test(text)],
  ["istitle", (text: string) => hasCase(text) && titled(text) === text],
  ["isascii", (text: string) => !/[^\0-\x7f]/.test(text)],
  ["isidentifier", allOf(/^[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*$/u)],
  ["isprintable", (text: string) => !/(?! )[\p{C}\p{Z}]/u.test(text)],
]);
