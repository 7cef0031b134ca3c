/** Everything that the schedule is made of, compiled and bound as far as it does not depend on the cache's buffers. */
import type { Compressor } from "../cache/compressor.ts";
import type { KvPool } from "../cache/kv-pool.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { createEmbed } from "../kernels/products/embed.ts";
import { type BoundLinear, createLinear, type Linear } from "../kernels/products/linear.ts";
import type { WeightMatrix } from "../kernels/products/weights.ts";
import { blockOf } from "./blocks.ts";
import { createStepBuffers, type StepBuffers } from "./buffers.ts";
import type { CacheKernels } from "./cache-kernels.ts";
import {
  type BindLayers,
  createLayerLinears,
  headConfig,
  type LayerLinears,
  type ProductParts,
} from "./layer-linears.ts";
import type { LayerParts } from "./layer-plan.ts";
import { layerFrequencies, ropeKinds, ropeTables } from "./rope-tables.ts";
import type { BindStates, StateSteps } from "./state-steps.ts";
import type { TokenRows } from "./token-rows.ts";

export interface TransformerParts extends ProductParts {
  readonly pool: KvPool;
  /** [L]: where each layer has a prompt block's keys and values. */
  readonly blocks: readonly GPUBuffer[];
  /** f32 [L, G, D]: the filters of calibration. */
  readonly filters: GPUBuffer;
  readonly kernels: CacheKernels;
  readonly buffers: StepBuffers;
  /** [L] */
  readonly layers: readonly LayerParts[];
  /** Where some layers keep a state. */
  readonly states: StateSteps | undefined;
  readonly bindLayers: BindLayers;
  /** Of each block. */
  readonly linears: readonly LayerLinears[];
  readonly embedding: { dispatches(rows: number, alike?: boolean): Dispatch[] };
  /** Where the file has a table of which the rows of tokens are read as they are run. */
  readonly tokenRows?: TokenRows;
  /** The head for one row, and what makes it for more. */
  readonly head: BoundLinear;
  readonly makeHeads: () => Promise<BoundLinear>;
  /** Kernel name -> variant, for engine.info(). */
  readonly variants: Readonly<Record<string, string>>;
  /** [L][D/2]: radians a position that each layer's rotary pairs turn by. */
  readonly frequencies: readonly Float64Array[];
}

/** What is still being made when the parts are asked for. */
export interface PendingParts {
  readonly compressor: Promise<Compressor>;
  readonly kernels: Promise<CacheKernels>;
  /** Where some layers keep a state. */
  readonly states: Promise<BindStates> | undefined;
}

export async function createParts(
  given: ProductParts & Pick<TransformerParts, "pool" | "filters">,
  pending: PendingParts,
): Promise<TransformerParts> {
  const { gpu, config, weights } = given;
  const makeHead = (rows?: readonly number[]): Promise<Linear> =>
    createLinear(gpu, { ...headConfig(given), ...(rows && { rows }) });
  const [compressor, kernels, states, head, embed, linears] = await Promise.all([
    pending.compressor,
    pending.kernels,
    pending.states,
    makeHead([1]),
    createEmbed(gpu, weights.embedding, config.embeddingScale),
    createLayerLinears(given),
  ]);
  const factors = await weights.ropeFactors;
  const tables = new Map(
    [...ropeTables(config, factors)].map(([kind, table]) => {
      const buffer = gpu.ledger.storage("weights", `rope table ${kind}`, table.byteLength);
      gpu.write(buffer, table);
      return [kind, buffer];
    }),
  );
  const kinds = ropeKinds(config);
  const buffers = createStepBuffers(gpu, config);
  const { rows, batch, headBatch, hidden, normed, logits } = buffers;
  const headBuffers = { batch: headBatch, x: hidden, y: logits, normed };
  return {
    ...given,
    blocks: compressor.chunks,
    kernels,
    buffers,
    layers: config.windows.map((window, layer) => ({
      rope: tables.get(kinds[layer]!)!,
      qkNorm: weights.layers[blockOf(config, "attention", layer)]!.qkNorm,
      kernels: kernels.byWindow.get(window)!,
    })),
    states: states?.(given, buffers),
    bindLayers: linears,
    linears: linears(buffers),
    embedding: embed.bind({ batch, rows, y: hidden }),
    head: head.bind(headBuffers),
    makeHeads: async () => (await makeHead()).bind(headBuffers),
    variants: variantsOf(given),
    frequencies: layerFrequencies(config, factors),
  };
}

/** Layout of the weights and kernels of each product. */
function variantsOf({ weights, plan: { row, tile } }: ProductParts): Record<string, string> {
  const [first] = weights.layers;
  return Object.fromEntries(
    Object.entries({ ...first, head: weights.head })
      .filter(
        (entry): entry is [string, WeightMatrix] => entry[1] !== undefined && "parts" in entry[1],
      )
      .map(([name, matrix]) => [name, `${matrix.parts[0]!.layout.name} ${row}, ${tile}`]),
  );
}
