import type { Dispatch, Kernel } from "../../gpu/kernel.ts";
import { createNll, NLL } from "../../kernels/sampling/nll.ts";
import { LOGIT_ROWS } from "../../model/buffers.ts";
import type { DeviceState } from "../state.ts";

/** Collects losses on the GPU and reads them back once. */
export class LossReader {
  private readonly state: DeviceState;
  private readonly nll: Dispatch;
  private readonly vocabulary: number;
  private readonly targets: GPUBuffer;
  private readonly losses: GPUBuffer;
  private readonly params: GPUBuffer;

  /** For `tokens` losses; compiles what only measuring needs. */
  static async create(state: DeviceState, vocabulary: number, tokens: number): Promise<LossReader> {
    const [kernel] = await Promise.all([
      createNll(state.gpu),
      state.runner.compiled({ heads: true }),
    ]);
    return new LossReader(state, kernel, vocabulary, tokens);
  }

  private constructor(state: DeviceState, kernel: Kernel, vocabulary: number, tokens: number) {
    this.state = state;
    this.vocabulary = vocabulary;
    const { gpu, runner } = state;
    this.targets = gpu.ledger.storage("staging", "targets", LOGIT_ROWS * 4);
    this.losses = gpu.ledger.storage("staging", "losses", tokens * 4);
    this.params = gpu.ledger.uniform("nll", new Uint32Array(NLL.words));
    const { params, targets, losses } = this;
    const { logits } = runner.transformer.buffers;
    this.nll = kernel.dispatch({ params, logits, targets, nll: losses }, [1]);
  }

  /** Losses of `targets` under the rows of the residual stream from `first` on, into losses[at...]. */
  submit(targets: readonly number[], first: number, at: number): void {
    const { gpu, runner } = this.state;
    gpu.write(this.targets, new Uint32Array(targets));
    gpu.write(this.params, NLL.pack({ vocabulary: this.vocabulary, out: at }));
    runner.submitHead(targets.length, first, [{ ...this.nll, workgroups: [targets.length] }]);
  }

  async read(count: number): Promise<Float64Array> {
    if (count === 0) return new Float64Array(0);
    return Float64Array.from(
      new Float32Array(await this.state.gpu.read(this.losses, 0, count * 4)),
    );
  }

  dispose(): void {
    for (const buffer of [this.targets, this.losses, this.params])
      this.state.gpu.ledger.destroy(buffer);
  }
}
