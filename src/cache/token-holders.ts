import { globalLayers } from "../kernels/pages/cache-shape.ts";
import type { Compressor } from "./compressor.ts";
import type { KvSequence } from "./sequence/kv-sequence.ts";

/** For each token seen, how many (global layer, kv head) pairs still keep it. [tokensSeen] Needs `counting`. */
export async function tokenHolders(
  compressor: Compressor,
  sequence: KvSequence,
): Promise<Uint32Array> {
  const { pool, counting, eviction } = compressor;
  const { gpu, shape, layerShapes, tables, slabs } = pool;
  const tokens = sequence.tokensSeen;
  if (tokens === 0) return new Uint32Array(0);
  const counts = gpu.ledger.storage("staging", "retention", tokens * 4);
  try {
    compressor.target(sequence, 0, tokens - 1);
    gpu.run(
      globalLayers(shape).map((layer) =>
        counting.value.dispatch(
          {
            shape: layerShapes[layer]!,
            lane: eviction,
            tables,
            pages: slabs[layer]!,
            counts,
          },
          shape.kvHeads,
        ),
      ),
    );
    return new Uint32Array(await gpu.read(counts));
  } finally {
    gpu.ledger.destroy(counts);
  }
}
