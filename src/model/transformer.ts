import type { Compressor } from "../cache/compressor.ts";
import type { KvPool } from "../cache/kv-pool.ts";
import { WinnowError } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch, Kernel } from "../gpu/kernel.ts";
import {
  createAttentionCombine,
  createAttentionDecode,
  createAttentionPrefill,
  prefillWorkgroups,
} from "../kernels/attention.ts";
import type { CacheShape } from "../kernels/cache-shape.ts";
import { createEmbed, type Embed } from "../kernels/embed.ts";
import { createKvWrite } from "../kernels/kv-write.ts";
import { type BoundLinear, createLinear, type Linear, productShapeFor } from "../kernels/linear.ts";
import { inverseFrequencies, ropeTable } from "../kernels/rope-table.ts";
import type { WeightMatrix } from "../kernels/weights.ts";
import { createStepBuffers, type StepBuffers } from "./buffers.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelWeights } from "./weights.ts";

/** Kernels that write and read the cache: of the model they know its shape alone. */
export interface CacheKernels {
  append: Kernel;
  writeChunk: Kernel;
  attendDecode: Kernel;
  combine: Kernel;
  attendPrefill: Kernel;
}

/** Can start before the weights are there; some take seconds on software adapters. */
export async function compileCacheKernels(
  gpu: GpuContext,
  shape: CacheShape,
): Promise<CacheKernels> {
  const [attendPrefill, attendDecode, combine, append, writeChunk] = await Promise.all([
    createAttentionPrefill(gpu, shape),
    createAttentionDecode(gpu, shape),
    createAttentionCombine(gpu, shape),
    createKvWrite(gpu, shape, "append"),
    createKvWrite(gpu, shape, "chunk"),
  ]);
  return { append, writeChunk, attendDecode, combine, attendPrefill };
}

interface LayerLinears {
  qkv: BoundLinear;
  output: BoundLinear;
  gateUp: BoundLinear;
  down: BoundLinear;
}

/** A layer's bind groups that hold pages or page tables: made anew when the pool changes a buffer. */
interface LayerCacheDispatches {
  append: GPUBindGroup;
  attendDecode: GPUBindGroup;
  writeChunk: GPUBindGroup;
  attendPrefill: GPUBindGroup;
  absorb: Dispatch[];
}

/** A prompt chunk's dispatches; between `project` and `finish` qkv holds the layer's rotated queries. */
export interface ChunkPlan {
  readonly embed: readonly Dispatch[];
  readonly layers: readonly {
    readonly project: readonly Dispatch[];
    readonly finish: readonly Dispatch[];
  }[];
}

/**
 * The decoder as a schedule of kernels, the same for one token and for a prompt chunk of M rows:
 *
 *   hidden = embed(tokens)                                              [M, E]
 *   each layer:
 *     qkv = norm(hidden) Wqkv                                           [M, (H + 2G) D]
 *     rotate q and k, score k, write k and v                            one row: into the cache, evicting
 *     attended = attention(q, cache)                                    [M, H, D]
 *     (a chunk only: take its keys and values into the cache, evicting)
 *     hidden += attended Wo
 *     hidden += (silu(g) * u) Wdown,  g, u = norm(hidden) Wgate, Wup
 *   logits = norm(hidden) Whead                                         [n, V]
 */
export class Transformer {
  readonly config: ModelConfig;
  readonly buffers: StepBuffers;
  /** Kernel name -> variant, for engine.info(). */
  readonly variants: Readonly<Record<string, string>>;
  private readonly pool: KvPool;
  private readonly compressor: Compressor;
  private readonly filters: GPUBuffer;
  private readonly rope: GPUBuffer;
  private readonly kernels: CacheKernels;
  private readonly linears: readonly LayerLinears[];
  private readonly embedding: { dispatches(rows: number): Dispatch[] };
  private readonly headLinear: BoundLinear;
  private readonly makeHeads: () => Promise<BoundLinear>;
  private headsLinear: BoundLinear | undefined;
  private cacheDispatches: LayerCacheDispatches[] = [];
  private generation = -1;
  private readonly decodePlans = new Map<number, Dispatch[]>();
  private readonly headPlans = new Map<number, Dispatch[]>();

  static async create(
    gpu: GpuContext,
    config: ModelConfig,
    weights: ModelWeights,
    pool: KvPool,
    compressing: Promise<Compressor>,
    cacheKernels: Promise<CacheKernels>,
    filters: GPUBuffer,
  ): Promise<Transformer> {
    const epsilon = config.normEpsilon;
    const makeHead = (rows?: readonly number[]): Promise<Linear> =>
      createLinear(gpu, {
        matrix: weights.head,
        epilogue: "store",
        norm: { gain: weights.finalNorm, epsilon },
        ...(rows && { rows }),
      });
    const [compressor, kernels, head, embed, ...linears] = await Promise.all([
      compressing,
      cacheKernels,
      makeHead([1]),
      createEmbed(gpu, weights.embedding),
      ...weights.layers.map(async (layer): Promise<Record<keyof LayerLinears, Linear>> => {
        const [qkv, output, gateUp, down] = await Promise.all([
          createLinear(gpu, {
            matrix: layer.qkv,
            epilogue: "store",
            norm: { gain: layer.attentionNorm, epsilon },
          }),
          createLinear(gpu, { matrix: layer.output, epilogue: "add" }),
          createLinear(gpu, {
            matrix: layer.gateUp,
            epilogue: "swiglu",
            norm: { gain: layer.mlpNorm, epsilon },
          }),
          createLinear(gpu, { matrix: layer.down, epilogue: "add" }),
        ]);
        return { qkv, output, gateUp, down };
      }),
    ]);
    const table = ropeTable(
      inverseFrequencies(config.headDim, config.ropeBase, weights.ropeFactors),
      config.contextLength,
    );
    const rope = gpu.ledger.storage("weights", "rope table", table.byteLength);
    gpu.write(rope, table);
    const shape = productShapeFor(gpu.adapter);
    const [first] = weights.layers;
    const variants = Object.fromEntries(
      Object.entries({ ...first, head: weights.head })
        .filter((entry): entry is [string, WeightMatrix] => "parts" in entry[1])
        .map(([name, matrix]) => [name, `${matrix.parts[0].layout.name} ${shape}`]),
    );
    return new Transformer(
      gpu,
      config,
      pool,
      compressor,
      filters,
      rope,
      kernels,
      embed,
      linears,
      head,
      makeHead,
      variants,
    );
  }

  private constructor(
    gpu: GpuContext,
    config: ModelConfig,
    pool: KvPool,
    compressor: Compressor,
    filters: GPUBuffer,
    rope: GPUBuffer,
    kernels: CacheKernels,
    embed: Embed,
    linears: readonly Record<keyof LayerLinears, Linear>[],
    head: Linear,
    makeHead: () => Promise<Linear>,
    variants: Readonly<Record<string, string>>,
  ) {
    this.config = config;
    this.pool = pool;
    this.compressor = compressor;
    this.filters = filters;
    this.rope = rope;
    this.kernels = kernels;
    this.buffers = createStepBuffers(gpu, config);
    const { rows, batch, headBatch, hidden, normed, qkv, attended, mlp, logits } = this.buffers;
    this.embedding = embed.bind({ batch, rows, y: hidden });
    this.linears = linears.map((layer) => ({
      qkv: layer.qkv.bind({ batch, x: hidden, y: qkv, normed }),
      output: layer.output.bind({ batch, x: attended, y: hidden }),
      gateUp: layer.gateUp.bind({ batch, x: hidden, y: mlp, normed }),
      down: layer.down.bind({ batch, x: mlp, y: hidden }),
    }));
    const headBuffers = { batch: headBatch, x: hidden, y: logits, normed };
    this.headLinear = head.bind(headBuffers);
    this.makeHeads = async () => (await makeHead()).bind(headBuffers);
    this.variants = variants;
  }

  /** Dispatches that run `rows` single tokens, each in its own lane, with attention in `splits` parts. */
  decode(rows: number, splits: number): Dispatch[] {
    this.refresh();
    const key = rows * 1024 + splits;
    let plan = this.decodePlans.get(key);
    if (!plan) {
      plan = this.decodePlan(rows, splits);
      this.decodePlans.set(key, plan);
    }
    return plan;
  }

  /** Dispatches that run a prompt chunk of `rows` tokens of one lane. */
  chunk(rows: number): ChunkPlan {
    this.refresh();
    const { heads, kvHeads } = this.config;
    const layers = this.cacheDispatches.map((cache, layer) => {
      const linear = this.linears[layer];
      return {
        project: [
          ...linear.qkv.dispatches(rows),
          {
            kernel: this.kernels.writeChunk,
            bindings: cache.writeChunk,
            workgroups: [heads + kvHeads, rows] as const,
          },
        ],
        finish: [
          {
            kernel: this.kernels.attendPrefill,
            bindings: cache.attendPrefill,
            workgroups: prefillWorkgroups(this.pool.shape, rows),
          },
          ...cache.absorb,
          ...linear.output.dispatches(rows),
          ...linear.gateUp.dispatches(rows),
          ...linear.down.dispatches(rows),
        ],
      };
    });
    return { embed: this.embedding.dispatches(rows), layers };
  }

  /** Compiles what `head` needs for more than one row: answering never does. */
  async prepareHeads(): Promise<void> {
    this.headsLinear ??= await this.makeHeads();
  }

  /**
   * Dispatches that turn `rows` rows of the residual stream, from headBatch.first on, into logits. More
   * than one row after `prepareHeads` only.
   */
  head(rows: number): Dispatch[] {
    let plan = this.headPlans.get(rows);
    if (!plan) {
      const linear = rows === 1 ? this.headLinear : this.headsLinear;
      if (!linear) throw new WinnowError("internal", "the head is not prepared for several rows");
      plan = linear.dispatches(rows);
      this.headPlans.set(rows, plan);
    }
    return plan;
  }

  private decodePlan(rows: number, splits: number): Dispatch[] {
    const { heads, kvHeads } = this.config;
    const combine = this.kernels.combine.bind(
      this.buffers.batch,
      this.buffers.partials,
      this.buffers.attended,
    );
    return [
      ...this.embedding.dispatches(rows),
      ...this.cacheDispatches.flatMap((cache, layer) => {
        const linear = this.linears[layer];
        return [
          ...linear.qkv.dispatches(rows),
          {
            kernel: this.kernels.append,
            bindings: cache.append,
            workgroups: [heads + kvHeads, rows] as const,
          },
          {
            kernel: this.kernels.attendDecode,
            bindings: cache.attendDecode,
            workgroups: [splits, kvHeads, rows] as const,
          },
          { kernel: this.kernels.combine, bindings: combine, workgroups: [heads, rows] as const },
          ...linear.output.dispatches(rows),
          ...linear.gateUp.dispatches(rows),
          ...linear.down.dispatches(rows),
        ];
      }),
    ];
  }

  /** Makes the bind groups that depend on the pool's buffers, if those have changed. */
  private refresh(): void {
    if (this.generation === this.pool.generation) return;
    this.generation = this.pool.generation;
    this.decodePlans.clear();
    const { rows, batch, qkv, attended, partials } = this.buffers;
    const { tables, lanes } = this.pool;
    const { chunk } = this.compressor;
    this.cacheDispatches = this.pool.slabs.map((pages, layer) => {
      const shape = this.pool.layerShapes[layer];
      return {
        append: this.kernels.append.bind(
          shape,
          rows,
          qkv,
          pages,
          tables,
          lanes,
          this.filters,
          this.rope,
        ),
        attendDecode: this.kernels.attendDecode.bind(shape, rows, qkv, pages, tables, partials),
        writeChunk: this.kernels.writeChunk.bind(
          shape,
          rows,
          qkv,
          chunk,
          tables,
          lanes,
          this.filters,
          this.rope,
        ),
        attendPrefill: this.kernels.attendPrefill.bind(
          shape,
          batch,
          rows,
          qkv,
          pages,
          chunk,
          tables,
          attended,
        ),
        absorb: this.compressor.absorb(layer),
      };
    });
  }
}
