/** How values are written as text: JSON, or one of the ways in which models write the arguments of a call. */
export interface Notation {
  /** Tells its rules from those of others. */
  readonly name: string;
  /** Of null, true and false. */
  readonly words: readonly [none: string, yes: string, no: string];
  readonly brackets: {
    readonly object: readonly [string, string];
    readonly array: readonly [string, string];
  };
  readonly comma: string;
  /** In front of a key, between it and its value, and behind the value. */
  readonly entry: readonly [before: string, between: string, behind: string];
  /** Spaces and lines may stand where JSON lets them. */
  readonly spaced: boolean;
  /**
   * Undefined: strings and keys are JSON's. Else both stand as they are, strings between two texts, and cannot have one
   * that would end them.
   */
  readonly raw?: { readonly begin: string; readonly end: string; readonly without: string };
}

/** JSON as models may like to write it. */
export const JSON_NOTATION: Notation = {
  name: "",
  words: ["null", "true", "false"],
  brackets: { object: ["{", "}"], array: ["[", "]"] },
  comma: ",",
  entry: ["", ":", ""],
  spaced: true,
};

/** JSON as Python writes it, which is what templates show to models. */
export const DUMPED: Notation = {
  ...JSON_NOTATION,
  name: "dumped ",
  comma: ", ",
  entry: ["", ": ", ""],
  spaced: false,
};

/** What cannot be a key that stands as it is. */
const PLAIN_KEY = /^[\p{L}\p{N}_$@#./-]+$/u;

/** Whether a key may stand as it is. */
export const isPlainKey = (key: string): boolean => PLAIN_KEY.test(key);

/** A value as a text; undefined where the notation has none for it. */
export function written(value: unknown, notation: Notation, inside = notation): string | undefined {
  const { words, brackets, comma, entry, raw } = notation;
  if (value === null) return words[0];
  if (typeof value === "boolean") return words[value ? 1 : 2];
  if (typeof value === "string") {
    if (!raw) return JSON.stringify(value);
    return value.includes(raw.without) ? undefined : raw.begin + value + raw.end;
  }
  if (typeof value !== "object") return JSON.stringify(value);
  const parts = Array.isArray(value)
    ? value.map((item) => written(item, inside))
    : Object.entries(value).map(([key, item]) => {
        if (notation.raw && !isPlainKey(key)) return undefined;
        const text = written(item, inside);
        const name = notation.raw ? key : JSON.stringify(key);
        return text === undefined ? undefined : entry[0] + name + entry[1] + text + entry[2];
      });
  if (parts.includes(undefined)) return undefined;
  const [open, close] = Array.isArray(value) ? brackets.array : brackets.object;
  return open + parts.join(comma) + close;
}
