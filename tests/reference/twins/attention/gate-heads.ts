/** shaders/attention/gate_heads.wgsl: gates and attended of the same shape; returns the gated ones. */
export const gateHeads = (gates: Float32Array, attended: Float32Array): Float32Array =>
  attended.map((value, i) => value / (1 + Math.exp(-gates[i]!)));
