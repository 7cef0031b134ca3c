/**
 * A head [D] at `position` turned by rotary position embedding, half-split form: dimensions i and
 * i + D/2 turn by position * inverseFrequencies[i], in f64. Twin of shaders/lib/rope.wgsl.
 */
export function rotate(
  head: ArrayLike<number>,
  position: number,
  inverseFrequencies: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const half = head.length / 2;
  const out = new Float64Array(head.length);
  for (let i = 0; i < half; i += 1) {
    const cos = Math.cos(position * inverseFrequencies[i]!);
    const sin = Math.sin(position * inverseFrequencies[i]!);
    out[i] = head[i]! * cos - head[i + half]! * sin;
    out[i + half] = head[i + half]! * cos + head[i]! * sin;
  }
  return out;
}
