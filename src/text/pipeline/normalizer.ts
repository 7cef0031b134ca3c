import { toByteAlphabet } from "../byte-level.ts";
import { flag, part, parts, text, unsupportedPart } from "./json.ts";
import { regExpOf } from "./pattern.ts";
import type { Piece } from "./piece.ts";

export type Normalizer = (piece: Piece) => Piece;

const onText =
  (change: (text: string) => string): Normalizer =>
  ({ text, first }) => ({ text: change(text), first });

/** What is left of a beginning that was taken away, or of several characters that became others, is not first. */
const replacing =
  (pattern: RegExp, content: string): Normalizer =>
  ({ text, first }) => {
    const [found] = text.matchAll(pattern);
    const begins = found?.index === 0 && (content === "" || [...found[0]].length > 1);
    return { text: text.replace(pattern, () => content), first: first && !begins };
  };

/** What tokenizer.json does to a text before it is cut. Throws unsupported_model, naming the step, for others. */
export function normalizerOf(value: unknown, field = "normalizer"): Normalizer {
  if (value === undefined || value === null) return (piece) => piece;
  const json = part(value, field);
  switch (json.type) {
    case "Sequence": {
      const steps = parts(json.normalizers, `${field}.normalizers`).map(([one, at]) =>
        normalizerOf(one, at),
      );
      return (piece) => steps.reduce((done, step) => step(done), piece);
    }
    case "Prepend": {
      const before = text(json, "prepend", field);
      return onText((text) => (text === "" ? "" : before + text));
    }
    case "Replace":
      return replacing(regExpOf(json.pattern, `${field}.pattern`), text(json, "content", field));
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const { type } = json;
      return onText((text) => text.normalize(type));
    }
    // A character at a time: what stands around a sigma does not count.
    case "Lowercase":
      return onText((text) => Array.from(text, (char) => char.toLowerCase()).join(""));
    case "Strip": {
      const ends = [
        ...(flag(json, "strip_left", field, true) ? ["^\\p{White_Space}+"] : []),
        ...(flag(json, "strip_right", field, true) ? ["\\p{White_Space}+$"] : []),
      ];
      return replacing(new RegExp(ends.join("|") || "(?!)", "gu"), "");
    }
    case "StripAccents":
      return replacing(/\p{M}/gu, "");
    case "ByteLevel":
      return onText(toByteAlphabet);
    default:
      throw unsupportedPart(field, `the normalizer ${json.type}`);
  }
}
