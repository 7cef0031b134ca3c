import type { StateRows } from "../../../../src/kernels/states/state-rows.ts";

/** Slots of the states; `source` undefined: nothing was read yet. */
export interface TwinMove {
  readonly source: number | undefined;
  readonly to: number;
}

/**
 * shaders/states/short_conv.wgsl: projected [M, 3, E], taps [K, E] (the newest row's first), states [slots, K - 1, E], which
 * is changed. Returns y [M, E].
 */
export function shortConv(
  projected: Float32Array,
  taps: Float32Array,
  states: Float32Array,
  moves: readonly TwinMove[],
  rowsAre: StateRows,
  channels: number,
): Float32Array {
  const rows = projected.length / (3 * channels);
  const lags = taps.length / channels - 1;
  const y = new Float32Array(rows * channels);
  for (let c = 0; c < channels; c += 1) {
    let past: number[] = [];
    for (let m = 0; m < rows; m += 1) {
      const own = moves[rowsAre === "apart" ? m : 0]!;
      if (m === 0 || rowsAre === "apart")
        past = Array.from({ length: lags }, (_, i) =>
          own.source === undefined ? 0 : states[(own.source * lags + i) * channels + c]!,
        );
      const at = m * 3 * channels + c;
      past.unshift(Math.fround(projected[at]! * projected[at + 2 * channels]!));
      const sum = past.reduce((total, value, i) => total + value * taps[i * channels + c]!, 0);
      y[m * channels + c] = projected[at + channels]! * sum;
      past.pop();
      if (rowsAre === "serial" && m + 1 < rows) continue;
      const { to } = moves[rowsAre === "serial" ? 0 : m]!;
      past.forEach((value, i) => {
        states[(to * lags + i) * channels + c] = value;
      });
    }
  }
  return y;
}
