/**
 * Whether WebGPU runs on the processor (SwiftShader, llvmpipe): there a kernel wants long runs of
 * memory for each invocation and no barriers, where a GPU wants neighbours to read neighbours.
 */
export function isCpuAdapter(info: GPUAdapterInfo): boolean {
  if (info.isFallbackAdapter) return true;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return /swiftshader|llvmpipe|lavapipe|\bcpu\b|microsoft basic render/i.test(text);
}
