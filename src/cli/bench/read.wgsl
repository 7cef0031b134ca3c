// Roofline, memory: the most bytes per second the adapter reads from a buffer that fits no cache. Each invocation
// sums READS vec4, either a run of its own (CONTIGUOUS: what a CPU adapter likes) or every STRIDE-th, so that
// neighbours read neighbours (what a GPU likes); the better of the two counts.
// 64 invocations per workgroup, READS * 16 bytes each.

@group(0) @binding(0) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var at = id.x;
  var step = STRIDE;
  if (CONTIGUOUS) {
    at = id.x * READS;
    step = 1u;
  }
  var a = vec4(0.0);
  var b = vec4(0.0);
  var c = vec4(0.0);
  var d = vec4(0.0);
  for (var i = 0u; i < READS; i += 4u) {
    a += data[at];
    b += data[at + step];
    c += data[at + 2u * step];
    d += data[at + 3u * step];
    at += 4u * step;
  }
  let sum = a + b + c + d;
  out[id.x & 1023u] = sum.x + sum.y + sum.z + sum.w;
}
