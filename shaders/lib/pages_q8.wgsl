// Pages of signed bytes: 1 byte per value, and a word of scales per slot. Of a vector x with largest magnitude m
//   scale = m / 127, rounded up to bfloat16: 8 bits of f32's range, so no key is too large or too small
//   code  = x / scale, rounded to nearest, ties to even, within +-127;   x is read as scale * code
// Scales are read apart from codes, so that they multiply sums, not their terms.
// Needs the binding `source`: array<source_unit>, or array<u32> in the parts for words.
//: import lib/octet

alias source_unit = vec2<u32>;
const SOURCE_UNIT_WORDS = 2u;
const SOURCE_OCTET_UNITS = 1u;
const SOURCE_VECTOR_WORDS = HEAD_DIM / 4u;
const SOURCE_SCALED = true;

fn source_codes(packed: u32) -> vec4<f32> {
  let shifted = vec4<u32>(packed << 24u, packed << 16u, packed << 8u, packed);
  return vec4<f32>(bitcast<vec4<i32>>(shifted) >> vec4<u32>(24u));
}
// bfloat16 pairs: the key's scale in the low half, the value's in the high half.
fn source_unpack_scales(packed: u32) -> vec2<f32> {
  return bitcast<vec2<f32>>(vec2<u32>(packed << 16u, packed & 0xffff0000u));
}

//: part read units
fn source_octet(unit: u32) -> Octet {
  let packed = source[unit];
  return Octet(source_codes(packed.x), source_codes(packed.y));
}
fn source_scales(word: u32) -> vec2<f32> { return source_unpack_scales(source[word / 2u][word % 2u]); }

//: part read words
fn source_octet(unit: u32) -> Octet {
  return Octet(source_codes(source[2u * unit]), source_codes(source[2u * unit + 1u]));
}
fn source_scales(word: u32) -> vec2<f32> { return source_unpack_scales(source[word]); }

//: part write words
fn source_pack(x: vec4<f32>, inverse: f32) -> u32 {
  let codes = clamp(round(x * inverse), vec4<f32>(-127.0), vec4<f32>(127.0));
  let bytes = bitcast<vec4<u32>>(vec4<i32>(codes)) & vec4<u32>(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}
fn source_write(unit: u32, x: Octet, scale: f32) {
  let inverse = select(0.0, 1.0 / scale, scale > 0.0);
  source[2u * unit] = source_pack(x.low, inverse);
  source[2u * unit + 1u] = source_pack(x.high, inverse);
}
// The scales of a key and a value whose largest magnitudes are `most`, as they will be read.
fn source_scales_of(most: vec2<f32>) -> vec2<f32> {
  // Below 2^-100 all codes are 0: so small a scale has no inverse in f32.
  let scales = select(vec2<f32>(), most * (1.0 / 127.0), most > vec2<f32>(0x1p-100));
  return bitcast<vec2<f32>>((bitcast<vec2<u32>>(scales) + vec2<u32>(0xffffu)) & vec2<u32>(0xffff0000u));
}
fn source_write_scales(word: u32, scales: vec2<f32>) {
  let bits = bitcast<vec2<u32>>(scales);
  source[word] = (bits.x >> 16u) | bits.y;
}
