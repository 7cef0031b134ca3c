import { loadLater } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch, Kernel } from "../gpu/kernel.ts";
import { OnDemand } from "../gpu/on-demand.ts";
import { globalLayers, windowOf } from "../kernels/pages/cache-shape.ts";
import { createClamped } from "../kernels/pages/clamped.ts";
import { movesBytes, type Select } from "../kernels/pages/eviction.ts";
import type { KvFold } from "../kernels/pages/kv-fold.ts";
import { createKvMove, type KvMove } from "../kernels/pages/kv-move.ts";
import type { KvRing } from "../kernels/pages/kv-ring.ts";
import { scratchBytes } from "../kernels/pages/page-format.ts";
import type { Retention } from "../kernels/pages/retention.ts";
import { createSelectAll } from "../kernels/pages/select-all.ts";
import { EVICTION } from "../kernels/records.ts";
import type { KvPool } from "./kv-pool.ts";
import { type PolicyName, policyOf } from "./policies/index.ts";
import type { PolicyKernels } from "./policy-kernels.ts";
import type { KvSequence } from "./sequence/kv-sequence.ts";

/** How a prompt block is taken into a cache. */
export interface Absorption {
  readonly policy: PolicyName;
  /** Whether something has to go for it. */
  readonly evicts: boolean;
}

interface Kernels {
  selectAll: Select;
  move: KvMove;
  /** Only where some layers have a sliding window. */
  ring: KvRing | undefined;
  /** Only of f16 pages: the others hold what they are given. */
  clamped: Kernel | undefined;
}

/**
 * Everything that happens to a cache besides appending and attending: taking in a prompt block, shrinking
 * to a smaller budget, and counting who still keeps what. Layers with a
 * sliding window take chunks in, and take no part in the rest; nor do those kept whole in shrinking.
 */
export class Compressor {
  /** [L]: where each layer has a prompt block's keys and values, in pages of `chunkFormat`; but for the lender one at a time. */
  readonly chunks: readonly GPUBuffer[];
  readonly pool: KvPool;
  private readonly kernels: Kernels;
  readonly policies: PolicyKernels;
  /** The kernel of `tokenHolders`. */
  readonly counting: OnDemand<Retention>;
  /** The kernel of `fold`. */
  readonly folding: OnDemand<KvFold>;
  private readonly moves: GPUBuffer;
  /** Uniform of lib/eviction: see `target`. */
  readonly eviction: GPUBuffer;

  static async create(
    pool: KvPool,
    policies: PolicyKernels,
    blockRows: number,
  ): Promise<Compressor> {
    const rings = globalLayers(pool.shape).length < pool.shape.layers;
    const f16 = (pool.shape.storage ?? "f16") === "f16";
    const [selectAll, move, ring, clamped] = await Promise.all([
      createSelectAll(pool.gpu, pool.shape),
      createKvMove(pool.gpu, pool.shape),
      rings
        ? loadLater("sliding windows", () => import("../kernels/pages/kv-ring.ts")).then(
            ({ createKvRing }) => createKvRing(pool.gpu, pool.shape),
          )
        : undefined,
      f16 ? createClamped(pool.gpu, pool.shape) : undefined,
    ]);
    return new Compressor(pool, { selectAll, move, ring, clamped }, policies, blockRows);
  }

  private constructor(pool: KvPool, kernels: Kernels, policies: PolicyKernels, blockRows: number) {
    this.pool = pool;
    this.kernels = kernels;
    this.policies = policies;
    this.counting = new OnDemand("what counts who keeps what", async () => {
      const load = () => import("../kernels/pages/retention.ts");
      return (await loadLater("retention", load)).createRetention(pool.gpu, pool.shape);
    });
    this.folding = new OnDemand("what folds positions", async () => {
      const load = () => import("../kernels/pages/kv-fold.ts");
      return (await loadLater("chats past the trained length", load)).createKvFold(
        pool.gpu,
        pool.shape,
      );
    });
    const { kvHeads } = pool.shape;
    const { ledger } = pool.gpu;
    const blockBytes = scratchBytes(pool.shape, kvHeads, blockRows);
    const scratch = () => ledger.storage("activations", "prompt block", blockBytes);
    const { layers, lender } = pool.shape;
    const chunks = new Array<GPUBuffer>(layers).fill(scratch());
    if (lender !== undefined) chunks[lender] = scratch();
    this.chunks = chunks;
    this.moves = ledger.storage("activations", "moves", movesBytes(kvHeads, blockRows));
    this.eviction = ledger.uniform("eviction", new Uint32Array(EVICTION.words));
  }

  /**
   * Says what dispatches on a prompt block or a whole cache work on: `rows` of a block whose newest token is
   * at `last`, of which the last `queries` are rows `firstQuery` on of qkv; `all`: score every head; `anew`: the
   * scores in the cache are another policy's.
   */
  target(
    sequence: KvSequence,
    rows: number,
    last: number,
    { all = false, queries = 0, firstQuery = 0, anew = false } = {},
  ): void {
    const words = EVICTION.pack({
      lane: sequence.lane,
      rows,
      last,
      all: Number(all),
      queries,
      first_query: firstQuery,
      anew: Number(anew),
    });
    this.gpu.write(this.eviction, words);
  }

  /** Dispatches that take the block of one layer into the cache, evicting down to capacity where something must go. */
  absorb(layer: number, how: Absorption): Dispatch[] {
    const { pool, eviction } = this;
    if (windowOf(pool.shape, layer) === 0) return this.take(layer, this.moves, how);
    const buffers = {
      shape: pool.layerShapes[layer]!,
      eviction,
      chunk: this.chunks[layer]!,
      tables: pool.tables,
      pages: pool.slabs[layer]!,
    };
    return [this.kernels.ring!.dispatch(buffers, pool.shape.kvHeads)];
  }

  /**
   * Evicts down to the sequence's capacity and gives the memory back. `scoring`: what scores its cache anew
   * first, where the policy's scores change; asked once the sequence has pages of its own, for which a slab may
   * grow and be another buffer.
   */
  shrink(sequence: KvSequence, scoring: (() => readonly Dispatch[]) | undefined): void {
    const { pages } = sequence;
    if (pages.excess > 0) {
      // Survivors move down into slots that a fork may still use.
      pages.own(scoring ? {} : { capacities: pages.capacities });
      this.target(sequence, 0, sequence.tokensSeen - 1, { all: true });
      const { kvHeads } = this.pool.shape;
      const moves = this.gpu.ledger.storage("staging", "moves", movesBytes(kvHeads, pages.excess));
      const how = { evicts: true, policy: sequence.settings.policy };
      const evicting = sequence.compressed.flatMap((layer) => this.take(layer, moves, how));
      this.gpu.run([...(scoring?.() ?? []), ...evicting]);
      this.gpu.ledger.destroy(moves);
    }
    sequence.shrink();
    this.pool.trim();
  }

  /**
   * Gives every cached key a score of the sequence's present policy, by `scoring`; see `shrink`. `anew`: those
   * it has are another policy's.
   */
  rescore(sequence: KvSequence, anew: boolean, scoring: () => readonly Dispatch[]): void {
    sequence.pages.own();
    this.target(sequence, 0, sequence.tokensSeen - 1, { all: true, anew });
    this.gpu.run(scoring());
  }

  /**
   * Folds the positions of a sequence and turns its keys to where they then stand. `ropes` [L]: each layer's RoPE table,
   * undefined where it has none. Needs `folding`.
   */
  fold(sequence: KvSequence, ropes: readonly (GPUBuffer | undefined)[]): void {
    const { pool, eviction: lane } = this;
    sequence.fold();
    this.target(sequence, 0, sequence.tokensSeen - 1);
    const { lanes, tables, slabs, layerShapes, shape } = pool;
    this.gpu.run(
      ropes.flatMap((rope_table, layer) => {
        if (!rope_table) return [];
        const buffers = { shape: layerShapes[layer]!, lane, lanes, tables, pages: slabs[layer]! };
        return [this.folding.value.dispatch({ ...buffers, rope_table }, shape.kvHeads)];
      }),
    );
  }

  /** How many of the cached keys and values were cut to what f16 holds; 0 of other storages. */
  async clamped(sequence: KvSequence): Promise<number> {
    const { clamped } = this.kernels;
    if (!clamped || sequence.tokensSeen === 0) return 0;
    const { ledger } = this.gpu;
    const count = ledger.storage("staging", "clamped", 4);
    // Its own, since another conversation's prompt may be between two layers.
    const lane = ledger.uniform("lane", Uint32Array.of(sequence.lane, 0, 0, 0));
    try {
      const { layerShapes, tables, slabs, shape } = this.pool;
      this.gpu.run(
        layerShapes.map((layerShape, layer) =>
          clamped.dispatch({ shape: layerShape, lane, tables, pages: slabs[layer], cut: count }, [
            8,
            shape.kvHeads,
          ]),
        ),
      );
      return new Uint32Array(await this.gpu.read(count))[0]!;
    } finally {
      ledger.destroy(count);
      ledger.destroy(lane);
    }
  }

  private get gpu(): GpuContext {
    return this.pool.gpu;
  }

  private take(layer: number, moves: GPUBuffer, { evicts, policy }: Absorption): Dispatch[] {
    const { selectAll, move } = this.kernels;
    const remember = evicts && policyOf(policy).remembers && this.policies.remember.value;
    const { kvHeads } = this.pool.shape;
    const shared = {
      shape: this.pool.layerShapes[layer]!,
      eviction: this.eviction,
      tables: this.pool.tables,
      pages: this.pool.slabs[layer]!,
      chunk: this.chunks[layer]!,
      moves,
    };
    const withLanes = { ...shared, lanes: this.pool.lanes };
    return [
      ...(remember ? [remember.before(withLanes)] : []),
      (evicts ? this.policies.select.value : selectAll).dispatch(withLanes, kvHeads),
      move.dispatch(shared, kvHeads),
      ...(remember ? [remember.after(withLanes)] : []),
    ];
  }
}
