import { throwIfAborted } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { Gguf } from "../formats/gguf/gguf.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { TensorSource } from "../kernels/products/weight-sections.ts";
import { placeMatrix, type WeightMatrix } from "../kernels/products/weights.ts";
import type { ModelConfig } from "./config.ts";
import type { LayerTensors } from "./layer-tensors.ts";
import { findTensors, headRows } from "./tensors.ts";
import type { Vector } from "./vector.ts";

export interface LayerWeights {
  /** f32 [E] */
  readonly attentionNorm: GPUBuffer;
  /** [(H + 2G) D, E], rows of Q, K, V one after the other; in a layer that keeps a state what its kernels take */
  readonly qkv: WeightMatrix;
  /** What the kernels of a layer that keeps a state take besides, by their names */
  readonly state: Readonly<Record<string, GPUBuffer>> | undefined;
  /** Matrices that few families have: `gate` [H D, E], of what the heads find, and those that an extension takes */
  readonly more: Readonly<Record<string, WeightMatrix>> | undefined;
  /** f32 [(H + 2G) D], where the family has biases */
  readonly qkvBias: GPUBuffer | undefined;
  /** f32 [2, D], gains of queries and keys, where the model has any */
  readonly qkNorm: GPUBuffer | undefined;
  /** [E, H D]; in a layer that keeps a state [E, what its kernels give] */
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
  /** f32 [D/2] frequency divisors of Llama 3, where the file has them; may wait for a download */
  readonly ropeFactors: Promise<Float32Array | undefined>;
}

/** Weights whose buffers are there, and what reads the file into them. */
export interface PlacedWeights {
  readonly weights: ModelWeights;
  /**
   * Reads every tensor, in file order within a layer, and uploads it. Once; `stop` ends it between two tensors. Throws
   * aborted, and as the source.
   */
  fill(stop: AbortSignal): Promise<void>;
}

/** While one packs, the others wait for their bytes. */
const FILLS_AT_ONCE = 3;

export interface UploadHooks {
  onProgress?: (loaded: number, total: number) => void;
  signal?: AbortSignal;
}

/** Runs `works` in order, `count` at a time; after an error, or `stop`, none begins any more. Throws the first error. */
async function runSome(
  works: readonly (() => Promise<void>)[],
  count: number,
  stop: AbortSignal,
): Promise<void> {
  const left = works.values();
  let failed = false;
  const runNext = async (): Promise<void> => {
    try {
      for (const work of left) {
        throwIfAborted(stop);
        if (failed) return;
        await work();
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await allOf(Array.from({ length: count }, runNext));
}

/** Like Promise.all, but it throws only once all promises have ended, so that a clean-up finds nothing under way. */
async function allOf<T extends readonly unknown[] | []>(
  promises: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

const inOrder = (values: Float32Array, order?: (row: number) => number): Float32Array =>
  order ? values.map((_, row) => values[order(row)]!) : values;

/**
 * Makes the buffers of every tensor that the model needs: kernels can be compiled and bound before the file is read.
 * Throws as findTensors, out_of_memory.
 */
export async function placeWeights(
  gpu: GpuContext,
  source: ByteSource,
  gguf: Gguf,
  config: ModelConfig,
  { onProgress, signal }: UploadHooks = {},
): Promise<PlacedWeights> {
  const { headDim: D, ropeDims, ropeGain } = config;
  const tensors = findTensors(source, gguf, config, signal);
  let total = 0;
  for (const [name, tensor] of gguf.tensors)
    if (name !== config.architecture.extension?.table) total += tensor.byteLength;
  let loaded = 0;
  const onBytes = (bytes: number): void => {
    loaded += bytes;
    onProgress?.(Math.min(loaded, total), total);
  };
  const options = { onBytes, ...(signal ? { signal } : {}) };
  // In the order in which they are placed.
  const fills: (() => Promise<void>)[] = [];
  const vector = (
    name: string,
    vectors: readonly Vector[],
    arrange = (values: Float32Array, _index: number): Float32Array => values,
  ): GPUBuffer => {
    const length = vectors.reduce((sum, each) => sum + each.length, 0);
    const buffer = gpu.ledger.storage("weights", name, length * 4);
    fills.push(async () => {
      const values = new Float32Array(length);
      let at = 0;
      for (const [index, each] of vectors.entries()) {
        values.set(arrange(await each.read(), index), at);
        at += each.length;
      }
      gpu.write(buffer, values);
    });
    return buffer;
  };
  const rope = headRows(config);
  // RoPE turns Q and K, not V.
  const turned = (values: Float32Array, index: number) =>
    index < 2 ? inOrder(values, rope) : values;
  // The kernels scale by 1 / sqrt(D): what a model has beyond that goes into the queries' gain.
  const scale = config.attentionScale * Math.sqrt(D);
  const scaled = (gains: Float32Array, index: number) =>
    inOrder(gains, rope).map((gain, d) =>
      index > 0 ? gain : gain * scale * (d % (D / 2) < ropeDims / 2 ? ropeGain : 1),
    );

  // The device's answer to a matrix, whether it had the memory, is awaited beside those to the others.
  const matrix = async (
    label: string,
    sources: readonly TensorSource[],
    arrangement: "stack" | "interleave" = "stack",
  ): Promise<WeightMatrix> => {
    const placing = placeMatrix(gpu, label, sources, arrangement, options);
    fills.push(async () => (await placing).fill());
    return (await placing).matrix;
  };
  const placeLayer = async (layer: LayerTensors, index: number): Promise<LayerWeights> => {
    const norm = (name: string, gains: Vector) => vector(`${name} ${index}`, [gains]);
    const placing = {
      attentionNorm: norm("attention norm", layer.attentionNorm),
      qkv: matrix(`qkv ${index}`, layer.qkv),
      state:
        layer.state &&
        Object.fromEntries(
          Object.entries(layer.state).map(([name, values]) => [name, norm(name, values)]),
        ),
      qkvBias: layer.qkvBias && vector("qkv bias", layer.qkvBias, turned),
      qkNorm: layer.qkNorm && vector("qk norm", layer.qkNorm, scaled),
      output: matrix(`attention output ${index}`, [layer.output]),
      postAttentionNorm:
        layer.postAttentionNorm && norm("post attention norm", layer.postAttentionNorm),
      mlpNorm: norm("MLP norm", layer.mlpNorm),
      gateUp: matrix(`gate and up ${index}`, layer.gateUp, "interleave"),
      down: matrix(`down ${index}`, [layer.down]),
      postMlpNorm: layer.postMlpNorm && norm("post MLP norm", layer.postMlpNorm),
    };
    const { qkv: first, output: last, gateUp: two, down: third } = placing;
    const placeMore = async ([name, from]: [string, TensorSource]) =>
      [name, await matrix(`${name} ${index}`, [from])] as const;
    const added = layer.more && allOf(Object.entries(layer.more).map(placeMore));
    const [qkv, output, gateUp, down, more] = await allOf([first, last, two, third, added]);
    return { ...placing, qkv, output, gateUp, down, more: more && Object.fromEntries(more) };
  };
  const placingEmbedding = matrix("embedding", [tensors.embedding]);
  const placingLayers = allOf(tensors.layers.map(placeLayer));
  const finalNorm = vector("final norm", [tensors.finalNorm], (gains) =>
    gains.map((gain) => gain * config.logitScale),
  );
  const placingHead = tensors.head ? matrix("head", [tensors.head]) : placingEmbedding;
  const [embedding, head, layers] = await allOf([placingEmbedding, placingHead, placingLayers]);
  const ropeFactors = Promise.resolve(tensors.ropeFactors?.read());
  ropeFactors.catch(() => {});
  return {
    weights: { embedding, layers, finalNorm, head, ropeFactors },
    fill: (stop) => runSome(fills, FILLS_AT_ONCE, stop),
  };
}
