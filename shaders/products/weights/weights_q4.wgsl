// q4: 32 four-bit codes in one vec4<u32>, weight = scale * code + minimum. 20 bytes per block of 32
// (24 with f32 scales). Nibble j of component c is weight 4j + c, so one mask of the vector gives
// four consecutive weights, scaled by 16^j: that factor goes into the scale or into x, exactly, for
// shifts of vectors and u32 -> f32 are slow on SwiftShader. Bit 31 is flipped so that the last
// nibble reads as signed, code - 8. Needs: quants: array<vec4<u32>>, scale_pair.
//: import products/weights/weights_q4_dot

struct Block { q: vec4<u32>, pair: vec2<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block] ^ vec4(0x80000000u), scale_pair(block));
}

// How to take weights 4j to 4j + 3 out of any block.
struct Step { mask: vec4<u32>, scale: f32, zero: f32 }

// 16^j and 16^-j by their exponents: SwiftShader shifts by a variable, and turns u32 into f32, lane by lane.
fn block_step(j: u32) -> Step {
  let power = i32(bitcast<f32>(0x3f800000u + j * 0x2000000u));
  let scale = bitcast<f32>(0x3f800000u - j * 0x2000000u);
  return Step(vec4(15u * u32(power)), scale, select(0.0, 8.0, j == 7u));
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 21 bits), so the sum rounds once,
// fused or not.
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let code = vec4<f32>(vec4<i32>(b.q & step.mask)) * step.scale + vec4(step.zero);
  return b.pair.x * code + vec4(b.pair.y);
}
