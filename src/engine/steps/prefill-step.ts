/** How far a prompt has come. */
export interface PrefillStep {
  /** Tokens of the prompt that are through, of `total`; of a block in progress, its part of the layers. */
  readonly done: number;
  readonly total: number;
  /** The tokens that this step made part of the sequence. */
  readonly taken: readonly number[];
  /** Where the last of them is in the residual stream; undefined between the layers of a block. */
  readonly row: number | undefined;
  readonly last: boolean;
}

export type OnStep = (step: PrefillStep) => void;
