import type { CacheShape } from "../../kernels/pages/cache-shape.ts";
import { foldStride, ropePosition } from "../../kernels/pages/fold.ts";
import { endless } from "../budget.ts";
import type { SequenceState } from "./sequence-books.ts";

/** How many tokens more stand within the trained length: now, and once positions are folded, where they can be. */
export interface Room {
  readonly now: number;
  readonly folded: number;
}

/** Room without end where positions are never folded. */
export function roomToStand(
  { trained }: CacheShape,
  { settings, seen, folds }: SequenceState,
): Room {
  if (trained === undefined || !endless(settings))
    return { now: Number.POSITIVE_INFINITY, folded: Number.POSITIVE_INFINITY };
  const stride = foldStride(trained);
  const standing = ropePosition(seen, folds, stride);
  const now = trained - standing;
  return { now, folded: now + (standing >= 2 * stride ? stride : 0) };
}
