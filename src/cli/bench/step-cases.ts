import { resolveCacheSettings } from "../../cache/budget.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import type { EngineCore } from "../../engine/core.ts";
import type { DeviceState } from "../../engine/state.ts";
import { Sampler } from "../../engine/steps/sampler.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { decodeSplits } from "../../kernels/attention/attention-tiling.ts";
import { LANE } from "../../kernels/records.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import type { ProductCase } from "./product-cases.ts";
import { type StepShape, type Work, workOf } from "./work.ts";

/** Word of struct Lane that holds the window. */

/** A step of the model as it is submitted, ready to be run again and again. */
export interface StepPlan {
  name: string;
  shape: StepShape;
  /** Dispatches per layer, and all of the step. */
  dispatches: Dispatch[];
}

/** What a kernel does in a step: its dispatches of all layers, so that weights come from memory as they do there. */
export interface KernelCase {
  name: string;
  layout?: string;
  dispatches: Dispatch[];
  /** Work of one dispatch, if it is known. */
  work?: Work;
}

/**
 * Fills a cache of `budget` pairs by a prompt and returns a decode step and a prompt chunk on it. Both may be
 * repeated: a cache that is full evicts one pair for each it takes.
 */
export async function stepPlans(
  core: EngineCore,
  { gpu, pool, runner, prompts, sample }: DeviceState,
  budget: number,
  onProgress: (done: number, total: number) => void,
): Promise<{ decode: StepPlan; chunk: StepPlan; free: () => void }> {
  const { transformer } = runner;
  const { layers, heads, kvHeads, headDim, hidden, vocabulary } = core.config;
  const settings = resolveCacheSettings(core.withPolicy({ budget }));
  const sequence = new KvSequence(pool, settings);
  const tokens = someTokens(budget, vocabulary);
  await runner.compiled({ folds: true });
  let done = 0;
  await prompts.read(sequence, tokens, ({ taken: chunk }) => {
    done += chunk.length;
    onProgress(done, tokens.length);
  });
  const shape = {
    layers,
    heads,
    kvHeads,
    headDim,
    hidden,
    vocabulary,
    slots: budget,
    storage: core.storage,
  };
  const chunkRows = Math.min(CHUNK_ROWS, budget);
  return {
    free: () => sequence.free(),
    get chunk() {
      // Writes the rows, the batch and the lane that the dispatches read.
      runner.submitChunk(sequence, tokens.slice(0, chunkRows));
      const { embed, layers: parts } = transformer.chunk(chunkRows);
      return {
        name: `prefill ${chunkRows} rows, C ${budget}`,
        shape: { ...shape, rows: chunkRows, splits: 1 },
        dispatches: [
          ...embed,
          ...parts.flatMap(({ project, attend }, layer) => [
            ...project,
            ...attend,
            ...runner.compressor.absorb(layer, { evicts: true, policy: "k-norm" }),
          ]),
        ],
      };
    },
    get decode() {
      runner.submitToken(sequence, tokens[0]!);
      evictAnything({ gpu, pool }, sequence);
      const splits = decodeSplits(sequence.pages.longestAfter(0));
      const sampler = new Sampler(gpu, sample, transformer.buffers, GREEDY, tokens, [], vocabulary);
      return {
        name: `decode, C ${budget}`,
        shape: { ...shape, rows: 1, splits },
        dispatches: [
          ...transformer.decode(1, splits),
          ...transformer.head(1),
          ...sampler.dispatches,
        ],
      };
    },
  };
}

/** Leaves no pair of the sequence protected: a step that is repeated appends at one position again and again. */
export function evictAnything(
  { gpu, pool }: Pick<DeviceState, "gpu" | "pool">,
  { lane }: KvSequence,
): void {
  gpu.write(pool.lanes, Uint32Array.of(0), (lane * LANE.words + LANE.at("window")) * 4);
}

/** Tokens of no meaning. */
export const someTokens = (count: number, vocabulary: number): number[] =>
  Array.from({ length: count }, (_, i) => (1000 + ((i * 7919) % 40000)) % vocabulary);

/**
 * Splits a step by kernel: pipeline and workgroups tell products apart that share a label, and those that share these
 * too (of one height, where the width comes with the shape) come in turns, in `products` as in a layer.
 */
export function kernelCases(
  { dispatches, shape }: StepPlan,
  products: readonly ProductCase[],
): KernelCase[] {
  const groups = new Map<string, { product: ProductCase | undefined; group: Dispatch[] }>();
  const ids = new Map<Dispatch["kernel"], number>();
  const seen = new Map<string, number>();
  for (const dispatch of dispatches) {
    const { kernel, workgroups } = dispatch;
    const id = ids.get(kernel) ?? ids.size;
    ids.set(kernel, id);
    const key = `${id} ${workgroups}`;
    const turn = seen.get(key) ?? 0;
    seen.set(key, turn + 1);
    const alike = products.filter(
      (one) => one.kernel === kernel && `${one.workgroups}` === `${workgroups}`,
    );
    const product = alike[turn % Math.max(1, alike.length)];
    const name = `${key} ${product?.name}`;
    const { group } = groups.get(name) ?? { group: [] };
    groups.set(name, { product, group: [...group, dispatch] });
  }
  return [...groups.values()].map(({ product, group }): KernelCase => {
    const { kernel } = group[0]!;
    if (product) {
      const name = `${kernel.label}: ${product.name}`;
      return { name, layout: product.layout, dispatches: group, work: product.work };
    }
    const work = workOf(kernel.label, shape);
    return { name: kernel.label, dispatches: group, ...(work ? { work } : {}) };
  });
}
