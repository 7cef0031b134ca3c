// 32 four-bit codes in one vec4<u32>, in q4's order, each of which stands for one of 16 levels; weight = scale * level.
// 20 bytes per block of 32. Levels are the signed bytes of LEVELS, level i at byte i % 4 of component i / 4.
// Needs: quants: array<vec4<u32>>, scales: array<f32>, LEVELS: vec4<u32>.
//: import products/weights/weights_plain_dot

struct Block { q: vec4<u32>, scale: f32 }

fn load_block(block: u32) -> Block {
  return Block(quants[block], scales[block]);
}

// Here a step is where weights 4j to 4j + 3 begin in their words.
fn block_step(j: u32) -> u32 {
  return 4u * j;
}

// Weights 4j to 4j + 3; scale * level is exact in f32. Levels are picked by selects: arrays that are indexed by
// what is computed lie in memory on many GPUs.
fn block_vec(b: Block, step: u32) -> vec4<f32> {
  let code = (b.q >> vec4(step)) & vec4(15u);
  let odd = (code & vec4(4u)) != vec4(0u);
  let low = select(vec4(LEVELS.x), vec4(LEVELS.y), odd);
  let high = select(vec4(LEVELS.z), vec4(LEVELS.w), odd);
  let bytes = bitcast<vec4<i32>>(select(low, high, code >= vec4(8u)));
  let level = (bytes << (vec4(24u) - 8u * (code & vec4(3u)))) >> vec4(24u);
  return b.scale * vec4<f32>(level);
}
