/**
 * Positions without an end. A model knows distances up to its trained length L. Each time a chat gets there, its positions
 * are folded: those below 2 S are halved, S is taken from the others, with S = 3 L / 8. The last quarter of L keeps
 * its distances, what is older draws near in order, and all heads agree on it, whatever they have kept.
 */

/** S of a model that was trained for L positions: what a fold takes from recent positions. */
export const foldStride = (trained: number): number => Math.floor((3 * trained) / 8);

/** Where the token at `position` of the text stands after so many folds. Twin of rope_position in shaders/lib/rope.wgsl. */
export function ropePosition(position: number, folds: number, stride: number): number {
  if (folds === 0) return position;
  const shifts = Math.min(folds, Math.max(Math.floor(position / stride), 1) - 1);
  return (position - shifts * stride) >>> Math.min(folds - shifts, 31);
}
