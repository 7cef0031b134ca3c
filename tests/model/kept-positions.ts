import type { KvSequence } from "../../src/cache/sequence/kv-sequence.ts";
import type { DeviceState } from "../../src/engine/state.ts";
import { PAGE_SLOTS } from "../../src/kernels/pages/page-format.ts";
import { positionWord } from "../reference/twins/pages/paged-slab.ts";

/** Positions that each kv head of a sequence keeps, ascending, read from the GPU. [L][G] */
export async function keptPositions(
  { gpu, pool }: DeviceState,
  { lane }: KvSequence,
): Promise<number[][][]> {
  const { layers, kvHeads } = pool.shape;
  const tables = new Uint32Array(await gpu.read(pool.tables));
  const format = { ...pool.shape, pageSlots: PAGE_SLOTS };
  return Promise.all(
    Array.from({ length: layers }, async (_, layer) => {
      const words = new Uint32Array(await gpu.read(pool.slabs[layer]!));
      return Array.from({ length: kvHeads }, (_, g) => {
        const row = pool.rowWord(lane, layer, g);
        return Array.from({ length: tables[row]! }, (_, slot) => {
          const page = tables[row + 2 + Math.floor(slot / PAGE_SLOTS)]!;
          return words[positionWord(format, page, slot)]!;
        }).sort((a, b) => a - b);
      });
    }),
  );
}
