import {
  type Kernel,
  type KernelSpec,
  moduleOf,
  type PendingKernel,
  pendingKernel,
  type Stage,
} from "./kernel.ts";

export type LaterStage = Exclude<Stage, "prompt">;
const LATER = ["answer", "turn", "eviction"] as const satisfies readonly LaterStage[];

interface Held {
  readonly kernel: PendingKernel;
  /** Length of its code: longer code takes longer to compile. */
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
  private readonly held: Record<LaterStage, Held[]> = { answer: [], turn: [], eviction: [] };
  private readonly works: Record<LaterStage, (() => Promise<unknown>)[]> = {
    answer: [],
    turn: [],
    eviction: [],
  };
  private holding = false;
  /** Stages that are not through. */
  private readonly waits = new Map<LaterStage, Promise<void>>();
  /** Stages that a caller waits for. */
  private readonly wanted = new Set<LaterStage>();
  private working = 0;
  private answers = 0;
  private wake: () => void = () => {};
  private readonly queue: { readonly stage: LaterStage; compile(): Promise<void> }[] = [];
  private busy: Promise<void> | undefined;

  constructor(device: GPUDevice, shared: boolean) {
    this.device = device;
    this.shared = shared;
  }

  /** Resolves once the kernel is compiled; at once where it is held, and its dispatches can be made but not run. */
  async kernel(spec: KernelSpec): Promise<Kernel> {
    const key = moduleOf(spec);
    const kernel = this.kernels.get(key) ?? pendingKernel(this.device, spec, key);
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

  /** Compiles what is held, one stage after the other; stages that a caller waits for come first. */
  release(): void {
    this.holding = false;
    let before: Promise<unknown> = Promise.resolve();
    for (const stage of LATER) {
      const own = this.shared ? this.compile(stage) : before.then(() => this.compile(stage));
      const all = Promise.all([before, own]);
      before = all;
      const compiled = (stage === "eviction" ? all : own).then(() => {});
      this.waits.set(stage, compiled);
      // A failure stays, so that every caller that needs the stage gets it.
      compiled.then(() => this.waits.delete(stage)).catch(() => {});
    }
    before.catch(() => {});
  }

  /** Whether all kernels of a stage can run; of "eviction" those of the others too. */
  ready(stage: LaterStage): boolean {
    return !this.waits.has(stage);
  }

  /** Resolves when they can. Rejects as compiling did. */
  async compiled(stage: LaterStage): Promise<void> {
    if (this.ready(stage)) return;
    this.wanted.add(stage);
    this.wake();
    await this.waits.get(stage);
  }

  /**
   * Runs work that should not be slowed. If compiling would slow it, only kernels that a caller waits for are compiled
   * meanwhile.
   */
  async undisturbed<T>(work: () => Promise<T>): Promise<T> {
    this.working += 1;
    try {
      return await work();
    } finally {
      this.working -= 1;
      this.wake();
    }
  }

  /**
   * Until the returned function is called, kernels that only eviction needs are left for later, unless a caller waits
   * for them.
   */
  answering(): () => void {
    this.answers += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.answers -= 1;
      this.wake();
    };
  }

  private async compile(stage: LaterStage): Promise<void> {
    // One that was begun cannot be stopped: a prompt that comes at once should find a short one.
    const held = this.held[stage].sort((a, b) => a.length - b.length);
    await Promise.all(held.map(({ kernel }) => this.inTurn(kernel, stage)));
    await Promise.all(this.works[stage].map((work) => work()));
  }

  /** Compiles at once where the adapter has a processor of its own, else one at a time and between work. */
  private inTurn(kernel: PendingKernel, stage: LaterStage): Promise<void> {
    if (!this.shared) return kernel.compile();
    return new Promise((resolve, reject) => {
      this.queue.push({ stage, compile: () => kernel.compile().then(resolve, reject) });
      if (!this.busy) this.busy = this.compileQueue();
    });
  }

  private async compileQueue(): Promise<void> {
    // What is asked for in the same breath may be wanted more.
    await Promise.resolve();
    while (this.queue.length > 0) {
      const next = this.next();
      if (next < 0)
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      else await this.queue.splice(next, 1)[0]!.compile();
    }
    this.busy = undefined;
  }

  /** Where in the queue what may be compiled now comes first; -1: nothing may. */
  private next(): number {
    const wanted = this.queue.findIndex(({ stage }) => this.isWanted(stage));
    if (wanted >= 0 || this.working > 0) return wanted;
    return this.queue.findIndex(({ stage }) => this.answers === 0 || stage !== "eviction");
  }

  private isWanted(stage: LaterStage): boolean {
    return this.wanted.has(stage) || this.wanted.has("eviction");
  }
}
