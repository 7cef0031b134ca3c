import type { CacheShape } from "./cache-shape.ts";
import type { HeadDataShape } from "./head-data.ts";

/** Features that a scoring needs; the others are left out of the kernel. */
export interface ScoreFeatures {
  readonly moving?: boolean;
  /** One expected query for each query head of the group instead of one for all. */
  readonly ofEachHead?: boolean;
  readonly pairNorm?: boolean;
  readonly quadratic?: boolean;
  readonly value?: boolean;
  readonly novelty?: boolean;
  /** Novelty of keys before RoPE, a part of its own. */
  readonly plainNovelty?: boolean;
  /** How far keys and values stray from the others, two parts of their own. */
  readonly spread?: boolean;
  /** Divide each part of the score by its standard deviation over the candidates. */
  readonly standardise?: boolean;
  /** Rows of a block on either side whose highest score a row takes. */
  readonly pool?: number;
  /** Add the logarithm of attention that was observed in a block. */
  readonly observed?: boolean;
}

/** What a head's data is made for. */
export const headDataShape = (
  { headDim, heads, kvHeads }: CacheShape,
  { ofEachHead = false, quadratic = false }: ScoreFeatures,
): HeadDataShape => ({ headDim, quadratic, queries: ofEachHead ? heads / kvHeads : 1 });
