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
import type { TokenSource } from "./runner.ts";

/** Draws whose tokens are not read yet: one awaited, one ahead of it. */
const IN_FLIGHT = 2;

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
  private readonly readback: readonly GPUBuffer[];
  /** Draws submitted, and read. */
  private step: number;
  private readSteps: number;

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
    this.readSteps = answer.length;
    this.readback = Array.from({ length: IN_FLIGHT }, () =>
      ledger.create(
        "staging",
        "sampled",
        SAMPLED_ENTRY_WORDS * 4,
        GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      ),
    );
    this.buffers = [sampling, counts, scratch, this.sampled, ...this.readback];
    this.dispatches = sample.dispatches({
      sampling,
      logits,
      counts,
      rows,
      scratch,
      sampled: this.sampled,
    });
  }

  /** The token drawn last, for a step that runs before it is read. */
  get lastDrawn(): TokenSource {
    return { buffer: this.sampled, offset: entryOffset(this.step - 1) };
  }

  /** Encodes the copy of the token drawn in this command buffer. */
  readonly copy = (encoder: GPUCommandEncoder): void => {
    const readback = this.readback[this.step % IN_FLIGHT];
    encoder.copyBufferToBuffer(
      this.sampled,
      entryOffset(this.step),
      readback,
      0,
      SAMPLED_ENTRY_WORDS * 4,
    );
    this.step += 1;
  };

  /** The token of the earliest draw that was not read yet. */
  async token(): Promise<number> {
    const readback = this.readback[this.readSteps % IN_FLIGHT];
    await readback.mapAsync(GPUMapMode.READ);
    const [token] = new Uint32Array(readback.getMappedRange());
    readback.unmap();
    this.readSteps += 1;
    return token;
  }

  dispose(): void {
    for (const buffer of this.buffers) this.gpu.ledger.destroy(buffer);
  }
}

/** Byte offset of step `step` in the ring of sampled tokens; the token is its first word. */
const entryOffset = (step: number): number =>
  4 * (SAMPLED_HEADER_WORDS + (step % SAMPLED_RING) * SAMPLED_ENTRY_WORDS);
