import { loadLater } from "../errors.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { OnDemand } from "../gpu/on-demand.ts";
import { prefillWorkgroups } from "../kernels/attention/attention.ts";
import { LANE_SPLITS, type PrefillOver } from "../kernels/attention/attention-tiling.ts";
import type { BoundLinear } from "../kernels/products/linear.ts";
import { partialsBytes, type StepBuffers } from "./buffers.ts";
import type { ModelConfig } from "./config.ts";
import type { DraftSteps } from "./draft-steps.ts";
import { type LayerPlan, layerPlan } from "./layer-plan.ts";
import type { TransformerParts } from "./transformer-parts.ts";

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
 *   each layer, but those that keep a state:
 *     qkv = norm(hidden) Wqkv (+ bias)                                  [M, (H + 2G) D]
 *     (norm) and rotate q and k, score k, write k and v                 one row: into the cache, evicting
 *     attended = attention(q, cache, window or not)                     [M, H, D]
 *     (a prompt only: take its keys and values into the cache, evicting)
 *     hidden += (norm of) attended Wo
 *     hidden += (norm of) (act(g) * u) Wdown,  g, u = norm(hidden) Wgate, Wup
 *   logits = norm(hidden) Whead                                         [n, V]
 */
export class Transformer {
  /** The head for more than one row: answering never needs it. */
  readonly heads: OnDemand<BoundLinear>;
  /** Steps of several tokens. */
  readonly drafts: OnDemand<DraftSteps>;
  readonly parts: TransformerParts;
  private cacheDispatches: LayerCacheDispatches[] = [];
  private generation = -1;
  private readonly decodePlans = new Map<number, Dispatch[]>();
  private readonly lanePlans = new Map<number, Dispatch[]>();
  private readonly headPlans = new Map<number, Dispatch[]>();
  private partials: GPUBuffer;

  constructor(parts: TransformerParts) {
    this.parts = parts;
    this.partials = parts.buffers.partials;
    this.heads = new OnDemand("the head for several rows", parts.makeHeads);
    this.drafts = new OnDemand("a step of several tokens", async () => {
      const { DraftSteps } = await loadLater("speculation", () => import("./draft-steps.ts"));
      return DraftSteps.create(parts);
    });
  }

  get config(): ModelConfig {
    return this.parts.config;
  }

  get buffers(): StepBuffers {
    return this.parts.buffers;
  }

  /** [L]: each layer's RoPE table. */
  get ropes(): GPUBuffer[] {
    return this.parts.layers.map(({ rope }) => rope);
  }

  /** [L]: the same of layers that have RoPE. */
  get turning(): (GPUBuffer | undefined)[] {
    return this.ropes.map((rope, layer) =>
      this.parts.frequencies[layer]!.some((angle) => angle !== 0) ? rope : undefined,
    );
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
    const { ledger } = this.parts.gpu;
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
    const layers = this.parts.linears.map((_, layer) => this.chunkLayer(rows, layer, over));
    return { embed: this.embed(rows), layers };
  }

  /** Dispatches that make the residual stream of `rows` tokens. */
  embed(rows: number): Dispatch[] {
    return this.parts.embedding.dispatches(rows);
  }

  /** Dispatches of one block of a prompt chunk. */
  chunkLayer(rows: number, block: number, over: PrefillOver = "any"): LayerPlan {
    this.refresh();
    const { heads, kvHeads, blocks } = this.config;
    const { kind, index, borrows } = blocks[block]!;
    const linear = this.parts.linears[block]!;
    if (kind === "state") return this.parts.states!.plan(linear, index, "serial", rows);
    const cache = this.cacheDispatches[index]!;
    const workgroups = prefillWorkgroups(this.parts.gpu, this.parts.pool.shape, rows);
    return layerPlan(linear, rows, {
      write: [{ ...cache.writeChunk, workgroups: [borrows ? heads : heads + kvHeads, rows] }],
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
      const linear = rows === 1 ? this.parts.head : this.heads.value;
      plan = linear.dispatches(rows);
      this.headPlans.set(rows, plan);
    }
    return plan;
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
    const combine = this.parts.kernels.combine.dispatch(
      { batch: this.buffers.batch, partials: this.partials, out: this.buffers.attended },
      [heads, rows],
    );
    return [
      ...this.parts.embedding.dispatches(rows, alike),
      ...this.config.blocks.flatMap(({ kind, index: layer, borrows }, block) => {
        const linear = this.parts.linears[block]!;
        if (kind === "state") {
          const { project, attend } = this.parts.states!.plan(linear, layer, "apart", rows, alike);
          return [...project, ...attend];
        }
        const cache = this.cacheDispatches[layer]!;
        const joins = joined && linear.outputJoined !== undefined;
        const attend: Dispatch = { ...cache.attendDecode, workgroups: [splits, kvHeads, rows] };
        const { project, attend: rest } = layerPlan(
          linear,
          rows,
          {
            write: [{ ...cache.append, workgroups: [borrows ? heads : heads + kvHeads, rows] }],
            attend: joins
              ? [attend]
              : [attend, combine, ...(borrows ? [] : (observe?.(layer) ?? []))],
          },
          { alike, joined: joins },
        );
        return [...project, ...rest];
      }),
    ];
  }

  /** Makes the bind groups that depend on the pool's buffers, if those have changed. */
  private refresh(): void {
    const { pool, kernels, filters, blocks } = this.parts;
    if (this.generation === pool.generation) return;
    this.generation = pool.generation;
    this.decodePlans.clear();
    this.lanePlans.clear();
    const { partials } = this;
    const { rows, batch, qkv, attended, lse } = this.buffers;
    const { tables, lanes } = pool;
    this.cacheDispatches = pool.slabs.map((pages, layer) => {
      const [shape, chunk] = [pool.layerShapes[layer]!, blocks[layer]!];
      const { rope, qkNorm, kernels: own } = this.parts.layers[layer]!;
      const written = { shape, rows, qkv, tables, lanes, filters, rope_table: rope, gains: qkNorm };
      const seen = { shape, batch, rows, qkv, pages, chunk, tables, out: attended, lse };
      return {
        append: own.append.dispatch({ ...written, pages }, [1]),
        attendDecode: kernels.attendDecode.dispatch(
          { shape, rows, qkv, pages, tables, partials },
          [1],
        ),
        writeChunk: kernels.writeChunk.dispatch({ ...written, pages: chunk }, [1]),
        attendPrefill: {
          empty: own.attendPrefill.empty.dispatch(seen, [1]),
          any: own.attendPrefill.any.dispatch(seen, [1]),
        },
      };
    });
  }
}
