import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { DeviceState } from "../../engine/state.ts";
import { windowOf } from "../../kernels/pages/cache-shape.ts";
import type { Reset } from "./gpu-timer.ts";

/** Says on the device that each head holds `count` slots, or where that is less its window, or with `most` [L][G] no more than these. */
export function writeCounts(
  { pool }: DeviceState,
  { lane }: KvSequence,
  count: number,
  most?: readonly (readonly number[])[],
): void {
  for (let layer = 0; layer < pool.shape.layers; layer += 1)
    for (let head = 0; head < pool.shape.kvHeads; head += 1) {
      const window = windowOf(pool.shape, layer) || count;
      const slots = Math.min(count, window, most?.[layer]?.[head] ?? count);
      pool.gpu.write(pool.tables, Uint32Array.of(slots), pool.rowWord(lane, layer, head) * 4);
    }
}

/** Puts the page tables back to what they are now. */
export function tablesAsNow({ pool }: DeviceState): { reset: Reset; free: () => void } {
  const { gpu, tables } = pool;
  const kept = gpu.ledger.storage("staging", "bench tables", tables.size);
  gpu.copy(tables, kept);
  return {
    reset: (encoder) => encoder.copyBufferToBuffer(kept, 0, tables, 0, tables.size),
    free: () => gpu.ledger.destroy(kept),
  };
}
