import type { Compressor } from "../cache/compressor.ts";
import type { KvPool } from "../cache/kv-pool.ts";
import { loadLater } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { OnDemand } from "../gpu/on-demand.ts";
import { prefillWorkgroups } from "../kernels/attention/attention.ts";
import { LANE_SPLITS, type PrefillOver } from "../kernels/attention/attention-tiling.ts";
import { createEmbed, type Embed } from "../kernels/products/embed.ts";
import { type BoundLinear, createLinear, type Linear } from "../kernels/products/linear.ts";
import { productPlan } from "../kernels/products/product-plan.ts";
import type { WeightMatrix } from "../kernels/products/weights.ts";
import { createStepBuffers, partialsBytes, type StepBuffers } from "./buffers.ts";
import type { CacheKernels } from "./cache-kernels.ts";
import type { ModelConfig } from "./config.ts";
import type { DraftSteps } from "./draft-steps.ts";
import {
  type BindLayers,
  createLayerLinears,
  headConfig,
  type LayerLinears,
} from "./layer-linears.ts";
import { type LayerParts, type LayerPlan, layerPlan } from "./layer-plan.ts";
import { layerFrequencies, ropeKinds, ropeTables } from "./rope-tables.ts";
import type { ModelWeights } from "./weights.ts";

/** Most splits of attention that the output product joins by itself. */
const JOINED_SPLITS = 8;

/** A layer's bind groups that hold pages or page tables: made anew when the pool changes a buffer. */
interface LayerCacheDispatches {
  append: Dispatch;
  attendDecode: Dispatch;
  writeChunk: Dispatch;
  attendPrefill: Readonly<Record<PrefillOver, Dispatch>>;
}

/** A prompt chunk's dispatches. */
export interface ChunkPlan {
  readonly embed: readonly Dispatch[];
  readonly layers: readonly LayerPlan[];
}

/**
 * The decoder as a schedule of kernels, the same for one token and for a prompt chunk of M rows:
 *
 *   hidden = embed(tokens), scaled or not                               [M, E]
 *   each layer:
 *     qkv = norm(hidden) Wqkv (+ bias)                                  [M, (H + 2G) D]
 *     (norm) and rotate q and k, score k, write k and v                 one row: into the cache, evicting
 *     attended = attention(q, cache, window or not)                     [M, H, D]
 *     (a prompt only: take its keys and values into the cache, evicting)
 *     hidden += (norm of) attended Wo
 *     hidden += (norm of) (act(g) * u) Wdown,  g, u = norm(hidden) Wgate, Wup
 *   logits = norm(hidden) Whead                                         [n, V]
 */
export class Transformer {
  readonly config: ModelConfig;
  readonly buffers: StepBuffers;
  /** Kernel name -> variant, for engine.info(). */
  readonly variants: Readonly<Record<string, string>>;
  /** [L][D/2]: radians a position that each layer's rotary pairs turn by. */
  readonly frequencies: readonly Float64Array[];
  private readonly gpu: GpuContext;
  private readonly weights: ModelWeights;
  private readonly pool: KvPool;
  private readonly block: GPUBuffer;
  private readonly filters: GPUBuffer;
  private readonly parts: readonly LayerParts[];
  private readonly kernels: CacheKernels;
  private readonly linears: readonly LayerLinears[];
  private readonly embedding: { dispatches(rows: number): Dispatch[] };
  private readonly headLinear: BoundLinear;
  /** The head for more than one row: answering never needs it. */
  readonly heads: OnDemand<BoundLinear>;
  /** Steps of several tokens. */
  readonly drafts = new OnDemand("a step of several tokens", () => this.createDrafts());
  private cacheDispatches: LayerCacheDispatches[] = [];
  private generation = -1;
  private readonly decodePlans = new Map<number, Dispatch[]>();
  private readonly lanePlans = new Map<number, Dispatch[]>();
  private readonly headPlans = new Map<number, Dispatch[]>();
  private partials: GPUBuffer;

  static async create(
    gpu: GpuContext,
    config: ModelConfig,
    weights: ModelWeights,
    pool: KvPool,
    compressing: Promise<Compressor>,
    cacheKernels: Promise<CacheKernels>,
    filters: GPUBuffer,
  ): Promise<Transformer> {
    const { scaledEmbedding } = config.architecture;
    const makeHead = (rows?: readonly number[]): Promise<Linear> =>
      createLinear(gpu, { ...headConfig(config, weights), ...(rows && { rows }) });
    const [compressor, kernels, head, embed, linears] = await Promise.all([
      compressing,
      cacheKernels,
      makeHead([1]),
      createEmbed(gpu, weights.embedding, scaledEmbedding ? Math.sqrt(config.hidden) : 1),
      createLayerLinears(gpu, config, weights),
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
    const parts = config.windows.map((window, layer) => ({
      rope: tables.get(kinds[layer]!)!,
      qkNorm: weights.layers[layer]!.qkNorm,
      kernels: kernels.byWindow.get(window)!,
    }));
    const { row, tile } = productPlan(gpu);
    const [first] = weights.layers;
    const variants = Object.fromEntries(
      Object.entries({ ...first, head: weights.head })
        .filter(
          (entry): entry is [string, WeightMatrix] => entry[1] !== undefined && "parts" in entry[1],
        )
        .map(([name, matrix]) => [name, `${matrix.parts[0]!.layout.name} ${row}, ${tile}`]),
    );
    return new Transformer(
      gpu,
      config,
      pool,
      compressor,
      filters,
      parts,
      kernels,
      embed,
      linears,
      head,
      makeHead,
      variants,
      weights,
      layerFrequencies(config, factors),
    );
  }

  private constructor(
    gpu: GpuContext,
    config: ModelConfig,
    pool: KvPool,
    compressor: Compressor,
    filters: GPUBuffer,
    parts: readonly LayerParts[],
    kernels: CacheKernels,
    embed: Embed,
    linears: BindLayers,
    head: Linear,
    makeHead: () => Promise<Linear>,
    variants: Readonly<Record<string, string>>,
    weights: ModelWeights,
    frequencies: readonly Float64Array[],
  ) {
    this.gpu = gpu;
    this.weights = weights;
    this.config = config;
    this.frequencies = frequencies;
    this.pool = pool;
    this.block = compressor.chunk;
    this.filters = filters;
    this.parts = parts;
    this.kernels = kernels;
    this.buffers = createStepBuffers(gpu, config);
    const { rows, batch, headBatch, hidden, normed, logits } = this.buffers;
    this.partials = this.buffers.partials;
    this.embedding = embed.bind({ batch, rows, y: hidden });
    this.linears = linears(this.buffers);
    const headBuffers = { batch: headBatch, x: hidden, y: logits, normed };
    this.headLinear = head.bind(headBuffers);
    this.heads = new OnDemand("the head for several rows", async () =>
      (await makeHead()).bind(headBuffers),
    );
    this.variants = variants;
  }

  /** Gains [D] of a layer's key norm as `read` fetches them; undefined where the family has none. */
  async keyGains(
    layer: number,
    read: (buffer: GPUBuffer) => Promise<ArrayBuffer>,
  ): Promise<Float32Array | undefined> {
    const gains = this.parts[layer]?.qkNorm;
    return gains && new Float32Array(await read(gains)).slice(this.config.headDim);
  }

  /**
   * Dispatches that run `rows` single tokens, each in its own lane, with attention in `splits` parts;
   * `observe`: what comes after each layer's attention, for policies that look at it.
   */
  decode(rows: number, splits: number, observe?: (layer: number) => Dispatch[]): Dispatch[] {
    this.refresh();
    if (observe) return this.decodePlan(rows, splits, false, observe);
    const key = rows * 1024 + splits;
    let plan = this.decodePlans.get(key);
    if (!plan) {
      plan = this.decodePlan(rows, splits);
      this.decodePlans.set(key, plan);
    }
    return plan;
  }

  /** Makes room for `rows` rows that decode at once. */
  makeRoom(rows: number): void {
    const bytes = partialsBytes(this.config, rows);
    if (this.partials.size >= bytes) return;
    const { ledger } = this.gpu;
    ledger.destroy(this.partials);
    this.partials = ledger.storage("activations", "partials", bytes);
    this.generation = -1;
  }

  /**
   * Like `decode`, but a row's result has the same bits whatever rows are beside it, also none: kernels and
   * splits do not depend on them. After `makeRoom` only.
   */
  lanes(rows: number, observe?: (layer: number) => Dispatch[]): Dispatch[] {
    this.refresh();
    if (observe) return this.decodePlan(rows, LANE_SPLITS, true, observe);
    let plan = this.lanePlans.get(rows);
    if (!plan) {
      plan = this.decodePlan(rows, LANE_SPLITS, true);
      this.lanePlans.set(rows, plan);
    }
    return plan;
  }

  /** Like `head` for `rows` rows, but each row has the same bits whatever rows are beside it. Needs `heads`. */
  laneHead(rows: number): Dispatch[] {
    return this.heads.value.dispatches(rows, true);
  }

  /** Dispatches that run a prompt chunk of `rows` tokens of one lane. */
  chunk(rows: number, over: PrefillOver = "any"): ChunkPlan {
    const layers = this.linears.map((_, layer) => this.chunkLayer(rows, layer, over));
    return { embed: this.embed(rows), layers };
  }

  /** Dispatches that make the residual stream of `rows` tokens. */
  embed(rows: number): Dispatch[] {
    return this.embedding.dispatches(rows);
  }

  /** Dispatches of one layer of a prompt chunk. */
  chunkLayer(rows: number, layer: number, over: PrefillOver = "any"): LayerPlan {
    this.refresh();
    const { heads, kvHeads } = this.config;
    const cache = this.cacheDispatches[layer]!;
    const workgroups = prefillWorkgroups(this.gpu, this.pool.shape, rows);
    return layerPlan(this.linears[layer]!, rows, {
      write: [{ ...cache.writeChunk, workgroups: [heads + kvHeads, rows] }],
      attend: [{ ...cache.attendPrefill[over], workgroups }],
    });
  }

  /**
   * Dispatches that turn `rows` rows of the residual stream, from headBatch.first on, into logits. More
   * than one row once `heads` is made.
   */
  head(rows: number): Dispatch[] {
    let plan = this.headPlans.get(rows);
    if (!plan) {
      const linear = rows === 1 ? this.headLinear : this.heads.value;
      plan = linear.dispatches(rows);
      this.headPlans.set(rows, plan);
    }
    return plan;
  }

  private async createDrafts(): Promise<DraftSteps> {
    const { DraftSteps } = await loadLater("speculation", () => import("./draft-steps.ts"));
    return DraftSteps.create({
      gpu: this.gpu,
      config: this.config,
      weights: this.weights,
      pool: this.pool,
      filters: this.filters,
      buffers: this.buffers,
      kernels: this.kernels,
      parts: this.parts,
      embedding: this.embedding,
    });
  }

  private decodePlan(
    rows: number,
    splits: number,
    alike = false,
    observe?: (layer: number) => Dispatch[],
  ): Dispatch[] {
    const { heads, kvHeads } = this.config;
    // Every workgroup of the output product joins all splits: with many of them a dispatch of its own is less work.
    const joined = rows === 1 && splits <= JOINED_SPLITS && !observe && !alike;
    const combine = this.kernels.combine.dispatch(
      { batch: this.buffers.batch, partials: this.partials, out: this.buffers.attended },
      [heads, rows],
    );
    return [
      ...this.embedding.dispatches(rows),
      ...this.cacheDispatches.flatMap((cache, layer) => {
        const linear = this.linears[layer]!;
        const joins = joined && linear.outputJoined !== undefined;
        const attend: Dispatch = { ...cache.attendDecode, workgroups: [splits, kvHeads, rows] };
        const { project, attend: rest } = layerPlan(
          linear,
          rows,
          {
            write: [{ ...cache.append, workgroups: [heads + kvHeads, rows] }],
            attend: joins ? [attend] : [attend, combine, ...(observe?.(layer) ?? [])],
          },
          { alike, joined: joins },
        );
        return [...project, ...rest];
      }),
    ];
  }

  /** [L]: each layer's RoPE table. */
  get ropes(): GPUBuffer[] {
    return this.parts.map(({ rope }) => rope);
  }

  /** Makes the bind groups that depend on the pool's buffers, if those have changed. */
  private refresh(): void {
    if (this.generation === this.pool.generation) return;
    this.generation = this.pool.generation;
    this.decodePlans.clear();
    this.lanePlans.clear();
    const { filters, partials } = this;
    const { rows, batch, qkv, attended, lse } = this.buffers;
    const { tables, lanes } = this.pool;
    const chunk = this.block;
    this.cacheDispatches = this.pool.slabs.map((pages, layer) => {
      const shape = this.pool.layerShapes[layer]!;
      const { rope, qkNorm, kernels } = this.parts[layer]!;
      const written = { shape, rows, qkv, tables, lanes, filters, rope_table: rope, gains: qkNorm };
      const seen = { shape, batch, rows, qkv, pages, chunk, tables, out: attended, lse };
      return {
        append: kernels.append.dispatch({ ...written, pages }, [1]),
        attendDecode: this.kernels.attendDecode.dispatch(
          { shape, rows, qkv, pages, tables, partials },
          [1],
        ),
        writeChunk: this.kernels.writeChunk.dispatch({ ...written, pages: chunk }, [1]),
        attendPrefill: {
          empty: kernels.attendPrefill.empty.dispatch(seen, [1]),
          any: kernels.attendPrefill.any.dispatch(seen, [1]),
        },
      };
    });
  }
}
