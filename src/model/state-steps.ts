/** The layers that keep a state in place of keys and values, in every kind of step. Loaded where a model has some. */

import move from "../../shaders/states/lib/move.wgsl";
import type { KvPool } from "../cache/kv-pool.ts";
import type { StateMove } from "../cache/sequence/sequence-states.ts";
import { StatePool } from "../cache/state-pool.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch, Stage } from "../gpu/kernel.ts";
import { shaderStruct } from "../gpu/shader-struct.ts";
import type { StateRows } from "../kernels/states/state-rows.ts";
import { blockOf } from "./blocks.ts";
import { CHUNK_ROWS, type StepBuffers } from "./buffers.ts";
import type { ModelConfig } from "./config.ts";
import type { LayerLinears, ProductParts } from "./layer-linears.ts";
import { type LayerPlan, layerPlan } from "./layer-plan.ts";
import type { StateKernel, StateLayer } from "./states/state-kind.ts";

const MOVE = shaderStruct<"source" | "to">(move, "Move");
/** In place of a slot, where nothing was read yet. */
const NO_STATE = 0xffffffff;

/** The kernels of state layers for rows that belong together in one way, by layer. */
type StateKernels = ReadonlyMap<StateLayer, StateKernel>;

const compile = async (
  gpu: GpuContext,
  config: ModelConfig,
  rowsAre: StateRows,
  stage?: Stage,
): Promise<StateKernels> => {
  const kind = config.architecture.stateLayers!;
  const kernels = [...new Set(config.states)].map(async (layer) => {
    return [layer, await kind.compile(gpu, config, layer, rowsAre, stage)] as const;
  });
  return new Map(await Promise.all(kernels));
};

/** The pool of states that belongs to a pool of pages. */
export const statePool = (pool: KvPool): StatePool =>
  new StatePool(pool, pool.shape.stateWords ?? []);

/** Gives compiled kernels what they work on. */
export type BindStates = (
  parts: ProductParts & { readonly pool: KvPool },
  buffers: StepBuffers,
) => StateSteps;

/** Compiles the kernels of prompts and answers, which can be done before the weights are there. */
export async function compileStates(gpu: GpuContext, config: ModelConfig): Promise<BindStates> {
  const [serial, apart] = await Promise.all([
    compile(gpu, config, "serial"),
    compile(gpu, config, "apart", "answer"),
  ]);
  return (parts, buffers) => new StateSteps(parts, buffers, { serial, apart, each: undefined });
}

export class StateSteps {
  /** Move [CHUNK_ROWS]: of each row of a step, or of all its rows. */
  private readonly moves: GPUBuffer;
  /** Move: of the chunks of a prompt block behind its first one. */
  private readonly next: GPUBuffer;
  private readonly parts: Parameters<BindStates>[0];
  private readonly buffers: StepBuffers;
  private readonly kernels: Record<StateRows, StateKernels | undefined>;
  /** The slabs that dispatches are bound to. */
  private slabs: readonly GPUBuffer[] = [];
  private readonly bound = new Map<string, (rows: number) => Dispatch[]>();

  constructor(
    parts: Parameters<BindStates>[0],
    buffers: StepBuffers,
    kernels: Record<StateRows, StateKernels | undefined>,
  ) {
    this.parts = parts;
    this.buffers = buffers;
    this.kernels = kernels;
    const [bytes, { ledger }] = [MOVE.words * 4, parts.gpu];
    this.moves = ledger.storage("activations", "state moves", CHUNK_ROWS * bytes);
    this.next = ledger.storage("activations", "next state move", bytes);
  }

  /** Compiles what steps of several tokens need that can be taken back. */
  async prepareDrafts(): Promise<void> {
    this.kernels.each ??= await compile(this.parts.gpu, this.parts.config, "each");
  }

  /** Says where the rows of the next step find their states, and where these go. */
  write(moves: readonly StateMove[]): void {
    const records = moves.map(({ source = NO_STATE, to }) => ({ source, to }));
    this.parts.gpu.write(this.moves, MOVE.pack(...records));
    const { to } = moves.at(-1)!;
    this.parts.gpu.write(this.next, MOVE.pack({ source: to, to }));
  }

  /** Encodes that the rows that follow go on from where those of the last step, of one sequence, left off. */
  encodeNext(encoder: GPUCommandEncoder): void {
    encoder.copyBufferToBuffer(this.next, 0, this.moves, 0, this.next.size);
  }

  /** The schedule of a layer, the layer-th that keeps a state, for `rows` rows; `alike`: as in BoundLinear. */
  plan(
    linear: LayerLinears,
    layer: number,
    rowsAre: StateRows,
    rows: number,
    alike = false,
  ): LayerPlan {
    const write = this.dispatches(layer, rowsAre, rows);
    return layerPlan(linear, rows, { write, attend: [] }, { alike });
  }

  private dispatches(layer: number, rowsAre: StateRows, rows: number): Dispatch[] {
    const { slabs } = this.parts.pool.states!;
    if (slabs.some((slab, i) => slab !== this.slabs[i])) {
      this.slabs = [...slabs];
      this.bound.clear();
    }
    const key = `${layer} ${rowsAre}`;
    const bound = this.bound.get(key) ?? this.bind(layer, rowsAre);
    this.bound.set(key, bound);
    return bound(rows);
  }

  private bind(layer: number, rowsAre: StateRows): (rows: number) => Dispatch[] {
    const { config, weights } = this.parts;
    const { batch, qkv, attended } = this.buffers;
    const kernel = this.kernels[rowsAre]!.get(config.states[layer]!)!;
    return kernel(
      { batch, projected: qkv, moves: this.moves, states: this.slabs[layer]!, y: attended },
      weights.layers[blockOf(config, "state", layer)]!.state!,
    );
  }
}
