import { resolveCacheSettings } from "../../cache/budget.ts";
import { readPages } from "../../cache/saved-pages.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { globalLayers, pageWords } from "../../kernels/pages/cache-shape.ts";
import { PAGE_SLOTS, pageParts, pagesFor } from "../../kernels/pages/page-format.ts";
import type { DeviceState } from "../state.ts";

/**
 * Reads `tokens` twice as a prompt that is read twice, with nothing evicted: [L][G][tokens], the most attention that a row of
 * the second reading pays to each token's pair, of the layers that the budget governs. Half a prompt block and half of the trained
 * length at most. Throws aborted, out_of_memory.
 */
export async function rereadAttention(
  { pool, runner, prompts }: DeviceState,
  tokens: readonly number[],
  signal?: AbortSignal,
): Promise<Float32Array[][]> {
  await runner.compiled({ stages: ["answer", "turn", "eviction"] });
  const sequence = new KvSequence(pool, resolveCacheSettings({ policy: "full" }));
  try {
    await prompts.readTwice(sequence, tokens, signal);
    const { shape } = pool;
    const { scores } = pageParts(shape);
    const words = pageWords(shape);
    const attention: Float32Array[][] = [];
    for (const layer of globalLayers(shape)) {
      const pages = new Float32Array((await readPages(pool, sequence, layer)).buffer);
      attention.push(
        Array.from({ length: shape.kvHeads }, (_, g) =>
          Float32Array.from({ length: tokens.length }, (_, i) => {
            const page = g * pagesFor(tokens.length) + Math.floor(i / PAGE_SLOTS);
            return pages[page * words + scores + (i % PAGE_SLOTS)]!;
          }),
        ),
      );
    }
    return attention;
  } finally {
    sequence.free();
  }
}
