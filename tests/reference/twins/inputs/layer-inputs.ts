/** shaders/inputs: layer_inputs.wgsl, gate_inputs.wgsl, finish_layer.wgsl. */

const meanSquare = (x: Float32Array): number =>
  x.reduce((sum, value) => sum + value * value, 0) / x.length;

/** x and table [rows, layers, size] -> inputs [layers, room, size]; where nothing is written, `before`. */
export function layerInputs(
  x: Float32Array,
  gain: Float32Array,
  table: Float32Array,
  before: Float32Array,
  rows: number,
  shape: { layers: number; size: number; rows: number; scale: number; epsilon: number },
): Float32Array {
  const { layers, size, rows: room, scale, epsilon } = shape;
  const inputs = before.slice();
  for (let row = 0; row < rows; row += 1)
    for (let layer = 0; layer < layers; layer += 1) {
      const from = (row * layers + layer) * size;
      const values = x.subarray(from, from + size).map((value) => scale * value);
      const norm = 1 / Math.sqrt(meanSquare(values) + epsilon);
      values.forEach((value, i) => {
        inputs[(layer * room + row) * size + i] =
          (value * norm * gain[i]! + table[from + i]!) / Math.SQRT2;
      });
    }
  return inputs;
}

/** gelu(y) * inputs, GELU in its tanh form. */
export const gateInputs = (y: Float32Array, inputs: Float32Array): Float32Array =>
  y.map((x, i) => {
    const inner = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
    return 0.5 * x * (1 + Math.tanh(inner)) * inputs[i]!;
  });

/** (hidden + norm(x) * gain) * factor, rows of gain.length. */
export function finishLayer(
  hidden: Float32Array,
  x: Float32Array,
  gain: Float32Array,
  factor: number,
  epsilon: number,
): Float32Array {
  const cols = gain.length;
  return hidden.map((value, at) => {
    const row = Math.floor(at / cols) * cols;
    const norm = 1 / Math.sqrt(meanSquare(x.subarray(row, row + cols)) + epsilon);
    return (value + x[at]! * norm * gain[at % cols]!) * factor;
  });
}
