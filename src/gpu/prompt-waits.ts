/** What a page may add to the time that a wait takes; browsers make it 4 ms where timers follow each other. */
const BETWEEN_MS = 1;

/**
 * Firefox looks only every 100 ms whether the GPU is done (https://bugzilla.mozilla.org/1870699), and whenever
 * something is submitted: a token would take a tenth of a second on any GPU.
 */
const looksRarely = (): boolean => /\bFirefox\//.test(globalThis.navigator?.userAgent ?? "");

/** What `wait`, a promise of the queue's device, resolves to, as soon as the GPU has done the work. */
export async function promptly<T>(queue: GPUQueue, wait: Promise<T>): Promise<T> {
  if (!looksRarely()) return wait;
  let over = false;
  const ended = (): void => {
    over = true;
  };
  wait.then(ended, ended);
  while (!over) {
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
    if (!over) queue.submit([]);
  }
  return wait;
}
