/** What the model said of a token that was drawn, in natural logarithms, before anything was done to its logits. */
export interface TokenScores {
  readonly logprob: number;
  /** The likeliest tokens, most likely first. */
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}
