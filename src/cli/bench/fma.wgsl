// Roofline, arithmetic: the most f32 multiply-adds the adapter does. Eight independent chains of vec4 fma an
// invocation, so that latency is hidden, and no memory but one word written at the end.
// 64 invocations per workgroup, ROUNDS * 64 fma = ROUNDS * 128 flops each.

@group(0) @binding(0) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  // Converges to 1: no infinities and no denormals, which some processors take slowly.
  let scale = vec4(0.5);
  let add = vec4(0.5);
  let start = f32(id.x & 1023u) * 0.001;
  var a = vec4(start);
  var b = vec4(start + 0.1);
  var c = vec4(start + 0.2);
  var d = vec4(start + 0.3);
  var e = vec4(start + 0.4);
  var f = vec4(start + 0.5);
  var g = vec4(start + 0.6);
  var h = vec4(start + 0.7);
  for (var round = 0u; round < ROUNDS; round += 1u) {
    a = fma(a, scale, add);
    b = fma(b, scale, add);
    c = fma(c, scale, add);
    d = fma(d, scale, add);
    e = fma(e, scale, add);
    f = fma(f, scale, add);
    g = fma(g, scale, add);
    h = fma(h, scale, add);
    a = fma(a, scale, add);
    b = fma(b, scale, add);
    c = fma(c, scale, add);
    d = fma(d, scale, add);
    e = fma(e, scale, add);
    f = fma(f, scale, add);
    g = fma(g, scale, add);
    h = fma(h, scale, add);
  }
  let sum = a + b + c + d + e + f + g + h;
  out[id.x & 1023u] = sum.x + sum.y + sum.z + sum.w;
}
