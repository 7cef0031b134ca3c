/** The weight products of the layers and of the head: which epilogue, norm and bias each has. */
import { loadLater } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { MAX_SPLITS } from "../kernels/attention/attention-tiling.ts";
import { type BoundLinear, createLinear, type LinearConfig } from "../kernels/products/linear.ts";
import type { ProductPlan } from "../kernels/products/product-plan.ts";
import { createRmsNorm } from "../kernels/products/rms-norm.ts";
import type { StepBuffers } from "./buffers.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelWeights } from "./weights.ts";

/** The products of one layer. */
export interface LayerLinears {
  qkv: BoundLinear;
  /** To the residual stream, with the norm after attention where the family has one. */
  output: BoundLinear;
  /** The same from the splits of attention, for one row: saves the dispatch that joins them. Where kernels can. */
  outputJoined: BoundLinear | undefined;
  gateUp: BoundLinear;
  down: BoundLinear;
}

/** Gives the products of every layer the buffers of a step. */
export type BindLayers = (buffers: StepBuffers) => LayerLinears[];

/** What products are made of. */
export interface ProductParts {
  readonly gpu: GpuContext;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  /** Which kernels compute them. */
  readonly plan: ProductPlan;
}

/** The head's product. */
export const headConfig = ({ config, weights, plan }: ProductParts): LinearConfig => ({
  matrix: weights.head,
  shape: plan,
  epilogue: "store",
  norm: { gain: weights.finalNorm, epsilon: config.normEpsilon },
});

/** Both, one after the other. */
const after = (first: BoundLinear | undefined, then: BoundLinear): BoundLinear =>
  first
    ? { dispatches: (...rows) => [...first.dispatches(...rows), ...then.dispatches(...rows)] }
    : then;

/** Compiles the products of all layers; `asAlone` as in LinearConfig. */
export async function createLayerLinears(
  { gpu, config, weights, plan }: ProductParts,
  asAlone = false,
): Promise<BindLayers> {
  const { heads, headDim } = config;
  // On software adapters attention leaves more parts than splits, which only its own combine knows.
  const tiles = gpu.kind === "gpu";
  const joined = !asAlone && tiles && plan.row === "split-k";
  const joins = { heads, headDim, maxSplits: MAX_SPLITS };
  const epsilon = config.normEpsilon;
  // Prompts take the kernel for many rows.
  const few = { asAlone, shape: plan, ...(asAlone ? {} : { fewRows: "answer" as const }) };
  const { activation, postNorms } = config.architecture;
  const toResidual = postNorms ? "store" : "add";
  const [residualNorm, ...linears] = await Promise.all([
    postNorms ? createRmsNorm(gpu, { cols: config.hidden, epsilon, add: true }) : undefined,
    ...weights.layers.map(async (layer, index) => {
      const attends = config.blocks[index]!.kind === "attention" && !layer.more;
      const gating =
        layer.more?.gate && loadLater("gates of attention", () => import("./output-gate.ts"));
      const [gate, qkv, output, outputJoined, gateUp, down] = await Promise.all([
        gating?.then(({ createGate }) => createGate(gpu, config, layer, few)),
        createLinear(gpu, {
          matrix: layer.qkv,
          epilogue: "store",
          norm: { gain: layer.attentionNorm, epsilon },
          ...(layer.qkvBias ? { bias: layer.qkvBias } : {}),
          ...few,
        }),
        createLinear(gpu, { matrix: layer.output, epilogue: toResidual, ...few }),
        joined && attends
          ? createLinear(gpu, {
              matrix: layer.output,
              epilogue: toResidual,
              ...few,
              joins,
              rows: [1],
            })
          : undefined,
        createLinear(gpu, {
          matrix: layer.gateUp,
          epilogue: activation === "gelu" ? "geglu" : "swiglu",
          norm: { gain: layer.mlpNorm, epsilon },
          ...few,
        }),
        createLinear(gpu, { matrix: layer.down, epilogue: toResidual, ...few }),
      ]);
      const { postAttentionNorm, postMlpNorm } = layer;
      return { gate, qkv, output, outputJoined, gateUp, down, postAttentionNorm, postMlpNorm };
    }),
  ]);
  return ({ batch, hidden, normed, qkv, attended, partials, mlp }) => {
    // A norm before the residual needs the whole row first: it lies in the scratch of the other norms.
    const add = (
      linear: (typeof linears)[number]["output"],
      x: GPUBuffer,
      gain: GPUBuffer | undefined,
    ): BoundLinear => {
      if (!gain) return linear.bind({ batch, x, y: hidden });
      const product = linear.bind({ batch, x, y: normed });
      const norm = residualNorm!.bind({ batch, x: normed, gain, y: hidden });
      return { dispatches: (count, alike) => [...product.dispatches(count, alike), norm(count)] };
    };
    return linears.map((layer) => ({
      qkv: layer.qkv.bind({ batch, x: hidden, y: qkv, normed }),
      output: after(
        layer.gate?.({ batch, hidden, normed, attended, gates: mlp }),
        add(layer.output, attended, layer.postAttentionNorm),
      ),
      outputJoined:
        layer.outputJoined && add(layer.outputJoined, partials, layer.postAttentionNorm),
      gateUp: layer.gateUp.bind({ batch, x: hidden, y: mlp, normed }),
      down: add(layer.down, mlp, layer.postMlpNorm),
    }));
  };
}
