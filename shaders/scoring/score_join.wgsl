// Scores of a prompt's candidates from their parts (score_parts) and the attention that `observe` saw. One workgroup a kv
// head; scores are left where the candidates are.
//
// Each part is divided by its standard deviation over the candidates, so that parts of different units add up, and
// weighted; a constant shift changes no choice. Rows of the prompt block then take the highest score among POOL rows on
// either side: what is kept is kept with its surroundings. Then ln(observed attention) is added, both divided by their
// deviations. A part that is the same of all counts for nothing.
//
// Needs: HEAD_DIM, PAGE_SLOTS, WORKGROUP, HEAD_STRIDE, POOL; lib/candidates_*. Workgroups: (1, G).
// Bytes: a quad a candidate, read and written three times, and of 2 POOL neighbours a word.
// Tested in kernels/scoring/score-cache.
//: import scoring/lib/joined
//: import scoring/lib/score_sums

@group(0) @binding(5) var<storage, read> observed: array<f32>; // [G, as many as there is room for]

fn log_observed(kv_head: u32, index: u32) -> f32 {
  return log(observed[kv_head * (arrayLength(&observed) / shape.kv_heads) + index] + 1e-6);
}

// The highest of the weighted sums, in x of `joined`, among a row's neighbours; a cached candidate's own.
fn highest_near(h: Head, first: u32, i: u32) -> f32 {
  var highest = joined[first + i].x;
  if (i < h.count) { return highest; }
  let end = min(h.total, i + POOL + 1u);
  for (var j = i - min(POOL, i - h.count); j < end; j += 1u) { highest = max(highest, joined[first + j].x); }
  return highest;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = head_of(group.z, group.y);
  if (h.total == 0u) { return; }
  let first = joined_at(h.kv_head) + CONTEXT_QUADS;
  let scale = 1.0 / f32(h.total);
  // The parts of the first candidate are the origin of deviations: sums of squares then stay exact enough.
  let origin = joined[first];
  var sum = vec4<f32>();
  var squares = vec4<f32>();
  for (var i = t; i < h.total; i += WORKGROUP) {
    let x = joined[first + i] - origin;
    sum += x;
    squares += x * x;
  }
  let mean = scale * sum_of_threads(t, sum);
  let inverse = inverse_deviation(origin, mean, scale * sum_of_threads(t, squares));
  let weights = head_data[h.base + PART_WEIGHTS] * inverse;
  for (var i = t; i < h.total; i += WORKGROUP) { joined[first + i].x = dot(weights, joined[first + i]); }
  storageBarrier();
  workgroupBarrier();
  let near = vec4<f32>(highest_near(h, first, 0u), log_observed(h.kv_head, 0u), 0.0, 0.0);
  sum = vec4<f32>();
  squares = vec4<f32>();
  for (var i = t; i < h.total; i += WORKGROUP) {
    let score = highest_near(h, first, i);
    let attention = log_observed(h.kv_head, i);
    joined[first + i].y = score;
    joined[first + i].z = attention;
    let x = vec4<f32>(score, attention, 0.0, 0.0) - near;
    sum += x;
    squares += x * x;
  }
  let mean_near = scale * sum_of_threads(t, sum);
  let both = inverse_deviation(near, mean_near, scale * sum_of_threads(t, squares));
  let weight = head_data[h.base + THIRD_COEFFICIENTS].z * both.y;
  for (var i = t; i < h.total; i += WORKGROUP) {
    let x = joined[first + i];
    set_candidate_score(candidate_at(i, h.count, h.row, h.kv_head), both.x * x.y + weight * x.z);
  }
}
