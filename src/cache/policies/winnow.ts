import { expectedQuery } from "./expected-query.ts";
import { type Policy, UNSCORED } from "./policy.ts";
import { qFilters } from "./q-filters.ts";
import { OFFSETS } from "./tri-attention.ts";

/**
 * Winnow, the default. Four things that add up (this folder's README says what each is worth):
 *
 * - Each kv head weighs for itself what tells future attention, by a fit made at calibration: the logit of the
 *   expected queries of the next tokens (TriAttention), lengths of key and value, age, likeness to the other
 *   keys (KeyDiff), the Q-Filter. While decoding that is the score.
 * - A prompt is read in full before anything is dropped. Then what sets a pair apart counts beside the fit (novelty
 *   twice, how far its key and its value stray once each), rows are kept with their neighbours (4 on either side),
 *   and what the last 32 rows attend to, 10 on either side, counts too: where a question is, is what it asks for.
 * - Heads get budgets by how much the layer's output suffers without the pages.
 * - What a head drops is not forgotten whole: its mean key and value attend in its place.
 */
export const winnow: Policy = {
  label: "Winnow",
  explanation:
    "Each head weighs what it has learned to look at, what is new, and what your question asks for; heads that need more memory get it.",
  // With 4 sinks a head can do with a single page.
  window: 24,
  needs: ["filters", "queryMean", "queryAbs", "scoreFit"],
  fallback: qFilters,
  headBudgets: true,
  remembers: true,
  score: UNSCORED,
  scoring: {
    every: 16,
    features: { moving: true, ofEachHead: true, pairNorm: true, value: true, novelty: true },
    joined: { pool: 4 },
    head: ({ headDim, filter, queryMeans, unexplained, scoreFit, frequencies }) => {
      const [tri, norm, value, age, likeness, dot, length] = scoreFit as Float32Array;
      const scale = 1 / Math.sqrt(headDim);
      return {
        moving: tri!,
        pairNorm: norm! * scale,
        logValue: value!,
        logAge: age!,
        novelty: -likeness!,
        dot: dot!,
        norm: length!,
        weights: { importance: 1, novelty: 2, keySpread: 1, valueSpread: 1, observed: 0.25 },
        filter: filter!,
        expectedQuery: ofEachHead(queryMeans!, frequencies, scale),
        pairWeights: unexplained!,
      };
    },
  },
  observation: { queries: 32, pool: 10, accumulate: false, peaks: true, apart: true },
};

/** The expected queries of the group's heads [r, D], times `scale`. */
function ofEachHead(
  means: Float32Array,
  frequencies: ArrayLike<number>,
  scale: number,
): Float32Array {
  const dim = 2 * frequencies.length;
  const out = new Float32Array(means.length);
  for (let at = 0; at < means.length; at += dim) {
    const query = expectedQuery(means.subarray(at, at + dim), frequencies, OFFSETS);
    out.set(
      query.map((x) => x * scale),
      at,
    );
  }
  return out;
}
