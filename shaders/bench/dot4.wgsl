// Roofline, arithmetic: the most packed 4x8-bit integer dot products the adapter does, where its WGSL has them.
// Eight independent chains an invocation, as in fma.wgsl. 64 invocations a workgroup,
// ROUNDS * 8 products = ROUNDS * 64 integer operations each.

@group(0) @binding(0) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  // What is added changes what is multiplied next: the loop cannot be folded.
  var a = id.x;
  var b = id.x + 1u;
  var c = id.x + 2u;
  var d = id.x + 3u;
  var e = id.x + 4u;
  var f = id.x + 5u;
  var g = id.x + 6u;
  var h = id.x + 7u;
  let factor = 0x01ff0201u ^ (id.x & 1u);
  for (var round = 0u; round < ROUNDS; round += 1u) {
    a += bitcast<u32>(dot4I8Packed(a, factor));
    b += bitcast<u32>(dot4I8Packed(b, factor));
    c += bitcast<u32>(dot4I8Packed(c, factor));
    d += bitcast<u32>(dot4I8Packed(d, factor));
    e += bitcast<u32>(dot4I8Packed(e, factor));
    f += bitcast<u32>(dot4I8Packed(f, factor));
    g += bitcast<u32>(dot4I8Packed(g, factor));
    h += bitcast<u32>(dot4I8Packed(h, factor));
  }
  out[id.x & 1023u] = f32((a ^ b ^ c ^ d ^ e ^ f ^ g ^ h) & 0xffffu);
}
