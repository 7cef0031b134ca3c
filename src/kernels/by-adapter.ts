import { loadLater } from "../errors.ts";
import type { AdapterKind } from "../gpu/adapter-kind.ts";

/** Loaded on CPU adapters alone. */
export const onProcessors = () =>
  loadLater("kernels for processors", () => import("./on-processors.ts"));

/** Loaded on GPUs alone. */
export const onGpus = () => loadLater("kernels for GPUs", () => import("./on-gpus.ts"));

/** Begins to load the kernels of an adapter's kind. A failure surfaces where a kernel is created. */
export function beginLoading(kind: AdapterKind): void {
  const loading: Promise<unknown> = kind === "cpu" ? onProcessors() : onGpus();
  loading.catch(() => {});
}
