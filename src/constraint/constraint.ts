/**
 * What the tokens of one answer must be like. It follows them one by one; the masks go to the sampler's kernel. Everything
 * about schemas and grammars is behind this interface, and is loaded when an answer first asks for it.
 */
export interface Constraint {
  /**
   * Writes the tokens that may come next as bits [ceil(V / 32)]: token t is bit t % 32 of word t / 32. `left`: how many
   * tokens there are, this one included; the text is brought to its end within them, where that is possible.
   */
  mask(into: Uint32Array, left?: number): void;
  /** Takes the next token, which the mask must allow. */
  accept(token: number): void;
  /** Tokens that must come next, whatever the model says; at most `limit`. Masks allow nothing else. */
  forced(limit: number): readonly number[];
  /** Whether `token` may come next. */
  allows(token: number): boolean;
  /** Whether the answer may end here. */
  readonly mayEnd: boolean;
  /** Whether it must. */
  readonly over: boolean;
  /** So many tokens are enough for the shortest text that it may yet become. */
  readonly enough: number;
  /** It has been brought to its end for lack of tokens. */
  readonly hurried: boolean;
  /** One that has taken the same tokens and goes its own way. */
  fork(): Constraint;
}
