/** Twin of shaders/pages/retention.wgsl: `heads` holds the positions kept by each kv head; counts [tokens]. */
export function retention(heads: readonly (readonly number[])[], tokens: number): number[] {
  const counts = new Array<number>(tokens).fill(0);
  for (const positions of heads)
    for (const position of positions) if (position < tokens) counts[position]! += 1;
  return counts;
}
