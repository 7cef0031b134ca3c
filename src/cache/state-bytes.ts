/** What the states of a model's state layers take. Nothing of it is loaded beside it but for models that have some. */
import type { CacheShape } from "../kernels/pages/cache-shape.ts";

/** Most states that a sequence keeps to go back to, and most bytes of them where these are more than two. */
const MOST_CHECKPOINTS = 8;
const CHECKPOINT_BYTES = 2 ** 25;

/** How many states of so many bytes a sequence keeps to go back to, at most. */
export const mostCheckpoints = (bytes: number): number =>
  Math.max(2, Math.min(MOST_CHECKPOINTS, Math.floor(CHECKPOINT_BYTES / bytes)));

/** Bytes of one state of a sequence, in all layers. */
export const stateBytes = ({ stateWords = [] }: Pick<CacheShape, "stateWords">): number =>
  4 * stateWords.reduce((sum, words) => sum + words, 0);

/** Most bytes of a sequence's states: the present one, and those that it could go back to. */
export function mostStateBytes(shape: Pick<CacheShape, "stateWords">): number {
  const bytes = stateBytes(shape);
  return bytes === 0 ? 0 : bytes * (1 + mostCheckpoints(bytes));
}
