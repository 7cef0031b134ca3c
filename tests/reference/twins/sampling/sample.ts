import type { SamplingParameters } from "../../../../src/kernels/sampling/sampling-parameters.ts";

/** pcg3d, first word: twin of shaders/sampling/lib/random.wgsl. */
export function randomBits(seed: number, step: number): number {
  const next = (n: number) => (Math.imul(n, 1664525) + 1013904223) >>> 0;
  let x = next(seed >>> 0);
  let y = next(Math.floor(seed / 2 ** 32));
  let z = next(step);
  const mix = () => {
    x = (x + Math.imul(y, z)) >>> 0;
    y = (y + Math.imul(z, x)) >>> 0;
    z = (z + Math.imul(x, y)) >>> 0;
  };
  mix();
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  return (x + Math.imul(y, z)) >>> 0;
}

export interface Distribution {
  /** How far each token is below the top one, after penalties and temperature. */
  distances: number[];
  /** Tokens that may be drawn, ascending. */
  kept: number[];
  /** Their probabilities. */
  probabilities: number[];
}

const lowest = (x: number) => (x >= -3.4e38 ? Math.min(x, 3.4e38) : -3.4e38);

/** Logits after repetition, frequency and presence penalties. */
export function penalise(
  logits: ArrayLike<number>,
  counts: ArrayLike<number>,
  parameters: SamplingParameters,
): number[] {
  const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = parameters;
  return Array.from(logits, (raw, i) => {
    let logit = lowest(raw);
    const count = counts[i]!;
    if (count === 0) return logit;
    logit = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    const answered = count & 0xffff;
    if (answered) logit -= answered * frequencyPenalty + presencePenalty;
    return lowest(logit);
  });
}

/** The index of the highest value, the lowest on ties. */
export const argmax = (values: readonly number[]): number =>
  values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);

/** What may be drawn, by sorting: the definitions of transformers' logits processors. */
export function distribution(penalised: number[], parameters: SamplingParameters): Distribution {
  const { temperature, topK = 0, topP = 1, minP = 0 } = parameters;
  const top = penalised[argmax(penalised)]!;
  const distances = penalised.map((logit) => Math.min((top - logit) / temperature, 1e30));
  let kept = distances.map((_, i) => i).sort((a, b) => distances[a]! - distances[b]!);
  if (topK > 0 && topK < kept.length) {
    const last = distances[kept[topK - 1]!]!;
    kept = kept.filter((i) => distances[i]! <= last);
  }
  if (topP < 1) {
    const total = kept.reduce((sum, i) => sum + Math.exp(-distances[i]!), 0);
    let above = 0;
    let last = 0;
    for (const i of kept) {
      if (above >= topP * total && i !== kept[0]) break;
      above += Math.exp(-distances[i]!);
      last = distances[i]!;
    }
    kept = kept.filter((i) => distances[i]! <= last);
  }
  if (minP > 0) kept = kept.filter((i) => distances[i]! <= Math.fround(-Math.log(minP)));
  kept.sort((a, b) => a - b);
  const total = kept.reduce((sum, i) => sum + Math.exp(-distances[i]!), 0);
  return {
    distances,
    kept,
    probabilities: kept.map((i) => Math.exp(-distances[i]!) / total),
  };
}

/** Twin of shaders/sampling/sample_penalties.wgsl and shaders/sampling/sample.wgsl: one step. */
export function sample(
  logits: ArrayLike<number>,
  counts: ArrayLike<number>,
  parameters: SamplingParameters,
  step: number,
): number {
  const penalised = penalise(logits, counts, parameters);
  if (parameters.temperature === 0) return argmax(penalised);
  const { kept, probabilities } = distribution(penalised, parameters);
  const target = randomBits(parameters.seed ?? 0, step) / 2 ** 32;
  let sum = 0;
  for (let i = 0; i < kept.length; i++) {
    sum += probabilities[i]!;
    if (sum > target) return kept[i]!;
  }
  return kept[kept.length - 1]!;
}
