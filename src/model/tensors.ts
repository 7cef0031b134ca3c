import { loadLater, WinnowError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { type Gguf, type GgufTensor, tensorNamed } from "../formats/gguf/gguf.ts";
import type { TensorSource } from "../kernels/products/weight-sections.ts";
import type { Block } from "./blocks.ts";
import type { ModelConfig } from "./config.ts";
import type { LayerTensors, Rows, TensorFinder } from "./layer-tensors.ts";
import type { Vector } from "./vector.ts";

/**
 * Where in the file the rows of a query or key head are; undefined: as kernels turn them, i with i + D/2. Interleaved rows
 * are turned 2i with 2i + 1; of R dimensions that turn, i with i + R/2, and what does not turn comes behind each half.
 */
export function headRows({ architecture, headDim: D, ropeDims: R }: ModelConfig): Rows | undefined {
  const { interleavedRope } = architecture;
  if (!interleavedRope && (R === D || R === 0)) return undefined;
  return (row) => {
    const i = row % D;
    const pair = i % (D / 2);
    const second = i < D / 2 ? 0 : 1;
    if (interleavedRope) return row - i + 2 * pair + second;
    const [first, half] = pair < R / 2 ? [pair, R / 2] : [pair + R / 2, (D - R) / 2];
    return row - i + first + second * half;
  };
}

/** What some decoder computes with: to leave such a tensor out would give other answers. */
const COMPUTED =
  /^(blk\.\d+\.|output|token_embd_norm|token_types|position_embd|rope_factors|cls|dense_|per_layer|altup)/;

/** Looks tensors up by name and checks their shapes, so that a damaged file fails before any upload. */
class TensorReader implements TensorFinder {
  private readonly source: ByteSource;
  private readonly gguf: Gguf;
  private readonly signal: AbortSignal | undefined;
  private readonly used = new Set<string>();

  constructor(source: ByteSource, gguf: Gguf, signal: AbortSignal | undefined) {
    this.source = source;
    this.gguf = gguf;
    this.signal = signal;
  }

  tensor(name: string, ...shape: number[]): GgufTensor {
    const tensor = tensorNamed(this.gguf, name);
    const found = tensor ? `[${tensor.shape.join(", ")}]` : "missing";
    if (!tensor || shape.some((n, i) => n !== (tensor.shape[i] ?? 1))) {
      throw new WinnowError(
        "bad_model_file",
        `tensor ${name}: needed [${shape.join(", ")}], found ${found}`,
        {
          hint: "The file's tensors contradict its metadata; download or convert it again.",
          details: { field: name, needed: shape, found: tensor?.shape },
        },
      );
    }
    this.used.add(name);
    return tensor;
  }

  /**
   * Throws unsupported_model where the file has a layer's tensor that the schedule would leave out. Blocks from `blocks` to
   * `all` guess tokens ahead, and may be.
   */
  checkAllUsed(blocks: number, all: number): void {
    for (const name of [...this.gguf.tensors.keys(), ...this.gguf.unreadable.keys()]) {
      if (this.used.has(name) || !COMPUTED.test(name) || /rot_embd/.test(name)) continue;
      const block = Number(name.split(".")[1]);
      if (block >= blocks && block < all) continue;
      throw new WinnowError("unsupported_model", `tensor ${name}: not known in this architecture`, {
        hint: "The file is of a variant that Winnow does not compute.",
        details: { field: name },
      });
    }
  }

  /** W [rows, cols] as it lies in the file: ggml's first dimension is cols. */
  matrix(name: string, rows: number, cols: number, rowOrder?: Rows): TensorSource {
    return this.stacked(name, cols, [rows], [rowOrder])[0]!;
  }

  /** Matrices [heights[i], cols] that lie one behind the other in one tensor. */
  stacked(
    name: string,
    cols: number,
    heights: readonly number[],
    rowOrders: readonly (Rows | undefined)[] = [],
  ): TensorSource[] {
    const rows = heights.reduce((sum, height) => sum + height, 0);
    const { type, offset, byteLength } = this.tensor(name, cols, rows);
    let start = offset;
    return heights.map((height, i) => {
      const begin = start;
      const rowOrder = rowOrders[i];
      start += (byteLength / rows) * height;
      return {
        name,
        type,
        rows: height,
        cols,
        read: (at, length) => this.source.read(begin + at, length, this.signal),
        ...(rowOrder ? { rowOrder } : {}),
      };
    });
  }

  /** The same where the file has them joined in one tensor, else each by its own name. */
  several(
    names: readonly string[],
    joined: string,
    cols: number,
    heights: readonly number[],
    rowOrders: readonly (Rows | undefined)[] = [],
  ): TensorSource[] {
    return this.has(joined) && !this.has(names[0]!)
      ? this.stacked(joined, cols, heights, rowOrders)
      : names.map((name, i) => this.matrix(name, heights[i]!, cols, rowOrders[i]));
  }

  private has(name: string): boolean {
    return tensorNamed(this.gguf, name) !== undefined;
  }

  optional(name: string, ...shape: number[]): Vector | undefined {
    return this.has(name) ? this.vector(name, ...shape) : undefined;
  }

  /** Looked up now, read when asked for. `shape`: as ggml has it, the contiguous dimension first. */
  vector(name: string, ...shape: number[]): Vector {
    const { type, offset, byteLength } = this.tensor(name, ...shape);
    const length = shape.reduce((product, n) => product * n, 1);
    const read = async (): Promise<Float32Array> => {
      const bytes = await this.source.read(offset, byteLength, this.signal);
      // Of nearly every model.
      if (type === "F32") return new Float32Array(bytes.slice().buffer);
      const { dequantize } = await loadLater(
        "this model's weights",
        () => import("../formats/ggml/dequantize.ts"),
      );
      return dequantize(type, bytes, length);
    };
    return { length, read };
  }
}

/** Where the weights of a model lie: all that come to the GPU, and factors of its RoPE tables. */
export interface ModelTensors {
  readonly embedding: TensorSource;
  readonly layers: readonly LayerTensors[];
  readonly finalNorm: Vector;
  readonly head: TensorSource | undefined;
  readonly ropeFactors: Vector | undefined;
}

/**
 * Finds every tensor the configuration asks for and checks its shape; reads nothing.
 * @throws bad_model_file naming a tensor that is missing or of another shape; unsupported_model naming one
 *   that would be left out.
 */
export function findTensors(
  source: ByteSource,
  gguf: Gguf,
  config: ModelConfig,
  signal?: AbortSignal,
): ModelTensors {
  const { hidden: E, heads: H, kvHeads: G, headDim: D, mlp: F, vocabulary: V } = config;
  const { qkvBias, qkNorm, postNorms, outputGate, stateLayers, extension } = config.architecture;
  const { finalNorm = "output_norm", mlpNorm = "ffn_norm" } = config.architecture;
  const reader = new TensorReader(source, gguf, signal);
  const rope = headRows(config);
  const ones: Vector = { length: D, read: async () => new Float32Array(D).fill(1) };
  const usual: LayerTensors["qkNorm"] = config.gains ? [ones, ones] : undefined;
  type Mixer = Pick<LayerTensors, "qkv" | "qkvBias" | "qkNorm" | "more" | "output">;
  const attention = (at: (part: string, kind?: string) => string): Mixer => ({
    ...(outputGate?.(reader, at, config, rope) ?? {
      qkv: reader.several(
        [at("attn_q"), at("attn_k"), at("attn_v")],
        at("attn_qkv"),
        E,
        [H * D, G * D, G * D],
        [rope, rope],
      ),
    }),
    qkvBias: qkvBias
      ? [H, G, G].map((heads, i) => reader.vector(at(`attn_${"qkv"[i]}`, "bias"), heads * D))
      : undefined,
    qkNorm: qkNorm
      ? [reader.vector(at("attn_q_norm"), D), reader.vector(at("attn_k_norm"), D)]
      : usual,
    output: reader.matrix(at("attn_output"), E, H * D),
  });
  const layer = ({ kind, index: ofKind }: Block, index: number): LayerTensors => {
    const at = (part: string, kind = "weight"): string => `blk.${index}.${part}.${kind}`;
    const post = (part: string) => (postNorms ? reader.vector(at(part), E) : undefined);
    return {
      attentionNorm: reader.vector(at("attn_norm"), E),
      ...(kind === "state"
        ? stateLayers!.tensors(reader, at, config.states[ofKind]!, E)
        : attention(at)),
      postAttentionNorm: post("post_attention_norm"),
      mlpNorm: reader.vector(at(mlpNorm), E),
      gateUp: reader.several([at("ffn_gate"), at("ffn_up")], at("ffn_up"), E, [F, F]),
      down: reader.matrix(at("ffn_down"), E, F),
      postMlpNorm: post("post_ffw_norm"),
    };
  };
  const found: ModelTensors = {
    embedding: reader.matrix("token_embd.weight", V, E),
    layers: config.blocks.map((block, index) =>
      extension ? extension.tensors(reader, config, block, index) : layer(block, index),
    ),
    finalNorm: reader.vector(`${finalNorm}.weight`, E),
    head: config.tiedHead ? undefined : reader.matrix("output.weight", V, E),
    ropeFactors: config.ropeFactors
      .map((name) => reader.optional(name, config.ropeDims / 2))
      .find((factors) => factors !== undefined),
  };
  const { name } = config.architecture;
  reader.checkAllUsed(config.blocks.length, Number(gguf.metadata.get(`${name}.block_count`)));
  return found;
}
