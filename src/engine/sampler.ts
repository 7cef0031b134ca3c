import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import {
  promptCounts,
  SAMPLED_BYTES,
  SAMPLED_ENTRY_WORDS,
  SAMPLED_HEADER_WORDS,
  SAMPLED_RING,
  type Sample,
  type SamplingParameters,
  SEEN,
  samplingWords,
} from "../kernels/sample.ts";
import type { StepBuffers } from "../model/buffers.ts";

/**
 * The sampling state of one request on the GPU (parameters, token counts, step counter) and the read-back
 * of its tokens. Everything is allocated here, once a request; `dispose` frees it.
 */
export class Sampler {
  /** Dispatches that draw a token from logits row 0. */
  readonly dispatches: readonly Dispatch[];
  private readonly gpu: GpuContext;
  private readonly buffers: GPUBuffer[];
  private readonly sampled: GPUBuffer;
  private readonly readback: GPUBuffer;
  private step: number;

  constructor(
    gpu: GpuContext,
    sample: Sample,
    { logits, rows }: StepBuffers,
    parameters: SamplingParameters,
    prompt: readonly number[],
    /** Tokens drawn before, on a device that was lost: counts and random numbers go on from there. */
    answer: readonly number[],
    vocabulary: number,
  ) {
    this.gpu = gpu;
    const { ledger } = gpu;
    const words = samplingWords(parameters);
    const sampling = ledger.uniform("sampling", words);
    const counts = ledger.storage("activations", "token counts", vocabulary * 4);
    const seen = promptCounts(prompt, vocabulary);
    for (const token of answer) seen[token] = (seen[token] | SEEN) + 1;
    gpu.write(counts, seen);
    const scratch = ledger.storage("activations", "sampling scratch", sample.scratchBytes);
    this.sampled = ledger.storage("activations", "sampled", SAMPLED_BYTES);
    gpu.write(this.sampled, new Uint32Array([answer.length, 0, 0, 0]));
    this.step = answer.length;
    this.readback = ledger.create(
      "staging",
      "sampled",
      SAMPLED_ENTRY_WORDS * 4,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    );
    this.buffers = [sampling, counts, scratch, this.sampled, this.readback];
    this.dispatches = sample.dispatches({
      sampling,
      logits,
      counts,
      rows,
      scratch,
      sampled: this.sampled,
    });
  }

  /** Encodes the copy of the token drawn in this command buffer. */
  readonly copy = (encoder: GPUCommandEncoder): void => {
    const entry = SAMPLED_HEADER_WORDS + (this.step % SAMPLED_RING) * SAMPLED_ENTRY_WORDS;
    encoder.copyBufferToBuffer(this.sampled, entry * 4, this.readback, 0, SAMPLED_ENTRY_WORDS * 4);
    this.step += 1;
  };

  /** The token whose copy was submitted last. */
  async token(): Promise<number> {
    await this.readback.mapAsync(GPUMapMode.READ);
    const [token] = new Uint32Array(this.readback.getMappedRange());
    this.readback.unmap();
    return token;
  }

  dispose(): void {
    for (const buffer of this.buffers) this.gpu.ledger.destroy(buffer);
  }
}
