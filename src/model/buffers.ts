import type { GpuContext } from "../gpu/context.ts";
import { MAX_SPLITS } from "../kernels/attention/attention-tiling.ts";
import { BATCH, ROW } from "../kernels/records.ts";
import type { ModelConfig } from "./config.ts";

/** Rows of the largest prompt chunk: what one pass over the weights takes. */
export const CHUNK_ROWS = 128;
/** Rows of the largest prompt block: what a layer attends to in full before its cache is compressed. */
const BLOCK_ROWS = 2048;

/** Rows of a model's largest prompt block: whole chunks, and no more than its positions need. */
export const blockRows = ({ contextLength }: Pick<ModelConfig, "contextLength">): number =>
  Math.min(BLOCK_ROWS, Math.ceil(contextLength / CHUNK_ROWS) * CHUNK_ROWS);
/** Rows that decode at once, each in a lane of its own; `Transformer.makeRoom` makes room for more. */
export const DECODE_ROWS = 1;
/** Rows whose logits are held at once. */
export const LOGIT_ROWS = 16;

/** Activations of one step, allocated once: M is at most CHUNK_ROWS. */
export interface StepBuffers {
  /** Row [M]: token, position, lane, block row */
  readonly rows: GPUBuffer;
  /** uniform Batch of the layers */
  readonly batch: GPUBuffer;
  /** uniform Batch of the head, which runs on fewer rows */
  readonly headBatch: GPUBuffer;
  /** f32 [M, E], the residual stream */
  readonly hidden: GPUBuffer;
  /** f32 [M, max(E, F, H D)], scratch of norms that are not folded */
  readonly normed: GPUBuffer;
  /** f32 [M, (H + 2G) D]; in a state layer, what its kernel takes */
  readonly qkv: GPUBuffer;
  /** f32 [M, H, D]; in a state layer, what its kernels give */
  readonly attended: GPUBuffer;
  /** f32 [M, H]: of a prompt's attention, ln of the sum of exp(logit) */
  readonly lse: GPUBuffer;
  /** f32 [DECODE_ROWS, H, MAX_SPLITS, D + 2], until lanes need more */
  readonly partials: GPUBuffer;
  /** f32 [M, F]; before, [M, H D] of gates where a family has them */
  readonly mlp: GPUBuffer;
  /** f32 [LOGIT_ROWS, V] */
  readonly logits: GPUBuffer;
  /** Row [B] of a prompt block, from where each chunk's rows are taken */
  readonly blockRows: GPUBuffer;
  /** f32 [B, E], the residual stream of a prompt block between layers */
  readonly blockHidden: GPUBuffer;
}

/** Bytes that `createStepBuffers` will allocate, by buffer. */
export function stepBufferBytes(
  config: ModelConfig,
): Omit<Record<keyof StepBuffers, number>, "batch" | "headBatch"> {
  const { architecture, hidden, heads, kvHeads, headDim, mlp, vocabulary } = config;
  const f32 = 4;
  const projected = config.states.map((layer) => layer.projected);
  const mixed = config.states.map((layer) => layer.mixed);
  return {
    rows: CHUNK_ROWS * ROW.words * 4,
    hidden: CHUNK_ROWS * hidden * f32,
    normed: CHUNK_ROWS * Math.max(hidden, heads * headDim) * f32,
    qkv: CHUNK_ROWS * Math.max((heads + 2 * kvHeads) * headDim, ...projected) * f32,
    attended: CHUNK_ROWS * Math.max(heads * headDim, ...mixed) * f32,
    lse: CHUNK_ROWS * heads * f32,
    partials: partialsBytes(config, DECODE_ROWS),
    mlp: CHUNK_ROWS * Math.max(mlp, architecture.outputGate ? heads * headDim : 0) * f32,
    logits: LOGIT_ROWS * vocabulary * f32,
    blockRows: blockRows(config) * ROW.words * 4,
    blockHidden: blockRows(config) * hidden * f32,
  };
}

/** Bytes of the attention partials of `rows` rows that decode at once. */
export const partialsBytes = (
  { heads, headDim }: Pick<ModelConfig, "heads" | "headDim">,
  rows: number,
): number => rows * heads * MAX_SPLITS * (headDim + 2) * 4;

export function createStepBuffers({ ledger }: GpuContext, config: ModelConfig): StepBuffers {
  const bytes = stepBufferBytes(config);
  const storage = (name: keyof typeof bytes): GPUBuffer =>
    ledger.storage("activations", name, bytes[name]);
  return {
    rows: storage("rows"),
    batch: ledger.uniform("batch", new Uint32Array(BATCH.words)),
    headBatch: ledger.uniform("head batch", new Uint32Array(BATCH.words)),
    hidden: storage("hidden"),
    normed: storage("normed"),
    qkv: storage("qkv"),
    attended: storage("attended"),
    lse: storage("lse"),
    partials: storage("partials"),
    mlp: storage("mlp"),
    logits: storage("logits"),
    blockRows: storage("blockRows"),
    blockHidden: storage("blockHidden"),
  };
}
