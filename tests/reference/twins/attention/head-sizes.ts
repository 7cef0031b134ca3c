/** shaders/attention/spread_heads.wgsl and gather_heads.wgsl. */
import type { HeadSizes, SpreadConfig } from "../../../../src/kernels/attention/head-sizes.ts";

/** Where dimension i of a head of `size` lies in one of `headDim`. */
const placeOf = (i: number, { size, headDim }: Pick<HeadSizes, "size" | "headDim">): number =>
  i < size / 2 ? i : headDim / 2 + i - size / 2;

/** x [rows, H + 2 G or H, size] -> qkv [rows, H + 2 G, D]; where nothing is written, `before`. */
export function spreadHeads(
  x: Float32Array,
  gains: Float32Array,
  before: Float32Array,
  rows: number,
  { heads, kvHeads, headDim, size, queriesOnly, epsilon, scale }: SpreadConfig,
): Float32Array {
  const qkv = before.slice();
  const [all, given] = [heads + 2 * kvHeads, queriesOnly ? heads : heads + 2 * kvHeads];
  for (let row = 0; row < rows; row += 1)
    for (let head = 0; head < given; head += 1) {
      const from = (row * given + head) * size;
      const values = x.subarray(from, from + size);
      const mean = values.reduce((sum, value) => sum + value * value, 0) / size;
      const gainOf = (i: number): number => {
        if (head < heads) return scale * gains[i]!;
        return head < heads + kvHeads ? gains[size + i]! : 1;
      };
      const to = (row * all + head) * headDim;
      qkv.fill(0, to, to + headDim);
      values.forEach((value, i) => {
        qkv[to + placeOf(i, { size, headDim })] = (value * gainOf(i)) / Math.sqrt(mean + epsilon);
      });
    }
  return qkv;
}

/** attended [rows, H, D] -> y [rows, H, size]. */
export function gatherHeads(
  attended: Float32Array,
  rows: number,
  { heads, headDim, size }: Omit<HeadSizes, "kvHeads">,
): Float32Array {
  return Float32Array.from({ length: rows * heads * size }, (_, at) => {
    const head = Math.floor(at / size);
    return attended[head * headDim + placeOf(at % size, { size, headDim })]!;
  });
}
