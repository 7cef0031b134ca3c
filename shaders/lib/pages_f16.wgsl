// Pages of f16 pairs: 2 bytes per value, no scales. Values beyond 65,504 are cut to it.
// Needs the binding `source`: array<source_unit>, or array<u32> in the parts for words.
//: import lib/octet

alias source_unit = vec4<u32>;
const SOURCE_UNIT_WORDS = 4u;
const SOURCE_OCTET_UNITS = 1u;
const SOURCE_VECTOR_WORDS = HEAD_DIM / 2u;
const SOURCE_SCALED = false;

fn source_unpack(packed: source_unit) -> Octet {
  return Octet(
    vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y)),
    vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w)),
  );
}

//: part read units
fn source_octet(unit: u32) -> Octet { return source_unpack(source[unit]); }
fn source_scales(word: u32) -> vec2<f32> { return vec2<f32>(1.0); }

//: part read words
fn source_octet(unit: u32) -> Octet {
  let w = 4u * unit;
  return source_unpack(vec4<u32>(source[w], source[w + 1u], source[w + 2u], source[w + 3u]));
}
fn source_scales(word: u32) -> vec2<f32> { return vec2<f32>(1.0); }

//: part write words
fn source_pack(x: vec2<f32>) -> u32 {
  return pack2x16float(clamp(x, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
}
fn source_write(unit: u32, x: Octet, scale: f32) {
  let w = 4u * unit;
  source[w] = source_pack(x.low.xy);
  source[w + 1u] = source_pack(x.low.zw);
  source[w + 2u] = source_pack(x.high.xy);
  source[w + 3u] = source_pack(x.high.zw);
}
fn source_scales_of(most: vec2<f32>) -> vec2<f32> { return vec2<f32>(1.0); }
fn source_write_scales(word: u32, scales: vec2<f32>) {}
