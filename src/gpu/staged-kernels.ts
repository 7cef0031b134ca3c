import {
  type Kernel,
  type KernelSpec,
  type PendingKernel,
  pendingKernel,
  type Stage,
} from "./kernel.ts";

type LaterStage = Exclude<Stage, "prompt">;
const LATER = ["answer", "eviction"] as const satisfies readonly LaterStage[];

interface Held {
  readonly kernel: PendingKernel;
  /** Of its code: longer ones take longer. */
  readonly length: number;
}

/**
 * Compiles each distinct kernel once. Those of later stages are left for after `release` from `hold` on: the first
 * token needs but half of what a software adapter takes ten seconds to compile, one kernel at a time.
 */
export class StagedKernels {
  private readonly device: GPUDevice;
  /** The adapter compiles on the processor that it computes on. */
  private readonly shared: boolean;
  private readonly kernels = new Map<string, PendingKernel>();
  private readonly held: Record<LaterStage, Held[]> = { answer: [], eviction: [] };
  private holding = false;
  /** Stages that are not through. */
  private readonly waits = new Map<Stage, Promise<void>>();
  /** Those that somebody waits for. */
  private readonly wanted = new Set<Stage>();
  private working = 0;
  private wake: () => void = () => {};

  constructor(device: GPUDevice, shared: boolean) {
    this.device = device;
    this.shared = shared;
  }

  /** Resolves once the kernel is compiled; at once where it is held, and its dispatches can be made but not run. */
  async kernel(spec: KernelSpec): Promise<Kernel> {
    const key = spec.code.join("\n");
    const kernel = this.kernels.get(key) ?? pendingKernel(this.device, spec);
    this.kernels.set(key, kernel);
    const { stage = "prompt" } = spec;
    if (this.holding && stage !== "prompt") this.held[stage].push({ kernel, length: key.length });
    else await kernel.compile();
    return kernel.kernel;
  }

  /** From here on kernels of later stages are not waited for. */
  hold(): void {
    this.holding = true;
  }

  /** Compiles what is held, one stage after the other. */
  release(): void {
    this.holding = false;
    let before: Promise<void> = Promise.resolve();
    for (const stage of LATER) {
      const compiled = before.then(() => this.compile(stage));
      this.waits.set(stage, compiled);
      // Those who need the stage are told of a failure: it stays.
      compiled.then(() => this.waits.delete(stage)).catch(() => {});
      before = compiled;
    }
  }

  /** Whether all kernels up to a stage can run. */
  ready(stage: Stage): boolean {
    return !this.waits.has(stage);
  }

  /** Resolves when they can. Rejects as compiling did. */
  async compiled(stage: Stage): Promise<void> {
    if (this.ready(stage)) return;
    this.wanted.add(stage);
    this.wake();
    await this.waits.get(stage);
  }

  /** Runs work that should not be slowed: where it would be, only what somebody waits for is compiled meanwhile. */
  async undisturbed<T>(work: () => Promise<T>): Promise<T> {
    this.working += 1;
    try {
      return await work();
    } finally {
      this.working -= 1;
      this.wake();
    }
  }

  private async compile(stage: LaterStage): Promise<void> {
    const held = this.held[stage];
    if (!this.shared) {
      await Promise.all(held.map(({ kernel }) => kernel.compile()));
      return;
    }
    // One that was begun cannot be stopped: a prompt that comes at once should find a short one.
    for (const { kernel } of held.sort((a, b) => a.length - b.length)) {
      while (this.working > 0 && !this.isWanted(stage))
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      await kernel.compile();
    }
  }

  private isWanted(stage: LaterStage): boolean {
    return this.wanted.has(stage) || this.wanted.has("eviction");
  }
}
