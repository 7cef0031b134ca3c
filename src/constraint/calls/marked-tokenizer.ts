import type { Tokenizer } from "../../text/types.ts";
import { FIRST_MARK, FIRST_MARK_BYTE } from "../grammar/char-set.ts";
import { type Expression, literal, oneOf, sequence } from "../syntax/expression.ts";

/** A vocabulary in which tokens that write no text have bytes of their own, so that a grammar can ask for them. */
export interface MarkedTokenizer extends Tokenizer {
  /** Token of each mark; undefined for the first, which stands for all tokens without text that no mark stands for. */
  readonly marks: readonly (number | undefined)[];
  /** A text in which control tokens are spelled. */
  spell(text: string): Expression;
}

/** `spellings`: what are to be marks, where the vocabulary has a control token of that name. */
export function markTokens(tokenizer: Tokenizer, spellings: readonly string[]): MarkedTokenizer {
  const found = spellings.flatMap((spelling) => {
    const ids = tokenizer.encode(spelling, { special: true });
    const silent = ids.length === 1 && tokenizer.tokenBytes(ids[0]!).length === 0;
    return silent ? [{ spelling, id: ids[0]! }] : [];
  });
  const marks = [undefined, ...found.map(({ id }) => id)];
  const bytes = new Map(found.map(({ id }, i) => [id, Uint8Array.of(FIRST_MARK_BYTE + 1 + i)]));
  const other = Uint8Array.of(FIRST_MARK_BYTE);
  const none = new Uint8Array(0);
  return {
    vocabSize: tokenizer.vocabSize,
    endTokens: tokenizer.endTokens,
    prefix: tokenizer.prefix,
    ...("stripsLeadingSpace" in tokenizer && { stripsLeadingSpace: tokenizer.stripsLeadingSpace }),
    encode: (text, options) => tokenizer.encode(text, options),
    decode: (ids, options) => tokenizer.decode(ids, options),
    tokenBytes: (id) => {
      const mark = bytes.get(id);
      if (mark) return mark;
      if (tokenizer.endTokens.has(id)) return none;
      const written = tokenizer.tokenBytes(id);
      if (written.length === 0) return other;
      return written.some((byte) => byte >= FIRST_MARK_BYTE) ? none : written;
    },
    marks,
    spell: (text) =>
      sequence(
        ...spelled(
          text,
          found.map(({ spelling }) => spelling),
        ),
      ),
  };
}

function spelled(text: string, marks: readonly string[]): Expression[] {
  const [at, mark] = marks
    .map((spelling, i) => [text.indexOf(spelling), i] as const)
    .filter(([at]) => at >= 0)
    .sort(([a], [b]) => a - b)[0] ?? [-1, -1];
  if (at < 0) return text === "" ? [] : [literal(text)];
  const code = FIRST_MARK + 1 + mark;
  const rest = text.slice(at + marks[mark]!.length);
  return [...spelled(text.slice(0, at), []), oneOf([[code, code]]), ...spelled(rest, marks)];
}
