import { dequantize } from "../../formats/ggml/dequantize.ts";
import { tensorByteLength } from "../../formats/ggml/ggml-types.ts";
import { blockOf } from "../../model/blocks.ts";
import { findTensors } from "../../model/tensors.ts";
import type { DeviceStateInputs } from "../state.ts";

/**
 * Attention's output matrix [E, H D] of a layer, one of the L that hold keys and values, dequantised on the CPU. Families with a norm after
 * attention scale its product once more, which is left out. Throws as the source does.
 */
export async function readOutputMatrix(
  { source, gguf, config }: Pick<DeviceStateInputs, "source" | "gguf" | "config">,
  layer: number,
): Promise<Float32Array> {
  const { type, rows, cols, read } = findTensors(source, gguf, config).layers[
    blockOf(config, "attention", layer)
  ]!.output;
  const bytes = await read(0, tensorByteLength(type, [cols, rows]));
  return dequantize(type, bytes, rows * cols);
}
