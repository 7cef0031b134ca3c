// Pages of f32: 4 bytes per value, exact, no scales. An octet is two units.
// Needs the binding `source`: array<source_unit>, or array<u32> in the parts for words.
//: import lib/octet

alias source_unit = vec4<u32>;
const SOURCE_UNIT_WORDS = 4u;
const SOURCE_OCTET_UNITS = 2u;
const SOURCE_VECTOR_WORDS = HEAD_DIM;
const SOURCE_SCALED = false;

//: part read units
fn source_octet(unit: u32) -> Octet {
  return Octet(bitcast<vec4<f32>>(source[unit]), bitcast<vec4<f32>>(source[unit + 1u]));
}
fn source_scales(word: u32) -> vec2<f32> { return vec2<f32>(1.0); }

//: part read words
fn source_quad(w: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(source[w], source[w + 1u], source[w + 2u], source[w + 3u]));
}
fn source_octet(unit: u32) -> Octet { return Octet(source_quad(4u * unit), source_quad(4u * unit + 4u)); }
fn source_scales(word: u32) -> vec2<f32> { return vec2<f32>(1.0); }

//: part write words
fn source_write_quad(w: u32, x: vec4<f32>) {
  let bits = bitcast<vec4<u32>>(x);
  source[w] = bits.x;
  source[w + 1u] = bits.y;
  source[w + 2u] = bits.z;
  source[w + 3u] = bits.w;
}
fn source_write(unit: u32, x: Octet, scale: f32) {
  source_write_quad(4u * unit, x.low);
  source_write_quad(4u * unit + 4u, x.high);
}
fn source_scales_of(most: vec2<f32>) -> vec2<f32> { return vec2<f32>(1.0); }
fn source_write_scales(word: u32, scales: vec2<f32>) {}
