// The kv head that a workgroup of score_cache, score_context, score_parts or score_join scores.
// Needs: lib/candidates_*, HEAD_STRIDE.
//: import lib/paging

// @binding(1), (6) and (7) are in lib/candidates_*.
@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> head_data: array<vec4<f32>>; // [L, G, HEAD_STRIDE / 4]

// A head's part of head_data, in quads: coefficients, then vectors (src/kernels/scoring/head-data.ts has the same order).
const FIRST_COEFFICIENTS = 0u;  // of filter . key, |key|, position, random
const SECOND_COEFFICIENTS = 1u; // of the expected logit, pairs' lengths, quadratic form, ln |value|
const THIRD_COEFFICIENTS = 2u;  // of ln age, novelty; then the weight of observed attention
const PART_WEIGHTS = 3u;        // of importance, novelty, key spread, value spread
const VECTORS = 4u;

// `total` candidates, `count` of them cached; 0 where there is nothing to do.
struct Head { lane: u32, last: u32, total: u32, count: u32, row: u32, kv_head: u32, base: u32 }

fn head_of(z: u32, kv_head: u32) -> Head {
  let work = work_of(z);
  let row = table_row(shape, work.lane, kv_head);
  let count = tables[row];
  let total = count + work.rows;
  // Not this policy's, not yet, or nothing will be evicted before the next time.
  let due = work.due && total + work.ahead > tables[row + 1u];
  let base = (shape.layer * shape.kv_heads + kv_head) * (HEAD_STRIDE / 4u);
  return Head(work.lane, work.last, select(0u, total, due), count, row, kv_head, base);
}
