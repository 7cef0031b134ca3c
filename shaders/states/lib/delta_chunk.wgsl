// What both kernels of a chunk share: the sums of the rows' decays, and where a row's parts lie.
// Needs const CHUNK, QUADS (D / 4), K_HEADS, V_HEADS, and batch and gates.

const CHANNELS4 = (2u * K_HEADS + V_HEADS) * QUADS;

// Sums of ln of what is forgotten, from the chunk's first row to each.
var<workgroup> sh_sums: array<f32, CHUNK>;

fn sum_decays(t: u32, first: u32, h: u32) {
  var sum = 0.0;
  for (var row = first; row < min(first + t + 1u, batch.rows); row += 1u) { sum += gates[row * V_HEADS + h].x; }
  sh_sums[t] = sum;
}
