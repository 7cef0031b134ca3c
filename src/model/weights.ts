import { WinnowError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { dequantize } from "../formats/dequantize.ts";
import type { Gguf, GgufTensor } from "../formats/gguf.ts";
import type { GpuContext } from "../gpu/context.ts";
import { type TensorSource, uploadMatrix, type WeightMatrix } from "../kernels/weights.ts";
import type { ModelConfig } from "./config.ts";

export interface LayerWeights {
  /** f32 [E] */
  readonly attentionNorm: GPUBuffer;
  /** [(H + 2G) D, E], rows of Q, K, V one after the other */
  readonly qkv: WeightMatrix;
  /** f32 [(H + 2G) D], where the family has biases */
  readonly qkvBias: GPUBuffer | undefined;
  /** f32 [2, D], gains of queries and keys, where the family has QK-norm */
  readonly qkNorm: GPUBuffer | undefined;
  /** [E, H D] */
  readonly output: WeightMatrix;
  /** f32 [E], where the family has norms after attention and MLP */
  readonly postAttentionNorm: GPUBuffer | undefined;
  readonly postMlpNorm: GPUBuffer | undefined;
  /** f32 [E] */
  readonly mlpNorm: GPUBuffer;
  /** [2F, E], gate and up rows in turns */
  readonly gateUp: WeightMatrix;
  /** [E, F] */
  readonly down: WeightMatrix;
}

export interface ModelWeights {
  /** [V, E] */
  readonly embedding: WeightMatrix;
  readonly layers: readonly LayerWeights[];
  /** f32 [E] */
  readonly finalNorm: GPUBuffer;
  /** [V, E]; the embedding itself where tied */
  readonly head: WeightMatrix;
  /** f32 [D/2] frequency divisors of Llama 3, where the file has them */
  readonly ropeFactors: Float32Array | undefined;
}

export interface UploadHooks {
  onProgress?: (loaded: number, total: number) => void;
  signal?: AbortSignal;
}

/** Half-split row i of each head is interleaved row 2i (first half) or 2(i - D/2) + 1. */
const halfSplitRow =
  (headDim: number) =>
  (row: number): number => {
    const i = row % headDim;
    const half = headDim / 2;
    return row - i + (i < half ? 2 * i : 2 * (i - half) + 1);
  };

const inOrder = (values: Float32Array, order?: (row: number) => number): Float32Array =>
  order ? values.map((_, row) => values[order(row)]!) : values;

/** Looks tensors up by name and checks their shapes, so that a damaged file fails before any upload. */
class TensorReader {
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
    const tensor = this.gguf.tensors.get(name);
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

  /** Throws unsupported_model where the file has a layer's tensor that the schedule would leave out. */
  checkAllUsed(): void {
    for (const name of this.gguf.tensors.keys()) {
      if (this.used.has(name) || !/^blk\.\d+\.|^output/.test(name) || /rot_embd/.test(name))
        continue;
      throw new WinnowError("unsupported_model", `tensor ${name}: not known in this architecture`, {
        hint: "The file is of a variant that Winnow does not compute.",
        details: { field: name },
      });
    }
  }

  /** W [rows, cols] as it lies in the file: ggml's first dimension is cols. */
  matrix(
    name: string,
    rows: number,
    cols: number,
    rowOrder?: (row: number) => number,
  ): TensorSource {
    const tensor = this.tensor(name, cols, rows);
    return {
      name,
      type: tensor.type,
      rows,
      cols,
      read: (offset, length) => this.source.read(tensor.offset + offset, length, this.signal),
      ...(rowOrder ? { rowOrder } : {}),
    };
  }

  async vector(name: string, length: number): Promise<Float32Array> {
    const { type, offset, byteLength } = this.tensor(name, length);
    return dequantize(type, await this.source.read(offset, byteLength, this.signal), length);
  }
}

/** Reads every tensor once, in file order within a layer, and uploads it. */
export async function loadWeights(
  gpu: GpuContext,
  source: ByteSource,
  gguf: Gguf,
  config: ModelConfig,
  { onProgress, signal }: UploadHooks = {},
): Promise<ModelWeights> {
  const { hidden: E, heads: H, kvHeads: G, headDim: D, mlp: F, vocabulary: V } = config;
  const reader = new TensorReader(source, gguf, signal);
  let total = 0;
  for (const tensor of gguf.tensors.values()) total += tensor.byteLength;
  let loaded = 0;
  const onBytes = (bytes: number): void => {
    loaded += bytes;
    onProgress?.(Math.min(loaded, total), total);
  };
  const options = { onBytes, ...(signal ? { signal } : {}) };
  const vector = (name: string, values: Float32Array): GPUBuffer => {
    const buffer = gpu.ledger.storage("weights", name, values.byteLength);
    gpu.write(buffer, values);
    return buffer;
  };
  const norm = async (name: string): Promise<GPUBuffer> =>
    vector(name, await reader.vector(name, E));
  const { interleavedRope, qkvBias, qkNorm, postNorms } = config.architecture;
  const rope = interleavedRope ? halfSplitRow(D) : undefined;
  const biases = async (at: (part: string) => string): Promise<GPUBuffer> => {
    const bias = (part: string, rows: number) =>
      reader.vector(at(part).replace(/weight$/, "bias"), rows);
    const [q, k] = [await bias("attn_q", H * D), await bias("attn_k", G * D)];
    return vector(
      "qkv bias",
      Float32Array.of(...inOrder(q, rope), ...inOrder(k, rope), ...(await bias("attn_v", G * D))),
    );
  };
  const qkGains = async (at: (part: string) => string): Promise<GPUBuffer> => {
    // The kernels scale by 1 / sqrt(D): what a model has beyond that goes into the queries' gain.
    const scale = config.attentionScale * Math.sqrt(D);
    const q = (await reader.vector(at("attn_q_norm"), D)).map((gain) => gain * scale);
    return vector("qk norm", Float32Array.of(...q, ...(await reader.vector(at("attn_k_norm"), D))));
  };

  const embedding = await uploadMatrix(
    gpu,
    "embedding",
    [reader.matrix("token_embd.weight", V, E)],
    "stack",
    options,
  );
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer += 1) {
    const at = (part: string): string => `blk.${layer}.${part}.weight`;
    const upload = (
      label: string,
      sources: TensorSource[],
      arrangement: "stack" | "interleave" = "stack",
    ) => uploadMatrix(gpu, `${label} ${layer}`, sources, arrangement, options);
    layers.push({
      attentionNorm: await norm(at("attn_norm")),
      qkv: await upload("qkv", [
        reader.matrix(at("attn_q"), H * D, E, rope),
        reader.matrix(at("attn_k"), G * D, E, rope),
        reader.matrix(at("attn_v"), G * D, E),
      ]),
      qkvBias: qkvBias ? await biases(at) : undefined,
      qkNorm: qkNorm ? await qkGains(at) : undefined,
      output: await upload("attention output", [reader.matrix(at("attn_output"), E, H * D)]),
      postAttentionNorm: postNorms ? await norm(at("post_attention_norm")) : undefined,
      mlpNorm: await norm(at("ffn_norm")),
      gateUp: await upload(
        "gate and up",
        [reader.matrix(at("ffn_gate"), F, E), reader.matrix(at("ffn_up"), F, E)],
        "interleave",
      ),
      down: await upload("down", [reader.matrix(at("ffn_down"), E, F)]),
      postMlpNorm: postNorms ? await norm(at("post_ffw_norm")) : undefined,
    });
  }
  const finalNorm = await norm("output_norm.weight");
  const head = config.tiedHead
    ? embedding
    : await uploadMatrix(gpu, "head", [reader.matrix("output.weight", V, E)], "stack", options);
  const ropeFactors = gguf.tensors.has("rope_freqs.weight")
    ? await reader.vector("rope_freqs.weight", D / 2)
    : undefined;
  reader.checkAllUsed();
  return { embedding, layers, finalNorm, head, ropeFactors };
}
