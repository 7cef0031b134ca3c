import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import {
  addedBias,
  type BiasLogits,
  biasWords,
  createBiasLogits,
} from "../../kernels/sampling/bias-logits.ts";
import type { TokenScores } from "../../kernels/sampling/token-scores.ts";
import {
  createTopLogits,
  readScores,
  SCORE_WORDS,
  TOP,
  type TopLogits,
} from "../../kernels/sampling/top-logits.ts";
import { DRAFT_ROWS } from "../../model/draft-rows.ts";
import type { DrawWishes } from "./draw-wishes.ts";

/** Makes the extras of one sampler around its buffers. */
export type MakeExtras = (buffers: { logits: GPUBuffer; sampled: GPUBuffer }) => DrawExtras;

/** The kernels for that. */
export interface ExtraKernels {
  readonly bias: BiasLogits | undefined;
  readonly top: TopLogits | undefined;
}

/** Compiles what is asked for. */
export async function extraKernels(
  gpu: GpuContext,
  vocabulary: number,
  { topLogprobs, logitBias }: DrawWishes,
): Promise<ExtraKernels> {
  const [bias, top] = await Promise.all([
    logitBias && createBiasLogits(gpu, { vocabulary }),
    topLogprobs === undefined ? undefined : createTopLogits(gpu, { vocabulary }),
  ]);
  return { bias, top };
}

/** What is run around each draw of one request, beside the draw itself, and read back with its token. */
export class DrawExtras {
  /** Bytes that are read back per token. */
  readonly bytes: number;
  private readonly wishes: DrawWishes;
  private readonly kernels: ExtraKernels;
  private readonly logits: GPUBuffer;
  private readonly sampled: GPUBuffer;
  private readonly buffers: GPUBuffer[];
  private readonly biases: GPUBuffer | undefined;
  private readonly scores: { readonly highest: GPUBuffer; readonly scores: GPUBuffer } | undefined;
  private readonly gpu: GpuContext;

  constructor(
    gpu: GpuContext,
    kernels: ExtraKernels,
    wishes: DrawWishes,
    { logits, sampled }: { logits: GPUBuffer; sampled: GPUBuffer },
  ) {
    const { ledger } = gpu;
    [this.gpu, this.wishes, this.kernels] = [gpu, wishes, kernels];
    [this.logits, this.sampled] = [logits, sampled];
    const { logitBias, topLogprobs: count } = wishes;
    if (logitBias) {
      this.biases = ledger.storage("activations", "logit biases", 8 * logitBias.size);
      gpu.write(this.biases, biasWords(logitBias));
    }
    if (count !== undefined)
      this.scores = {
        highest: ledger.uniform("highest logits", TOP.pack({ count })),
        scores: ledger.storage("activations", "token scores", DRAFT_ROWS * SCORE_WORDS * 4),
      };
    this.bytes = this.scores ? SCORE_WORDS * 4 : 0;
    this.buffers = [this.biases, this.scores?.highest, this.scores?.scores].filter(
      (buffer) => buffer !== undefined,
    );
  }

  /** What comes before a row is masked and drawn from; `sampling` names the row. */
  before(sampling: GPUBuffer): Dispatch[] {
    const { logits, sampled, scores, biases, kernels, wishes } = this;
    return [
      ...(scores ? [kernels.top!.before({ ...scores, sampling, logits, sampled })] : []),
      ...(biases ? [kernels.bias!({ sampling, biases, logits }, wishes.logitBias!.size)] : []),
    ];
  }

  behind(sampling: GPUBuffer): Dispatch[] {
    const { logits, sampled, scores, kernels } = this;
    return scores ? [kernels.top!.behind({ ...scores, sampling, logits, sampled })] : [];
  }

  /** Encodes the copy of what is to be read back of a row. */
  copy(encoder: GPUCommandEncoder, row: number, to: GPUBuffer, offset: number): void {
    const { scores, bytes } = this;
    if (scores) encoder.copyBufferToBuffer(scores.scores, row * bytes, to, offset, bytes);
  }

  /** What was read back beside a token. */
  read(token: number, words: Uint32Array): TokenScores | undefined {
    if (!this.scores) return undefined;
    const { logitBias, topLogprobs = 0 } = this.wishes;
    const { logprob, top } = readScores(words, addedBias(logitBias?.get(token) ?? 0));
    return { logprob, top: top.slice(0, topLogprobs) };
  }

  dispose(): void {
    for (const buffer of this.buffers) this.gpu.ledger.destroy(buffer);
  }
}
