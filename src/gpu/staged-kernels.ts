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
  private readonly works: Record<LaterStage, (() => Promise<unknown>)[]> = {
    answer: [],
    eviction: [],
  };
  private holding = false;
  /** Stages that are not through. */
  private readonly waits = new Map<Stage, Promise<void>>();
  /** Those that somebody waits for. */
  private readonly wanted = new Set<Stage>();
  private working = 0;
  private wake: () => void = () => {};
  private turn: Promise<void> = Promise.resolve();

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
    if (stage === "prompt" || (!this.holding && this.ready(stage))) await kernel.compile();
    else if (this.holding) this.held[stage].push({ kernel, length: key.length });
    else await this.inTurn(kernel, stage);
    return kernel.kernel;
  }

  /** Does work whose kernels are of a later stage: with that stage where it is held, else at once. */
  async later(stage: LaterStage, work: () => Promise<unknown>): Promise<void> {
    if (this.holding) this.works[stage].push(work);
    else await work();
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
    // One that was begun cannot be stopped: a prompt that comes at once should find a short one.
    const held = this.held[stage].sort((a, b) => a.length - b.length);
    await Promise.all(held.map(({ kernel }) => this.inTurn(kernel, stage)));
    await Promise.all(this.works[stage].map((work) => work()));
  }

  /** Compiles at once where the adapter has a processor of its own, else after those before it and between work. */
  private inTurn(kernel: PendingKernel, stage: LaterStage): Promise<void> {
    if (!this.shared) return kernel.compile();
    this.turn = this.turn
      .catch(() => {})
      .then(async () => {
        while (this.working > 0 && !this.isWanted(stage))
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
        await kernel.compile();
      });
    return this.turn;
  }

  private isWanted(stage: LaterStage): boolean {
    return this.wanted.has(stage) || this.wanted.has("eviction");
  }
}
