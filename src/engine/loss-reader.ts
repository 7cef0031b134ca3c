import { LOGIT_ROWS } from "../model/buffers.ts";
import type { DeviceState } from "./state.ts";

/** Collects losses on the GPU and reads them back once. */
export class LossReader {
  private readonly state: DeviceState;
  private readonly vocabulary: number;
  private readonly targets: GPUBuffer;
  private readonly losses: GPUBuffer;
  private readonly params: GPUBuffer;
  private readonly bindings: GPUBindGroup;

  constructor(state: DeviceState, vocabulary: number, tokens: number) {
    this.state = state;
    this.vocabulary = vocabulary;
    const { gpu, nll, runner } = state;
    this.targets = gpu.ledger.storage("staging", "targets", LOGIT_ROWS * 4);
    this.losses = gpu.ledger.storage("staging", "losses", tokens * 4);
    this.params = gpu.ledger.uniform("nll", new Uint32Array([vocabulary, 0, 0, 0]));
    this.bindings = nll.bind(
      this.params,
      runner.transformer.buffers.logits,
      this.targets,
      this.losses,
    );
  }

  /** Losses of `targets` under the rows of the residual stream from `first` on, into losses[at...]. */
  submit(targets: readonly number[], first: number, at: number): void {
    const { gpu, nll, runner } = this.state;
    gpu.write(this.targets, new Uint32Array(targets));
    gpu.write(this.params, new Uint32Array([this.vocabulary, at, 0, 0]));
    runner.submitHead(targets.length, first, [
      { kernel: nll, bindings: this.bindings, workgroups: [targets.length] },
    ]);
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
