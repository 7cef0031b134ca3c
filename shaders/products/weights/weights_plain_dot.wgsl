// block_dot for layouts without a quicker one: the sum over block_vec.

struct Input { v: array<vec4<f32>, 8> }

fn prepare(x: array<vec4<f32>, 8>) -> Input {
  return Input(x);
}

fn block_dot(b: Block, x: Input) -> f32 {
  var d = dot(x.v[0], block_vec(b, block_step(0u)));
  d += dot(x.v[1], block_vec(b, block_step(1u)));
  d += dot(x.v[2], block_vec(b, block_step(2u)));
  d += dot(x.v[3], block_vec(b, block_step(3u)));
  d += dot(x.v[4], block_vec(b, block_step(4u)));
  d += dot(x.v[5], block_vec(b, block_step(5u)));
  d += dot(x.v[6], block_vec(b, block_step(6u)));
  d += dot(x.v[7], block_vec(b, block_step(7u)));
  return d;
}
