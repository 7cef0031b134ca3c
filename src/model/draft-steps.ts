import type { Dispatch, Kernel } from "../gpu/kernel.ts";
import { MAX_SPLITS } from "../kernels/attention/attention-tiling.ts";
import {
  createKvRestore,
  createKvSave,
  type KvRestoreBuffers,
  logRowBytes,
  TAKEN,
} from "../kernels/pages/kv-undo.ts";
import { type BoundLinear, createLinear } from "../kernels/products/linear.ts";
import { ROW } from "../kernels/records.ts";
import { DRAFT_ROWS, ROW_ALIGNMENT } from "./draft-rows.ts";
import { createLayerLinears, headConfig, type LayerLinears } from "./layer-linears.ts";
import { layerPlan } from "./layer-plan.ts";
import type { TransformerParts } from "./transformer-parts.ts";

/**
 * Steps of several tokens of one sequence that give, for each token, the very bits that decoding it alone
 * would: products over all rows, but in each layer the rows append, evict and attend one after another. What
 * every append overwrites is noted, so that the last ones can be taken back.
 */
export class DraftSteps {
  /** f32 [DRAFT_ROWS, E]: the residual stream after the last draft step. */
  readonly kept: GPUBuffer;
  /** One struct Row each `ROW_ALIGNMENT` bytes. */
  readonly rows: GPUBuffer;
  /** Whose step was noted last: the log and the rows serve no other. While it is in flight nothing may be noted. */
  owner: { readonly inFlight: boolean } | undefined;
  private readonly parts: TransformerParts;
  private readonly saves: ReadonlyMap<number, Kernel>;
  private readonly restore: (buffers: KvRestoreBuffers) => Dispatch;
  private readonly linears: readonly LayerLinears[];
  private readonly head: BoundLinear;
  private readonly partials: GPUBuffer;
  private readonly log: GPUBuffer;
  private readonly taken: GPUBuffer;
  private readonly plans = new Map<number, Dispatch[]>();
  private restores: Dispatch[] = [];
  private generation = -1;

  static async create(parts: TransformerParts): Promise<DraftSteps> {
    const { gpu, config, pool, buffers } = parts;
    const [saves, restore, linears, head] = await Promise.all([
      Promise.all(
        [...new Set(config.windows)].map(async (window) => {
          const kernel = await createKvSave(gpu, pool.shape, { ring: window > 0 });
          return [window, kernel] as const;
        }),
      ),
      createKvRestore(gpu, pool.shape),
      createLayerLinears(parts, true),
      createLinear(gpu, { ...headConfig(parts), asAlone: true }),
      parts.states?.prepareDrafts(),
    ]);
    const { headBatch, hidden, logits, normed } = buffers;
    const bound = head.bind({ batch: headBatch, x: hidden, y: logits, normed });
    return new DraftSteps(parts, new Map(saves), restore, linears(buffers), bound);
  }

  private constructor(
    parts: TransformerParts,
    saves: ReadonlyMap<number, Kernel>,
    restore: (buffers: KvRestoreBuffers) => Dispatch,
    linears: readonly LayerLinears[],
    head: BoundLinear,
  ) {
    this.parts = parts;
    this.saves = saves;
    this.restore = restore;
    this.linears = linears;
    this.head = head;
    const { heads, headDim, hidden } = parts.config;
    const { ledger } = parts.gpu;
    const storage = (name: string, rowBytes: number): GPUBuffer =>
      ledger.storage("activations", `draft ${name}`, DRAFT_ROWS * rowBytes);
    this.kept = storage("hidden", hidden * 4);
    this.rows = storage("rows", ROW_ALIGNMENT);
    this.partials = storage("partials", heads * MAX_SPLITS * (headDim + 2) * 4);
    this.log = storage("log", logRowBytes(parts.pool.shape));
    this.taken = ledger.uniform("draft taken", new Uint32Array(TAKEN.words));
  }

  /** Writes a step's rows once more, where it reads them one by one. */
  write(words: Uint32Array): void {
    const rows = words.length / ROW.words;
    const apart = new Uint32Array((rows * ROW_ALIGNMENT) / 4);
    for (let r = 0; r < rows; r += 1)
      apart.set(words.subarray(r * ROW.words, (r + 1) * ROW.words), (r * ROW_ALIGNMENT) / 4);
    this.parts.gpu.write(this.rows, apart);
  }

  /** Dispatches up to the logits [rows, V], with attention in `splits` parts. */
  step(rows: number, splits: number): Dispatch[] {
    this.refresh();
    const key = rows * 1024 + splits;
    let plan = this.plans.get(key);
    if (!plan) {
      plan = this.plan(rows, splits);
      this.plans.set(key, plan);
    }
    return plan;
  }

  /**
   * Takes the tokens from index `first` of the `rows` of the last step out of the cache again. Counts are the
   * host's to set. The cache must not have changed since in any other way.
   */
  takeBack(lane: number, first: number, rows: number): Dispatch[] {
    this.refresh();
    this.parts.gpu.write(this.taken, TAKEN.pack({ lane, first, rows }));
    return this.restores;
  }

  private plan(rows: number, splits: number): Dispatch[] {
    const { config, pool, buffers, kernels, layers, states, embedding, filters } = this.parts;
    const { heads, kvHeads, headDim } = config;
    const rowOf = (buffer: GPUBuffer, r: number, bytes: number): GPUBufferBinding => ({
      buffer,
      offset: r * bytes,
      size: bytes,
    });
    const qkvBytes = (heads + 2 * kvHeads) * headDim * 4;
    const partialBytes = heads * MAX_SPLITS * (headDim + 2) * 4;
    const combine = kernels.combine.dispatch(
      { batch: buffers.batch, partials: this.partials, out: buffers.attended },
      [heads, rows],
    );
    const { tables, lanes } = pool;
    const one = (layer: number, r: number): Dispatch[] => {
      const shape = pool.layerShapes[layer]!;
      const pages = pool.slabs[layer]!;
      const { rope, qkNorm, kernels: own } = layers[layer]!;
      const save = this.saves.get(config.windows[layer]!)!;
      const given = {
        shape,
        rows: rowOf(this.rows, r, ROW_ALIGNMENT),
        qkv: rowOf(buffers.qkv, r, qkvBytes),
        pages,
        tables,
        lanes,
        filters,
        rope_table: rope,
        gains: qkNorm,
        log: rowOf(this.log, r, logRowBytes(pool.shape)),
        partials: rowOf(this.partials, r, partialBytes),
      };
      return [
        save.dispatch(given, [kvHeads]),
        own.append.dispatch(given, [heads + kvHeads]),
        kernels.attendDecode.dispatch(given, [splits, kvHeads]),
      ];
    };
    const range = Array.from({ length: rows }, (_, r) => r);
    return [
      ...embedding.dispatches(rows),
      ...config.blocks.flatMap(({ kind, index }, block) => {
        const linear = this.linears[block]!;
        const write = () => range.flatMap((r) => one(index, r));
        const { project, attend } =
          kind === "state"
            ? states!.plan(linear, index, "each", rows)
            : layerPlan(linear, rows, { write: write(), attend: [combine] });
        return [...project, ...attend];
      }),
      ...this.head.dispatches(rows),
    ];
  }

  /** Bind groups that hold pages or page tables are made anew when the pool has changed a buffer. */
  private refresh(): void {
    const { pool } = this.parts;
    if (this.generation === pool.generation) return;
    this.generation = pool.generation;
    this.plans.clear();
    this.restores = pool.slabs.map((pages, layer) =>
      this.restore({
        shape: pool.layerShapes[layer]!,
        taken: this.taken,
        tables: pool.tables,
        log: this.log,
        pages,
      }),
    );
  }
}
