import type { ModelEntry } from "../../fetch/resolve/model-registry.ts";
import { pagesFor, pageWords } from "../../kernels/pages/cache-shape.ts";

/**
 * GPU bytes of a known model's weights and of its cache's pages (f16) once they are full, before anything
 * is fetched. Layers with a sliding window keep just that window, whatever the budget. Activations,
 * some tens of MB, are left out: `planMemory` adds them when the header is there.
 */
export function modelNeeds(entry: ModelEntry, budget: number | "full"): number {
  const { layers, kvHeads, headDim, windowLayers = 0, window = 0 } = entry.cache;
  const slots = budget === "full" ? entry.contextLength : budget;
  const pages = (layers - windowLayers) * pagesFor(slots) + windowLayers * pagesFor(window);
  return entry.bytes + kvHeads * pages * pageWords({ headDim }) * 4;
}

export interface Fit {
  readonly fits: boolean;
  /** Bytes beyond what may be used; 0 where it fits. */
  readonly excess: number;
}

/** Whether the model fits in `available` bytes with this budget. */
export function fitOf(entry: ModelEntry, budget: number | "full", available: number): Fit {
  const excess = Math.max(0, modelNeeds(entry, budget) - available);
  return { fits: excess === 0, excess };
}

const GIB = 2 ** 30;

/**
 * Bytes a page may use on the GPU. WebGPU tells limits a buffer only (`maxBufferSize`), no total:
 * assumed are half of the memory the browser reports (`navigator.deviceMemory`, GiB, 8 at most),
 * or 2 GiB where it reports none. An adapter below WebGPU's default buffer gets its buffer size.
 */
export function assumedGpuBytes(limits: {
  readonly maxBufferSize: number;
  readonly deviceMemory?: number | undefined;
}): number {
  const { maxBufferSize, deviceMemory = 4 } = limits;
  return maxBufferSize < GIB / 4 ? maxBufferSize : (deviceMemory / 2) * GIB;
}
