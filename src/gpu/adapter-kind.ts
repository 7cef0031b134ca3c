/**
 * What kernels are written for. On the processor (SwiftShader, llvmpipe) a kernel wants long runs of memory for
 * each invocation and no barriers, where a GPU wants neighbours to read neighbours.
 */
export type AdapterKind = "cpu" | "gpu";

export function adapterKind(info: GPUAdapterInfo): AdapterKind {
  if (info.isFallbackAdapter) return "cpu";
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  const software = /swiftshader|llvmpipe|lavapipe|\bcpu\b|microsoft basic render/i;
  return software.test(text) ? "cpu" : "gpu";
}
