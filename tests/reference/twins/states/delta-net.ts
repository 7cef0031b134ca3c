import type { DeltaShape } from "../../../../src/kernels/states/delta-net.ts";
import type { StateRows } from "../../../../src/kernels/states/state-rows.ts";
import type { TwinMove } from "./short-conv.ts";

/** What the kernels take; `states` is changed. Shapes as in DeltaBuffers. */
export interface DeltaInputs {
  projected: Float32Array;
  taps: Float32Array;
  rates: Float32Array;
  gains: Float32Array;
  states: Float32Array;
}

interface Row {
  q: number[];
  k: number[];
  v: number[];
  z: number[];
  logDecay: number;
  beta: number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** shaders/states/delta_*.wgsl, row by row, in f64. Returns y [M, value heads, D]. */
export function deltaNet(
  inputs: DeltaInputs,
  shape: DeltaShape,
  moves: readonly TwinMove[],
  rowsAre: StateRows,
): Float32Array {
  const { dim: D, valueHeads, epsilon } = shape;
  const rows = rowsOf(inputs, shape);
  const y = new Float32Array(rows * valueHeads * D);
  for (let h = 0; h < valueHeads; h += 1) {
    let past: number[][] = [];
    let S: number[][] = [];
    for (let m = 0; m < rows; m += 1) {
      const own = moves[rowsAre === "apart" ? m : 0]!;
      if (m === 0 || rowsAre === "apart") ({ past, S } = readState(inputs, shape, h, own.source));
      const row = readRow(inputs, shape, h, m, past);
      S = deltaRule(S, row);
      const out = S[0]!.map((_, c) => row.q.reduce((sum, q, d) => sum + q * S[d]![c]!, 0));
      y.set(finish(out, row.z, inputs.gains, epsilon), (m * valueHeads + h) * D);
      if (rowsAre === "serial" && m + 1 < rows) continue;
      writeState(inputs, shape, h, moves[rowsAre === "serial" ? 0 : m]!.to, past, S);
    }
  }
  return y;
}

/** The same of serial rows, in chunks of `size` rows: the formulas of delta_within and delta_scan. */
export function deltaNetInChunks(
  inputs: DeltaInputs,
  shape: DeltaShape,
  move: TwinMove,
  size: number,
): Float32Array {
  const { dim: D, valueHeads, epsilon } = shape;
  const rows = rowsOf(inputs, shape);
  const y = new Float32Array(rows * valueHeads * D);
  for (let h = 0; h < valueHeads; h += 1) {
    let { past, S } = readState(inputs, shape, h, move.source);
    for (let first = 0; first < rows; first += size) {
      const chunk = Array.from({ length: Math.min(size, rows - first) }, (_, i) =>
        readRow(inputs, shape, h, first + i, past),
      );
      let sum = 0;
      const G = chunk.map(({ logDecay }) => (sum += logDecay));
      const read = (x: readonly number[]) =>
        S[0]!.map((_, c) => x.reduce((all, value, d) => all + value * S[d]![c]!, 0));
      // (I + B) N = diag(beta) (v - exp(G) S^T k), from top to bottom.
      const N: number[][] = [];
      for (const [i, { k, v, beta }] of chunk.entries()) {
        const known = read(k);
        const value = v.map((x, c) => beta * (x - Math.exp(G[i]!) * known[c]!));
        for (let j = 0; j < i; j += 1) {
          const b = beta * Math.exp(G[i]! - G[j]!) * dot(k, chunk[j]!.k);
          value.forEach((_, c) => {
            value[c]! -= b * N[j]![c]!;
          });
        }
        N.push(value);
      }
      for (const [i, { q, z }] of chunk.entries()) {
        const found = read(q);
        const out = found.map((x, c) => {
          let all = Math.exp(G[i]!) * x;
          for (let j = 0; j <= i; j += 1)
            all += Math.exp(G[i]! - G[j]!) * dot(q, chunk[j]!.k) * N[j]![c]!;
          return all;
        });
        y.set(finish(out, z, inputs.gains, epsilon), ((first + i) * valueHeads + h) * D);
      }
      const X = G.at(-1)!;
      S = S.map((line, d) =>
        line.map((x, c) =>
          chunk.reduce(
            (all, { k }, j) => all + Math.exp(X - G[j]!) * k[d]! * N[j]![c]!,
            Math.exp(X) * x,
          ),
        ),
      );
    }
    writeState(inputs, shape, h, move.to, past, S);
    past = [];
  }
  return y;
}

/** S = exp(g) S, then S += k (beta (v - S^T k))^T. */
function deltaRule(S: readonly number[][], { k, v, logDecay, beta }: Row): number[][] {
  const decayed = S.map((line) => line.map((x) => Math.exp(logDecay) * x));
  const change = v.map(
    (x, c) => beta * (x - k.reduce((sum, key, d) => sum + key * decayed[d]![c]!, 0)),
  );
  return decayed.map((line, d) => line.map((x, c) => x + k[d]! * change[c]!));
}

function finish(
  out: readonly number[],
  z: readonly number[],
  gains: Float32Array,
  epsilon: number,
): number[] {
  const scale = 1 / Math.sqrt(dot(out, out) / out.length + epsilon);
  return out.map((x, c) => x * scale * gains[c]! * z[c]! * sigmoid(z[c]!));
}

const widthOf = ({ dim, keyHeads, valueHeads }: DeltaShape): number =>
  2 * keyHeads * dim + 2 * valueHeads * dim + 2 * valueHeads;
const rowsOf = ({ projected }: DeltaInputs, shape: DeltaShape): number =>
  projected.length / widthOf(shape);

/** Row m of a head; `past`, the rows before it [K - 1][3 D] with the newest first, becomes that of the next one. */
function readRow(
  { projected, taps, rates }: DeltaInputs,
  shape: DeltaShape,
  h: number,
  m: number,
  past: number[][],
): Row {
  const { dim: D, keyHeads, valueHeads } = shape;
  const base = m * widthOf(shape);
  const key = (h % keyHeads) * D;
  const begins = [key, keyHeads * D + key, 2 * keyHeads * D + h * D];
  const channels = begins.flatMap((begin) => Array.from({ length: D }, (_, i) => begin + i));
  past.unshift(channels.map((channel) => projected[base + channel]!));
  const all = (2 * keyHeads + valueHeads) * D;
  const mixed = channels.map((channel, i) => {
    const sum = past.reduce((total, row, lag) => total + row[i]! * taps[lag * all + channel]!, 0);
    return sum * sigmoid(sum);
  });
  past.pop();
  const unit = (x: readonly number[], by = 1) =>
    x.map((value) => value / Math.sqrt(dot(x, x) + 1e-6) / by);
  const numbers = base + all + valueHeads * D;
  const step = projected[numbers + valueHeads + h]! + rates[2 * h + 1]!;
  return {
    q: unit(mixed.slice(0, D), Math.sqrt(D)),
    k: unit(mixed.slice(D, 2 * D)),
    v: mixed.slice(2 * D),
    z: Array.from(projected.subarray(base + all + h * D, base + all + (h + 1) * D)),
    logDecay: rates[2 * h]! * (step > 20 ? step : Math.log1p(Math.exp(step))),
    beta: sigmoid(projected[numbers + h]!),
  };
}

const headWords = ({ dim, taps }: DeltaShape): number => dim * (3 * (taps - 1) + dim);

function readState(
  { states }: DeltaInputs,
  shape: DeltaShape,
  h: number,
  slot: number | undefined,
): { past: number[][]; S: number[][] } {
  const { dim: D, valueHeads, taps } = shape;
  const at = ((slot ?? 0) * valueHeads + h) * headWords(shape);
  const take = (from: number, length: number) =>
    Array.from({ length }, (_, i) => (slot === undefined ? 0 : states[at + from + i]!));
  return {
    past: Array.from({ length: taps - 1 }, (_, lag) => take(lag * 3 * D, 3 * D)),
    S: Array.from({ length: D }, (_, d) => take(((taps - 1) * 3 + d) * D, D)),
  };
}

function writeState(
  { states }: DeltaInputs,
  shape: DeltaShape,
  h: number,
  slot: number,
  past: readonly number[][],
  S: readonly number[][],
): void {
  states.set([...past, ...S].flat(), (slot * shape.valueHeads + h) * headWords(shape));
}
