/** The schedule of models with per-layer embeddings, small and large heads, and borrowed keys and values (Gemma 4). */

import type { ByteSource } from "../../formats/byte-source.ts";
import type { Gguf } from "../../formats/gguf/gguf.ts";
import { createGatherHeads, createSpreadHeads } from "../../kernels/attention/head-sizes.ts";
import {
  createFinishLayer,
  createGateInputs,
  createLayerInputs,
} from "../../kernels/inputs/layer-inputs.ts";
import { type BoundLinear, createLinear } from "../../kernels/products/linear.ts";
import { createCapLogits } from "../../kernels/sampling/cap-logits.ts";
import { CHUNK_ROWS } from "../buffers.ts";
import type { BindLayers, LayerLinears } from "../layer-linears.ts";
import type { TransformerParts } from "../transformer-parts.ts";
import { TableRows } from "./table-rows.ts";

type OneDispatch = ReturnType<Awaited<ReturnType<typeof createCapLogits>>>;

const then = (linear: BoundLinear, one: OneDispatch): BoundLinear => ({
  dispatches: (rows, alike) => [...linear.dispatches(rows, alike), one(rows)],
});

/** The parts of a schedule with what such models have besides; `file`: where the table lies. */
export async function extend(
  parts: TransformerParts,
  file: { readonly source: ByteSource; readonly gguf: Gguf },
): Promise<TransformerParts> {
  const { config, buffers, head, makeHeads } = parts;
  const { vocabulary, layerwise } = config;
  const rows = new TableRows(parts.gpu, config, file);
  const cap =
    layerwise!.logitCap === undefined
      ? undefined
      : (await createCapLogits(parts.gpu, { vocabulary, cap: layerwise!.logitCap }))(
          buffers.logits,
        );
  const capped = (linear: BoundLinear): BoundLinear => (cap ? then(linear, cap) : linear);
  const [linears, embedding] = await Promise.all([
    extendLayers(parts, parts.bindLayers, rows),
    extendEmbedding(parts, rows),
  ]);
  return {
    ...parts,
    tokenRows: rows,
    linears,
    embedding,
    head: capped(head),
    makeHeads: async () => capped(await makeHeads()),
  };
}

/** What a step's tokens give the layers comes right behind their embeddings. */
async function extendEmbedding(
  { gpu, config, weights, plan, buffers, embedding }: TransformerParts,
  { table, inputs, projected }: TableRows,
): Promise<TransformerParts["embedding"]> {
  const { hidden, normEpsilon: epsilon, blocks, layerwise } = config;
  const [{ more, state }] = weights.layers as [(typeof weights.layers)[number]];
  const [linear, combine] = await Promise.all([
    createLinear(gpu, {
      matrix: more!.allInputs!,
      epilogue: "store",
      shape: plan,
      fewRows: "answer",
    }),
    createLayerInputs(gpu, {
      layers: blocks.length,
      size: layerwise!.inputSize,
      rows: CHUNK_ROWS,
      scale: 1 / Math.sqrt(hidden),
      epsilon,
    }),
  ]);
  const project = linear.bind({ batch: buffers.batch, x: buffers.hidden, y: projected });
  const join = combine({ x: projected, gain: state!.allInputsNorm!, table, inputs });
  return {
    dispatches: (rows, alike) => [
      ...embedding.dispatches(rows),
      ...project.dispatches(rows, alike),
      join(rows),
    ],
  };
}

async function extendLayers(
  { gpu, config, weights, plan, buffers }: TransformerParts,
  bind: BindLayers,
  { inputs }: TableRows,
): Promise<LayerLinears[]> {
  const { heads, kvHeads, headDim, hidden, blocks, normEpsilon: epsilon, layerwise } = config;
  const { headSizes, inputSize } = layerwise!;
  const scratch = (name: string, floats: number): GPUBuffer =>
    gpu.ledger.storage("activations", name, CHUNK_ROWS * floats * 4);
  const packed = scratch("packed heads", (heads + 2 * kvHeads) * headDim);
  const gated = scratch("gated inputs", inputSize);
  const few = { shape: plan, fewRows: "answer" } as const;
  const [gateInputs, finishLayer] = await Promise.all([
    createGateInputs(gpu, inputSize),
    createFinishLayer(gpu, { cols: hidden, epsilon }),
  ]);
  const linears = bind({ ...buffers, qkv: packed, attended: packed });
  return Promise.all(
    linears.map(async (linear, block): Promise<LayerLinears> => {
      const { qkNorm, more, state } = weights.layers[block]!;
      const sizes = { heads, kvHeads, headDim, size: headSizes[block]! };
      const [spreadHeads, gatherHeads, inputGate, inputProjection] = await Promise.all([
        createSpreadHeads(gpu, {
          ...sizes,
          queriesOnly: blocks[block]!.borrows ?? false,
          epsilon,
          // The kernels of attention divide by sqrt(D).
          scale: Math.sqrt(headDim),
        }),
        createGatherHeads(gpu, sizes),
        createLinear(gpu, { matrix: more!.inputGate!, epilogue: "store", ...few }),
        createLinear(gpu, { matrix: more!.inputProjection!, epilogue: "store", ...few }),
      ]);
      const { batch, normed } = buffers;
      const spread = spreadHeads({ x: packed, gains: qkNorm!, qkv: buffers.qkv });
      const gather = gatherHeads({ attended: buffers.attended, y: packed });
      const gate = inputGate.bind({ batch, x: buffers.hidden, y: gated });
      const bytes = CHUNK_ROWS * inputSize * 4;
      const own = { buffer: inputs, offset: block * bytes, size: bytes };
      const multiply = gateInputs({ batch, inputs: own, y: gated });
      const project = inputProjection.bind({ batch, x: gated, y: normed });
      const finish = finishLayer({
        x: normed,
        gain: state!.inputNorm!,
        factor: state!.factor!,
        hidden: buffers.hidden,
      });
      return {
        qkv: then(linear.qkv, spread),
        output: {
          dispatches: (rows, alike) => [gather(rows), ...linear.output.dispatches(rows, alike)],
        },
        outputJoined: undefined,
        gateUp: linear.gateUp,
        down: {
          dispatches: (rows, alike) => [
            ...linear.down.dispatches(rows, alike),
            ...then(gate, multiply).dispatches(rows, alike),
            ...then(project, finish).dispatches(rows, alike),
          ],
        },
      };
    }),
  );
}
