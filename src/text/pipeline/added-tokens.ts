import { LiteralFinder } from "../literal-finder.ts";
import { damagedPart, flag, isJson, parts, text } from "./json.ts";
import type { Normalizer } from "./normalizer.ts";
import type { Piece } from "./piece.ts";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly singleWord: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** Throws bad_model_file for entries that are none. */
export function addedTokensOf(value: unknown): AddedToken[] {
  return parts(value ?? [], "added_tokens").map(([json, field]) => {
    if (!isJson(json) || typeof json.id !== "number") throw damagedPart(field, "has no id");
    const special = flag(json, "special", field, false);
    return {
      id: json.id,
      content: text(json, "content", field),
      special,
      normalized: flag(json, "normalized", field, !special),
      singleWord: flag(json, "single_word", field, false),
      lstrip: flag(json, "lstrip", field, false),
      rstrip: flag(json, "rstrip", field, false),
    };
  });
}

const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, "u");
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, "u");
const SPACES_BEFORE = /\p{White_Space}*$/u;
const SPACES_BEHIND = /^\p{White_Space}*/u;

/** Tokens of one kind (found before the normalizer, or behind it), by their spelling there. */
class Finder {
  readonly #finder: LiteralFinder;
  readonly #byText = new Map<string, AddedToken>();

  constructor(tokens: readonly AddedToken[], spelling: (content: string) => string) {
    for (const token of tokens) {
      const text = spelling(token.content);
      if (!this.#byText.has(text)) this.#byText.set(text, token);
    }
    this.#finder = new LiteralFinder(this.#byText.keys());
  }

  /** Pieces and tokens of a piece, in order. */
  split({ text, first }: Piece, special: boolean): (Piece | AddedToken)[] {
    const found: (Piece | AddedToken)[] = [];
    let start = 0;
    const upTo = (end: number) => {
      if (end > start) found.push({ text: text.slice(start, end), first: first && start === 0 });
    };
    for (let at = 0; at < text.length; ) {
      const length = this.#finder.matchAt(text, at);
      const token = this.#byText.get(text.slice(at, at + length));
      if (length === 0 || token === undefined) {
        at++;
        continue;
      }
      let [begin, end] = [at, at + length];
      at = end;
      if (token.special && !special) continue;
      const [before, behind] = [text.slice(0, begin), text.slice(end)];
      if (token.singleWord && (ENDS_WITH_WORD.test(before) || STARTS_WITH_WORD.test(behind)))
        continue;
      // White space that the token before has taken is no longer there to be taken.
      if (token.lstrip) begin = Math.max(start, begin - SPACES_BEFORE.exec(before)![0].length);
      if (token.rstrip) end += SPACES_BEHIND.exec(behind)![0].length;
      upTo(begin);
      found.push(token);
      start = end;
    }
    upTo(text.length);
    return found;
  }
}

/** Finds added tokens in a text as `tokenizers` does: some in the text as it is, some in what it is normalised to. */
export class AddedTokens {
  readonly #plain: Finder;
  readonly #normalized: Finder;
  readonly #special: Finder;
  readonly #normalize: Normalizer;

  constructor(given: readonly AddedToken[], normalize: Normalizer) {
    // The first of tokens that are spelled alike is found; control tokens come before others.
    const tokens = given.toSorted((a, b) => Number(b.special) - Number(a.special));
    const asItIs = (content: string) => content;
    const ofKind = (kind: (token: AddedToken) => boolean, spelling = asItIs) =>
      new Finder(tokens.filter(kind), spelling);
    this.#plain = ofKind(({ normalized }) => !normalized);
    this.#normalized = ofKind(
      ({ normalized }) => normalized,
      (text) => normalize({ text, first: false }).text,
    );
    this.#special = ofKind(({ special }) => special);
    this.#normalize = normalize;
  }

  /** Control tokens, and the text between them as it is. */
  splitSpecial(text: string): (Piece | AddedToken)[] {
    return this.#special.split({ text, first: true }, true);
  }

  /** Without `special`, control tokens spelled in the text are text. Pieces are normalised. */
  split(piece: Piece, special: boolean): (Piece | AddedToken)[] {
    return this.#plain.split(piece, special).flatMap((one) => {
      if ("id" in one) return [one];
      return this.#normalized.split(this.#normalize(one), special);
    });
  }
}
