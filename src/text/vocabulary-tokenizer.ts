import type { GuardedTokenizer } from "./control-splitter.ts";
import type { Vocabulary } from "./gguf/gguf-vocabulary.ts";
import { bytesOfToken, decodeTokens } from "./token-text.ts";

/** A tokenizer over a file's vocabulary: kinds differ in how text becomes ids, not in what the ids stand for. */
export abstract class VocabularyTokenizer implements GuardedTokenizer {
  readonly vocabulary: Vocabulary;
  readonly vocabSize: number;
  readonly endTokens: ReadonlySet<number>;
  readonly prefix: readonly number[];
  readonly notices: readonly string[];
  /** SentencePiece puts a space before the text; decoding takes it away again. */
  readonly stripsLeadingSpace: boolean;

  /** `notices`: what was passed over beside what the vocabulary says of itself. */
  constructor(
    vocabulary: Vocabulary,
    stripsLeadingSpace: boolean,
    notices: readonly string[] = [],
  ) {
    this.vocabulary = vocabulary;
    this.vocabSize = vocabulary.tokens.length;
    this.endTokens = vocabulary.endTokens;
    this.prefix = vocabulary.prefix;
    this.notices = [...vocabulary.notices, ...notices];
    this.stripsLeadingSpace = stripsLeadingSpace;
  }

  abstract encode(text: string, options?: { special?: boolean }): number[];
  abstract encodeGuarded(text: string, guard: string): number[];

  decode(ids: readonly number[], options: { special?: boolean } = {}): string {
    return decodeTokens(this.vocabulary, ids, {
      special: options.special ?? false,
      stripLeadingSpace: this.stripsLeadingSpace,
    });
  }

  tokenBytes(id: number): Uint8Array {
    return bytesOfToken(this.vocabulary, id);
  }
}
