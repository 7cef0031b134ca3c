// A uniform number in [0, 1) from a token's position and its head, for the `random` policy (PCG hash).
fn position_hash(position: u32, head: u32, seed: u32) -> f32 {
  var state = position * 747796405u + head * 2891336453u + seed * 277803737u + 1u;
  state = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  state = (state >> 22u) ^ state;
  state = state * 747796405u + 2891336453u;
  state = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return f32(((state >> 22u) ^ state) >> 8u) / 16777216.0;
}

// Every static policy is a point in this space: see src/cache/policies.
fn key_score(lane: Lane, filter_dot: f32, norm: f32, position: u32, head: u32) -> f32 {
  return lane.dot * filter_dot + lane.norm * norm + lane.position * f32(position)
    + lane.random * position_hash(position, head, lane.seed);
}
