import type { ByteSource } from "../formats/byte-source.ts";
import type { Gguf } from "../formats/gguf.ts";
import type { GpuContext } from "../gpu/context.ts";
import { type TensorSource, uploadMatrix, type WeightMatrix } from "../kernels/weights.ts";
import type { ModelConfig } from "./config.ts";
import { findTensors, halfSplitRow, type Vector } from "./tensors.ts";

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

const inOrder = (values: Float32Array, order?: (row: number) => number): Float32Array =>
  order ? values.map((_, row) => values[order(row)]!) : values;

/** Reads every tensor once, in file order within a layer, and uploads it. Throws as findTensors, before it reads. */
export async function loadWeights(
  gpu: GpuContext,
  source: ByteSource,
  gguf: Gguf,
  config: ModelConfig,
  { onProgress, signal }: UploadHooks = {},
): Promise<ModelWeights> {
  const { headDim: D } = config;
  const tensors = findTensors(source, gguf, config, signal);
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
  const rope = config.architecture.interleavedRope ? halfSplitRow(D) : undefined;
  const biases = async ([q, k, v]: readonly [Vector, Vector, Vector]): Promise<GPUBuffer> =>
    vector(
      "qkv bias",
      Float32Array.of(...inOrder(await q(), rope), ...inOrder(await k(), rope), ...(await v())),
    );
  const qkGains = async ([q, k]: readonly [Vector, Vector]): Promise<GPUBuffer> => {
    // The kernels scale by 1 / sqrt(D): what a model has beyond that goes into the queries' gain.
    const scale = config.attentionScale * Math.sqrt(D);
    const scaled = (await q()).map((gain) => gain * scale);
    return vector("qk norm", Float32Array.of(...scaled, ...(await k())));
  };

  const matrix = (
    label: string,
    sources: readonly TensorSource[],
    arrangement: "stack" | "interleave" = "stack",
  ) => uploadMatrix(gpu, label, sources, arrangement, options);
  const embedding = await matrix("embedding", [tensors.embedding]);
  const layers: LayerWeights[] = [];
  for (const [index, layer] of tensors.layers.entries()) {
    const norm = async (name: string, read: Vector) => vector(`${name} ${index}`, await read());
    layers.push({
      attentionNorm: await norm("attention norm", layer.attentionNorm),
      qkv: await matrix(`qkv ${index}`, layer.qkv),
      qkvBias: layer.qkvBias && (await biases(layer.qkvBias)),
      qkNorm: layer.qkNorm && (await qkGains(layer.qkNorm)),
      output: await matrix(`attention output ${index}`, [layer.output]),
      postAttentionNorm:
        layer.postAttentionNorm && (await norm("post attention norm", layer.postAttentionNorm)),
      mlpNorm: await norm("MLP norm", layer.mlpNorm),
      gateUp: await matrix(`gate and up ${index}`, layer.gateUp, "interleave"),
      down: await matrix(`down ${index}`, [layer.down]),
      postMlpNorm: layer.postMlpNorm && (await norm("post MLP norm", layer.postMlpNorm)),
    });
  }
  const finalNorm = vector("final norm", await tensors.finalNorm());
  const head = tensors.head ? await matrix("head", [tensors.head]) : embedding;
  return { embedding, layers, finalNorm, head, ropeFactors: await tensors.ropeFactors?.() };
}
