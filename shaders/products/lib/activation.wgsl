// Needs: const GELU (else SiLU).

// SiLU, or GELU in its tanh form: 1 + tanh(u) = 2 / (1 + exp(-2u)), so both are v * sigmoid(something).
fn activation(v: f32) -> f32 {
  var u = v;
  if (GELU) { u = 1.5957691216057308 * (v + 0.044715 * v * v * v); }
  return v / (1.0 + exp(-max(u, -80.0)));
}
