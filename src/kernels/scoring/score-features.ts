import type { CacheShape } from "../pages/cache-shape.ts";
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
}

/** The scoring that a head's data is made for. */
export const headDataShape = (
  { headDim, heads, kvHeads }: CacheShape,
  { ofEachHead = false, quadratic = false }: ScoreFeatures,
): HeadDataShape => ({ headDim, quadratic, queries: ofEachHead ? heads / kvHeads : 1 });
