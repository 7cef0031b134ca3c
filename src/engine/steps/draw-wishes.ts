/** What a request asks for beside a token. */
export interface DrawWishes {
  /** How many of the likeliest tokens are told beside each token that is drawn; undefined: nothing is told. */
  readonly topLogprobs?: number | undefined;
  /** What is added to tokens' logits, by id, as OpenAI has it: -100 bans a token, 100 makes it come. */
  readonly logitBias?: ReadonlyMap<number, number> | undefined;
}
