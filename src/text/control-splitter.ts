import { isSpaceRun, spellingsOf, TOKEN_TYPE, type Vocabulary } from "./gguf/gguf-vocabulary.ts";
import { LiteralFinder } from "./literal-finder.ts";
import type { Tokenizer } from "./types.ts";

/** A tokenizer that can tell control tokens of a template from the same spelling in a message. */
export interface GuardedTokenizer extends Tokenizer {
  /**
   * Like `encode(text, { special: true })`, but the character `guard` is no part of the text: it
   * only keeps a token's spelling that it stands in from being read as that token.
   */
  encodeGuarded(text: string, guard: string): number[];
}

/** Finds the tokens of a vocabulary that are matched whole. */
export class ControlSplitter {
  /** User-defined tokens are matched in any text, control tokens only where they are asked for. */
  readonly userDefined: LiteralFinder;
  readonly control: LiteralFinder;
  readonly whole: LiteralFinder;
  readonly #vocabulary: Vocabulary;

  constructor(vocabulary: Vocabulary) {
    const { tokens, types } = vocabulary;
    const userDefined = tokens.filter(
      (_, id) => types[id] === TOKEN_TYPE.userDefined && !isSpaceRun(vocabulary, id),
    );
    const control = spellingsOf(vocabulary, TOKEN_TYPE.control);
    this.userDefined = new LiteralFinder(userDefined);
    this.control = new LiteralFinder(control);
    this.whole = new LiteralFinder([...userDefined, ...control]);
    this.#vocabulary = vocabulary;
  }

  /** Tokens that are matched whole as ids, the text between them as strings that still have `guard`. */
  splitGuarded(text: string): (string | number)[] {
    return this.whole
      .split(text)
      .map((piece) => (piece.literal ? this.#vocabulary.ids.get(piece.text)! : piece.text));
  }
}
