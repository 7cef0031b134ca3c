import { toByteAlphabet } from "../byte-level.ts";
import { SPACE_MARK } from "../gguf/gguf-vocabulary.ts";
import { GPT2_WORDS } from "../pre-tokenizer.ts";
import { damagedPart, flag, type Json, part, parts, text, unsupportedPart } from "./json.ts";
import {
  type Behavior,
  behaviorNamed,
  cutsOf,
  inverted,
  type Pattern,
  regExpOf,
  regExpPattern,
} from "./pattern.ts";
import type { Piece } from "./piece.ts";

/** Cuts a piece into pieces, none of them empty. */
export type PreTokenizer = (piece: Piece) => Piece[];

const splitting =
  (pattern: Pattern, behavior: Behavior): PreTokenizer =>
  ({ text, first }) =>
    cutsOf(text, pattern, behavior).map(({ begin, end }) => ({
      text: text.slice(begin, end),
      first: first && begin === 0,
    }));

const byExpression = (expression: RegExp, behavior: Behavior) =>
  splitting(regExpPattern(expression), behavior);

const escaped = (char: string): RegExp => regExpOf({ String: char }, "");
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/gu;

/** How tokenizer.json cuts a text into words. Throws unsupported_model, naming the step, for others. */
export function preTokenizerOf(value: unknown, field = "pre_tokenizer"): PreTokenizer {
  if (value === undefined || value === null) return (piece) => [piece];
  const json = part(value, field);
  switch (json.type) {
    case "Sequence": {
      const steps = parts(json.pretokenizers, `${field}.pretokenizers`).map(([one, at]) =>
        preTokenizerOf(one, at),
      );
      return (piece) => steps.reduce((pieces, step) => pieces.flatMap(step), [piece]);
    }
    case "ByteLevel":
      return byteLevel(json, field);
    case "Metaspace":
      return metaspace(json, field);
    case "Split": {
      const found = regExpPattern(regExpOf(json.pattern, `${field}.pattern`));
      const pattern = flag(json, "invert", field, false) ? inverted(found) : found;
      return splitting(pattern, behaviorNamed(json.behavior, `${field}.behavior`));
    }
    case "Digits": {
      const single = flag(json, "individual_digits", field, false);
      return byExpression(/\p{N}/gu, single ? "Isolated" : "Contiguous");
    }
    case "Punctuation":
      return byExpression(
        PUNCTUATION,
        behaviorNamed(json.behavior ?? "Isolated", `${field}.behavior`),
      );
    case "Whitespace":
      return splitting(
        inverted(regExpPattern(new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, "gu"))),
        "Removed",
      );
    case "WhitespaceSplit":
      return byExpression(/\p{White_Space}/gu, "Removed");
    case "CharDelimiterSplit":
      return byExpression(escaped(text(json, "delimiter", field)), "Removed");
    case "FixedLength": {
      const { length = 5 } = json;
      if (typeof length !== "number" || !(length >= 1))
        throw damagedPart(`${field}.length`, "is not a number above 0");
      return byExpression(new RegExp(`.{1,${length}}`, "gsu"), "Isolated");
    }
    default:
      throw unsupportedPart(field, `the pre-tokenizer ${json.type}`);
  }
}

/** Every word in the byte alphabet; `trim_offsets` is about places in the text, not about ids. */
function byteLevel(json: Json, field: string): PreTokenizer {
  const prefix = flag(json, "add_prefix_space", field, true);
  const cut: PreTokenizer = flag(json, "use_regex", field, true)
    ? byExpression(GPT2_WORDS, "Isolated")
    : (piece) => [piece];
  return ({ text, first }) =>
    cut({ text: prefix && !text.startsWith(" ") ? ` ${text}` : text, first }).map((word) => ({
      ...word,
      text: toByteAlphabet(word.text),
    }));
}

/** Spaces as a mark, with one put in front of every piece, of the first, or of none. */
function metaspace(json: Json, field: string): PreTokenizer {
  const mark = text(json, "replacement", field, SPACE_MARK);
  const scheme = prependScheme(json, field);
  const cut: PreTokenizer = flag(json, "split", field, true)
    ? byExpression(escaped(mark), "MergedWithNext")
    : (piece) => [piece];
  return ({ text, first }) => {
    const marked = text.replaceAll(" ", mark);
    const prepend = scheme === "always" || (scheme === "first" && first);
    return cut({ text: prepend && !marked.startsWith(mark) ? mark + marked : marked, first });
  };
}

/** Files from before `prepend_scheme` say `add_prefix_space`. */
export function prependScheme(json: Json, field: string): "always" | "first" | "never" {
  const none = !flag(json, "add_prefix_space", field, true);
  const scheme = json.prepend_scheme ?? (none ? "never" : "always");
  if (scheme !== "always" && scheme !== "first" && scheme !== "never")
    throw unsupportedPart(`${field}.prepend_scheme`, JSON.stringify(scheme));
  if (none && scheme !== "never")
    throw damagedPart(`${field}.add_prefix_space`, `is false, but prepend_scheme is ${scheme}`);
  return scheme;
}
