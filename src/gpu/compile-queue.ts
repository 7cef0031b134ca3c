import {
  type Kernel,
  type KernelSpec,
  moduleOf,
  type PendingKernel,
  pendingKernel,
  type Stage,
} from "./kernel.ts";

/** Stages after the first, in the order in which they are compiled. */
const LATER = ["answer", "turn", "eviction"] as const satisfies readonly Stage[];
export type LaterStage = (typeof LATER)[number];

/** What compiling would slow: loading up to a first token, reading a prompt, the first tokens of an answer. */
export type Work = "load" | "prompt" | "answer";

/** A kernel of a later stage that is not compiled. */
interface Waiting {
  readonly kernel: PendingKernel;
  readonly stage: LaterStage;
  /** Length of its code: longer code takes longer to compile. */
  readonly length: number;
  /** Rejects as compiling did. */
  readonly compiled: Promise<void>;
  begun: boolean;
  begin(): Promise<void>;
}

/**
 * Compiles each distinct kernel once. Those of later stages give way to work that they would slow, and come first where
 * a caller waits for them. An adapter that compiles on the processor that it computes on compiles one at a time.
 */
export class CompileQueue {
  private readonly device: GPUDevice;
  /** The adapter compiles on the processor that it computes on. */
  private readonly shared: boolean;
  private readonly kernels = new Map<string, PendingKernel>();
  /** Those that fail stay, so that every caller that needs them gets the error. */
  private readonly waiting = new Set<Waiting>();
  /** Stages that a caller has waited for. */
  private readonly wanted = new Set<LaterStage>();
  private readonly works: Record<Work, number> = { load: 0, prompt: 0, answer: 0 };
  private compiling = 0;

  constructor(device: GPUDevice, shared: boolean) {
    this.device = device;
    this.shared = shared;
  }

  /** Resolves once the kernel is compiled; while loading at once if it is of a later stage: it binds, and cannot run. */
  async kernel(spec: KernelSpec): Promise<Kernel> {
    const key = moduleOf(spec);
    const kernel = this.kernels.get(key) ?? pendingKernel(this.device, spec, key);
    this.kernels.set(key, kernel);
    const { stage = "prompt" } = spec;
    if (stage === "prompt" || kernel.isCompiled || this.isIdle) await kernel.compile();
    else {
      const { compiled } = this.enqueue(kernel, stage, key.length);
      if (this.works.load === 0) await compiled;
    }
    return kernel.kernel;
  }

  /**
   * Undefined where all kernels of the stages are compiled; else resolves once they are, or rejects as compiling did.
   * They come first from here on.
   */
  compiled(stages: readonly LaterStage[]): Promise<unknown> | undefined {
    for (const stage of stages) this.wanted.add(stage);
    const wanted = [...this.waiting].filter(({ stage }) => stages.includes(stage));
    if (wanted.length === 0) return undefined;
    this.beginSoon();
    return Promise.all(wanted.map(({ compiled }) => compiled));
  }

  /** Says that such work goes on until the returned function is called. */
  busy(work: Work): () => void {
    this.works[work] += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.works[work] -= 1;
      this.beginSoon();
    };
  }

  /** Whether nothing goes on that compiling could slow, and nothing waits. */
  private get isIdle(): boolean {
    const { load, prompt, answer } = this.works;
    return load + prompt + answer + this.waiting.size === 0;
  }

  private enqueue(kernel: PendingKernel, stage: LaterStage, length: number): Waiting {
    for (const one of this.waiting) if (one.kernel === kernel && one.stage === stage) return one;
    let settle: () => Promise<void>;
    const compiled = new Promise<void>((resolve, reject) => {
      settle = () => kernel.compile().then(resolve, reject);
    });
    const waiting: Waiting = {
      kernel,
      stage,
      length,
      compiled,
      begun: false,
      begin() {
        waiting.begun = true;
        return settle();
      },
    };
    this.waiting.add(waiting);
    compiled.then(() => this.waiting.delete(waiting)).catch(() => {});
    this.beginSoon();
    return waiting;
  }

  /** Later in the same breath: what is asked for in it may be wanted more. */
  private beginSoon(): void {
    queueMicrotask(() => this.beginNext());
  }

  private beginNext(): void {
    while (this.compiling === 0 || !this.shared) {
      const [next] = [...this.waiting].filter((one) => this.mayBegin(one)).sort(this.order);
      if (!next) return;
      this.compiling += 1;
      next.begin().then(() => {
        this.compiling -= 1;
        this.beginNext();
      });
    }
  }

  private mayBegin(one: Waiting): boolean {
    if (one.begun) return false;
    if (this.wanted.has(one.stage)) return true;
    const { load, prompt, answer } = this.works;
    if (load > 0) return false;
    return !this.shared || (prompt === 0 && (answer === 0 || one.stage !== "eviction"));
  }

  /**
   * What is wanted, then by stage, then the shortest: one that was begun cannot be stopped, and a prompt that comes at
   * once should find a short one.
   */
  private readonly order = (a: Waiting, b: Waiting): number =>
    Number(this.wanted.has(b.stage)) - Number(this.wanted.has(a.stage)) ||
    LATER.indexOf(a.stage) - LATER.indexOf(b.stage) ||
    a.length - b.length;
}
