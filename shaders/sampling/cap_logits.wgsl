// A soft cap: logits become CAP tanh(logits / CAP). What is no number stays so, since sampling tells it from the others.
// Grid: (V / 256, rows). Bytes per row: 8 V: bound by memory, and small beside the head.
// Needs: const VOCABULARY, CAP.
@group(0) @binding(0) var<storage, read_write> logits: array<f32>; // [M, VOCABULARY]

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= VOCABULARY) { return; }
  let at = id.y * VOCABULARY + id.x;
  let logit = logits[at];
  if ((bitcast<u32>(logit) & 0x7f800000u) == 0x7f800000u) { return; }
  // Some compilers make tanh of exponentials that overflow.
  logits[at] = CAP * tanh(clamp(logit / CAP, -15.0, 15.0));
}
