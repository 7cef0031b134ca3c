import { seededRandom } from "../src/random.ts";
import { layerFilters } from "./queries/head-filter.ts";
import type { SourceShape } from "./source/query-source.ts";

/** How far filters depend on which queries were drawn. */
export interface Agreement {
  /** [L][G]: cosine between the filters of two disjoint halves of the sample. */
  readonly halves: number[][];
  /** Filters from the first `samples` queries against those from all, over all heads. */
  readonly convergence: readonly { samples: number; mean: number; lowest: number }[];
}

/** Sample counts of the convergence curve, below the whole sample. */
const COUNTS = [50, 100, 200, 400, 700, 1000, 1500, 2000];

/** Solves each layer again from parts of its sample, in a random order. */
export class SampleAgreement {
  private readonly shape: SourceShape;
  private readonly samples: number;
  private readonly seed: number;
  private readonly halves: number[][] = [];
  /** [count][head] */
  private readonly cosines: number[][];
  private readonly counts: number[];

  constructor(shape: SourceShape, samples: number, seed: number) {
    this.shape = shape;
    this.samples = samples;
    this.seed = seed;
    this.counts = COUNTS.filter((count) => count < samples);
    this.cosines = this.counts.map(() => []);
  }

  /** `rows` [samples, H, D] of the next layer, and the filters [G, D] that all of them gave. */
  add(rows: Float32Array, filters: Float32Array): void {
    const { heads, headDim } = this.shape;
    const mixed = shuffled(rows, this.samples, heads * headDim, this.seed + this.halves.length);
    const solve = (first: number, count: number): Float32Array => {
      const part = mixed.subarray(first * heads * headDim, (first + count) * heads * headDim);
      return layerFilters(part, count, this.shape).filters;
    };
    const half = this.samples >> 1;
    this.halves.push(half > 0 ? cosines(solve(0, half), solve(half, half), headDim) : []);
    for (const [i, count] of this.counts.entries())
      this.cosines[i]!.push(...cosines(solve(0, count), filters, headDim));
  }

  result(): Agreement {
    const convergence = this.counts.map((samples, i) => {
      const all = this.cosines[i]!;
      const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
      return { samples, mean, lowest: Math.min(...all) };
    });
    return { halves: this.halves, convergence };
  }
}

/** Cosine of each vector [D] of `a` with that of `b`. */
export function cosines(a: Float32Array, b: Float32Array, dim: number): number[] {
  return Array.from({ length: a.length / dim }, (_, n) => {
    let ab = 0;
    let aa = 0;
    let bb = 0;
    for (let i = n * dim; i < (n + 1) * dim; i++) {
      ab += a[i]! * b[i]!;
      aa += a[i]! * a[i]!;
      bb += b[i]! * b[i]!;
    }
    return ab / Math.sqrt(aa * bb);
  });
}

/** The rows in a random order (Fisher-Yates): a stream that just fits the sample lies in text order. */
function shuffled(rows: Float32Array, count: number, size: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  const out = new Float32Array(count * size);
  for (const [to, from] of order.entries())
    out.set(rows.subarray(from * size, (from + 1) * size), to * size);
  return out;
}
