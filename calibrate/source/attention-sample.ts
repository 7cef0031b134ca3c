import { seededRandom } from "../../src/random.ts";
import type { QueryBatch, SourceShape } from "./query-source.ts";

/** Sequences whose attention is looked at. */
const SEQUENCES = 4;
/** Tokens of each, from its beginning. */
const TOKENS = 1280;
/** One query of so many consecutive ones. */
const QUERY_STRIDE = 16;
/** Bytes that the kept keys and values may take; at least one sequence is kept. */
const MAX_BYTES = 256 * 2 ** 20;

/** One sequence in one layer: every key, and the queries of some positions. */
export interface LayerSequence {
  /** T */
  readonly tokens: number;
  /** [T, G, D], after RoPE. */
  readonly keys: Float32Array;
  /** [T, G, D] */
  readonly values: Float32Array;
  /** [T]: lengths of the residual stream that enters the layer; of none where the source has none. */
  readonly residual: Float32Array;
  /** [N, H, D], after RoPE. */
  readonly queries: Float32Array;
  /** [N], ascending positions of the queries. */
  readonly positions: Uint32Array;
}

interface Kept {
  keys: Float32Array[];
  values: Float32Array[];
  residual: Float32Array[];
  queries: Float32Array[];
  positions: number[];
  tokens: number;
}

/**
 * A sample of sequences (Vitter's algorithm R over whole sequences, seeded) with what attention needs:
 * 2 x L x T x G x D values per sequence, bounded whatever the length of the texts. Layers share the choice.
 */
export class AttentionSample {
  private readonly shape: SourceShape;
  private readonly capacity: number;
  private readonly random: () => number;
  private readonly seed: number;
  /** Sequence -> its place in the sample, or -1. */
  private readonly places: number[] = [];
  /** Sequence that each layer reads. */
  private readonly current: number[];
  /** [L][place] */
  private readonly kept: (Kept | undefined)[][];

  constructor(shape: SourceShape, seed: number) {
    this.shape = shape;
    this.seed = seed;
    this.random = seededRandom(seed);
    const bytes = 2 * shape.layers * TOKENS * shape.kvHeads * shape.headDim * 4;
    this.capacity = Math.max(1, Math.min(SEQUENCES, Math.floor(MAX_BYTES / bytes)));
    this.current = new Array<number>(shape.layers).fill(-1);
    this.kept = Array.from({ length: shape.layers }, () => []);
  }

  /** Takes what it wants of a batch; what is kept is copied. */
  offer({ layer, rows, start, queries, keys, values, residual }: QueryBatch): void {
    if (start === 0) this.current[layer]! += 1;
    const sequence = this.current[layer]!;
    if (sequence < 0 || !keys || !values || start >= TOKENS) return;
    const place = this.placeOf(sequence);
    if (place < 0) return;
    const kept = this.kept[layer]!;
    if (start === 0)
      kept[place] = { keys: [], values: [], residual: [], queries: [], positions: [], tokens: 0 };
    const one = kept[place]!;
    const count = Math.min(rows, TOKENS - start);
    const { heads, kvHeads, headDim } = this.shape;
    one.keys.push(keys.slice(0, count * kvHeads * headDim));
    one.values.push(values.slice(0, count * kvHeads * headDim));
    if (residual) one.residual.push(residual.slice(0, count));
    for (let row = 0; row < count; row++) {
      if (!this.wants(sequence, start + row)) continue;
      one.positions.push(start + row);
      one.queries.push(queries.slice(row * heads * headDim, (row + 1) * heads * headDim));
    }
    one.tokens += count;
  }

  /** The sample of one layer; the sample gives it up, so that its memory can go. */
  take(layer: number): LayerSequence[] {
    const kept = this.kept[layer]!;
    this.kept[layer] = [];
    return kept.flatMap((one) =>
      one
        ? [
            {
              tokens: one.tokens,
              keys: joined(one.keys),
              values: joined(one.values),
              residual: joined(one.residual),
              queries: joined(one.queries),
              positions: Uint32Array.from(one.positions),
            },
          ]
        : [],
    );
  }

  private placeOf(sequence: number): number {
    for (let n = this.places.length; n <= sequence; n++) {
      const place = n < this.capacity ? n : Math.floor(this.random() * (n + 1));
      this.places.push(place < this.capacity ? place : -1);
    }
    return this.places[sequence]!;
  }

  /** One position of each stride, the same in all layers. */
  private wants(sequence: number, position: number): boolean {
    const block = Math.floor(position / QUERY_STRIDE);
    const random = seededRandom(this.seed * 31 + sequence * 8191 + block + 1)();
    return position % QUERY_STRIDE === Math.floor(random * QUERY_STRIDE);
  }
}

/** Lengths of `count` vectors [count, D]. */
export function normsOf(vectors: Float32Array, count: number, dim: number): Float32Array {
  const norms = new Float32Array(count);
  for (let n = 0; n < count; n++) {
    let squares = 0;
    for (let i = n * dim; i < (n + 1) * dim; i++) squares += vectors[i]! * vectors[i]!;
    norms[n] = Math.sqrt(squares);
  }
  return norms;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
