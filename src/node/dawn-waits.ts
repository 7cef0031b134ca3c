/** Longest sleep between two polls: what a wait may add to the latency of a read-back. */
const SLEEP_MS = 1;

interface Waiting {
  prototype: object;
}

/**
 * Makes waiting for the GPU cheap. Dawn for Node polls from an endless chain of immediates while a promise of
 * its own is pending, which keeps a core busy: on a software adapter, a core that the shaders should have.
 * Beside each poll this sleeps for a moment, for as long as any wait is under way.
 */
export function easeWaits(queue: Waiting, buffer: Waiting): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let waits = 0;
  let polling = false;
  const sleep = (): void => {
    polling = waits > 0;
    if (!polling) return;
    Atomics.wait(cell, 0, 0, SLEEP_MS);
    setImmediate(sleep);
  };
  const wrap = (prototype: object, name: string): void => {
    const wait: unknown = Reflect.get(prototype, name);
    if (typeof wait !== "function") return;
    Reflect.set(prototype, name, function (this: object, ...parameters: unknown[]) {
      const promise: Promise<unknown> = Reflect.apply(wait, this, parameters);
      waits += 1;
      if (!polling) setImmediate(sleep);
      polling = true;
      return promise.finally(() => {
        waits -= 1;
      });
    });
  };
  wrap(queue.prototype, "onSubmittedWorkDone");
  wrap(buffer.prototype, "mapAsync");
}
