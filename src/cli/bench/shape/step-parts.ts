/** A model's steps in parts: one per kind of layer, and what is no layer. */
import type { DeviceState } from "../../../engine/state.ts";
import type { Gguf } from "../../../formats/gguf/gguf.ts";
import type { Dispatch } from "../../../gpu/kernel.ts";
import { layoutOfType } from "../../../kernels/products/weight-layouts.ts";
import type { ModelConfig } from "../../../model/config.ts";
import type { Work } from "../work.ts";
import { cacheWork, type StepAt } from "./cache-work.ts";

/** What a model is made of. */
export interface ShapeModel {
  readonly config: ModelConfig;
  readonly gguf: Gguf;
  /** The kind of each layer that is there, and of each that the whole model has. */
  readonly types: readonly string[];
  readonly whole: readonly string[];
}

export interface StepPart {
  /** A kind of layer; "rest" for embedding, head and sampling. */
  readonly name: string;
  /** Layers of the kind that are run, and that the whole model has. */
  readonly layers: number;
  readonly of: number;
  readonly dispatches: readonly Dispatch[];
  /** Of the layers that are run. */
  readonly work: Work;
}

const REST = "rest";

/** `layers`: the dispatches of each layer, `rest` all others, the head's among them or not. */
export function stepParts(
  { config, gguf, types, whole }: ShapeModel,
  { gpu, pool }: DeviceState,
  at: StepAt,
  {
    layers,
    rest,
    head,
  }: { layers: readonly (readonly Dispatch[])[]; rest: readonly Dispatch[]; head: boolean },
): StepPart[] {
  const wide = gpu.kind === "cpu";
  const works = types.map((_, block) => {
    const weights = weightWork(gguf, new RegExp(`^blk\\.${block}\\.`), at.rows, wide);
    return plus(weights, cacheWork(config, pool.shape, block, at));
  });
  const parts = [...new Set(types)].map((name): StepPart => {
    const blocks = [...types.keys()].filter((block) => types[block] === name);
    return {
      name,
      layers: blocks.length,
      of: whole.filter((type) => type === name).length,
      dispatches: blocks.flatMap((block) => layers[block]!),
      work: blocks.map((block) => works[block]!).reduce(plus),
    };
  });
  // The head takes one row; the embedding's rows count for nothing.
  const own = gguf.tensors.has("output.weight") ? /^output/ : /^(output|token_embd)/;
  const headWork = head ? weightWork(gguf, own, 1, wide) : { bytes: 0, flops: 0 };
  const work = plus(headWork, weightWork(gguf, /^per_layer_model_proj/, at.rows, wide));
  return [...parts, { name: REST, layers: 1, of: 1, dispatches: rest, work }];
}

const plus = (a: Work, b: Work): Work => ({ bytes: a.bytes + b.bytes, flops: a.flops + b.flops });

/** The products with the tensors of these names: weights as they lie on the GPU, inputs and outputs. */
function weightWork(gguf: Gguf, names: RegExp, rows: number, wide: boolean): Work {
  let work: Work = { bytes: 0, flops: 0 };
  for (const { name, type, shape } of gguf.tensors.values()) {
    if (!names.test(name)) continue;
    const [columns = 1, height] = shape;
    if (height === undefined || type === "F32") {
      work = plus(work, { bytes: columns * (height ?? 1) * 4, flops: 0 });
      continue;
    }
    const words = layoutOfType(type, wide).streams.reduce((sum, stream) => sum + stream.words, 0);
    const weights = height * Math.ceil(columns / 32) * words * 4;
    work = plus(work, {
      bytes: weights + rows * (columns + height) * 4,
      flops: 2 * rows * columns * height,
    });
  }
  return work;
}

/** What a layer's state or cache adds; products have other labels. */
const MIXES = /^(kv_write|attention_|delta_|short_conv)/;

/** The dispatches of a decode step for each of `blocks` layers; those of a prompt of one row tell how many products each has. */
export function decodeLayers(
  { runner }: DeviceState,
  step: readonly Dispatch[],
  blocks: number,
): { layers: Dispatch[][]; rest: Dispatch[] } {
  const products = (list: readonly Dispatch[]): Dispatch[] =>
    list.filter(({ kernel }) => !MIXES.test(kernel.label));
  const { transformer } = runner;
  let at = transformer.embed(1).length;
  const rest = step.slice(0, at);
  const layers = Array.from({ length: blocks }, (_, block) => {
    const { project, attend } = transformer.chunkLayer(1, block);
    let left = products([...project, ...attend]).length;
    const begin = at;
    for (; left > 0 && at < step.length; at += 1) left -= products([step[at]!]).length;
    return step.slice(begin, at);
  });
  if (at !== step.length) throw new Error(`${step.length - at} dispatches belong to no layer`);
  return { layers, rest };
}
