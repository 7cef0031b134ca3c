import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import {
  LOGITS,
  promptCounts,
  SAMPLED_BYTES,
  SAMPLED_ENTRY_WORDS,
  SAMPLED_HEADER_WORDS,
  SAMPLED_RING,
  type Sample,
  SEEN,
  samplingWords,
} from "../../kernels/sampling/sample.ts";
import type { SamplingParameters } from "../../kernels/sampling/sampling-parameters.ts";
import type { TokenScores } from "../../kernels/sampling/token-scores.ts";
import type { StepBuffers } from "../../model/buffers.ts";
import { DRAFT_ROWS, ROW_ALIGNMENT } from "../../model/draft-rows.ts";
import { noNumbers } from "../no-numbers.ts";
import type { DrawExtras, MakeExtras } from "./draw-extras.ts";
import type { TokenSource } from "./runner.ts";

/** Draws whose tokens are not read yet: one awaited, one ahead of it. */
const IN_FLIGHT = 2;
/** Bytes that are read back of a draw, without extras. */
const ENTRY_BYTES = SAMPLED_ENTRY_WORDS * 4;

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
  /** The host's copy of what the GPU has counted, up to the token read last. [V] */
  private readonly known: Uint32Array;
  private readonly counts: GPUBuffer;
  /** Dispatches that draw from logits row r. */
  private readonly drawFrom: (row: number) => readonly Dispatch[];
  private readonly draws: (readonly Dispatch[])[];
  /** u32 [DRAFT_ROWS, stride]: tokens that may be drawn from each row of the logits; there once some may not. */
  private readonly masks: { readonly buffer: GPUBuffer; readonly stride: number } | undefined;
  private draftReadback: GPUBuffer | undefined;
  /** What the request wants around each draw. */
  private readonly extras: DrawExtras | undefined;
  /** Bytes that are read back of a draw. */
  private readonly entryBytes: number;
  /** What was asked for of the tokens that were read, in their order, until it is taken. */
  readonly scores: (TokenScores | undefined)[] = [];
  /** Whether some logits were no numbers: their tokens are never drawn. */
  someAreNone = false;
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
    /** Only what `allow` says is drawn; the kernel for that must have been made. */
    masked = false,
    makeExtras?: MakeExtras,
  ) {
    // Before anything is allocated, that nobody would free: throws where they are out of range.
    samplingWords(parameters);
    this.gpu = gpu;
    const { ledger } = gpu;
    const counts = ledger.storage("activations", "token counts", vocabulary * 4);
    const seen = promptCounts(prompt, vocabulary);
    this.known = seen;
    this.counts = counts;
    for (const token of answer) this.count(token);
    gpu.write(counts, seen);
    const scratch = ledger.storage("activations", "sampling scratch", sample.scratchBytes);
    this.sampled = ledger.storage("activations", "sampled", SAMPLED_BYTES);
    gpu.write(this.sampled, new Uint32Array([answer.length, 0, 0, 0]));
    this.extras = makeExtras?.({ logits, sampled: this.sampled });
    this.entryBytes = ENTRY_BYTES + (this.extras?.bytes ?? 0);
    this.step = answer.length;
    this.readSteps = answer.length;
    this.readback = Array.from({ length: IN_FLIGHT }, () =>
      ledger.create(
        "staging",
        "sampled",
        this.entryBytes,
        GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      ),
    );
    this.buffers = [counts, scratch, this.sampled, ...this.readback];
    const stride = ROW_ALIGNMENT * Math.ceil(vocabulary / 8 / ROW_ALIGNMENT);
    if (masked) {
      const buffer = ledger.storage("activations", "token masks", DRAFT_ROWS * stride);
      this.masks = { buffer, stride };
      this.buffers.push(buffer);
    }
    const { sampled, masks, extras } = this;
    this.drawFrom = (logitsRow) => {
      const sampling = ledger.uniform("sampling", samplingWords({ ...parameters, logitsRow }));
      this.buffers.push(sampling);
      const draw = sample.dispatches({ sampling, logits, counts, rows, scratch, sampled });
      if (masks) {
        const { buffer } = masks;
        const mask = { buffer, offset: logitsRow * stride, size: 4 * Math.ceil(vocabulary / 32) };
        draw.unshift(sample.masks.value({ sampling, mask, logits }));
      }
      return extras ? [...extras.before(sampling), ...draw, ...extras.behind(sampling)] : draw;
    };
    this.dispatches = this.drawFrom(0);
    this.draws = [this.dispatches];
  }

  /** Says which tokens may be drawn from row `row` of the logits by what is submitted from here on: bits [ceil(V / 32)]. */
  allow(row: number, mask: Uint32Array<ArrayBuffer>): void {
    const { buffer, stride } = this.masks!;
    this.gpu.write(buffer, mask, row * stride);
  }

  /** Dispatches that draw a token from each of the first `rows` rows of the logits, in turn. */
  draft(rows: number): Dispatch[] {
    while (this.draws.length < rows) this.draws.push(this.drawFrom(this.draws.length));
    return this.draws.slice(0, rows).flat();
  }

  /** Encodes the copies of the `rows` tokens drawn in this command buffer. */
  copyDraft(encoder: GPUCommandEncoder, rows: number): void {
    if (!this.draftReadback) {
      const { MAP_READ, COPY_DST } = GPUBufferUsage;
      const size = DRAFT_ROWS * this.entryBytes;
      this.draftReadback = this.gpu.ledger.create("staging", "draft", size, MAP_READ | COPY_DST);
      this.buffers.push(this.draftReadback);
    }
    for (let row = 0; row < rows; row += 1) {
      this.copyEntry(encoder, row, this.draftReadback, row * this.entryBytes);
      this.step += 1;
    }
  }

  /**
   * The tokens of a draft's `rows` draws, of which only those up to the first one that `guesses` did not foresee
   * count: the others were drawn after a wrong token, and are taken back.
   */
  async draftTokens(rows: number, guesses: readonly number[]): Promise<number[]> {
    const readback = this.draftReadback!;
    await this.gpu.map(readback);
    const words = new Uint32Array(readback.getMappedRange().slice(0));
    readback.unmap();
    const size = this.entryBytes / 4;
    const entry = (row: number) => words.subarray(row * size, (row + 1) * size);
    const drawn = Array.from({ length: rows }, (_, row) => entry(row)[0]!);
    let right = 1;
    while (right < rows && drawn[right - 1] === guesses[right - 1]) right += 1;
    for (let row = 0; row < right; row += 1) this.look(entry(row));
    for (const token of drawn.slice(0, right)) this.count(token);
    this.readSteps += right;
    this.step = this.readSteps;
    if (right < rows) {
      this.gpu.write(this.sampled, new Uint32Array([this.step]));
      for (const token of drawn.slice(right))
        this.gpu.write(this.counts, this.known.subarray(token, token + 1), token * 4);
    }
    return drawn.slice(0, right);
  }

  /** The token drawn last, for a step that runs before it is read. */
  get lastDrawn(): TokenSource {
    return { buffer: this.sampled, offset: entryOffset(this.step - 1) };
  }

  /** Encodes the copy of the token drawn in this command buffer. */
  readonly copy = (encoder: GPUCommandEncoder): void => {
    const readback = this.readback[this.step % IN_FLIGHT]!;
    this.copyEntry(encoder, 0, readback, 0);
    this.step += 1;
  };

  /** Encodes the copy of what is read of the next draw, from row `row` of the logits. */
  private copyEntry(encoder: GPUCommandEncoder, row: number, to: GPUBuffer, offset: number): void {
    encoder.copyBufferToBuffer(this.sampled, entryOffset(this.step), to, offset, ENTRY_BYTES);
    this.extras?.copy(encoder, row, to, offset + ENTRY_BYTES);
  }

  /** The token of the earliest draw that was not read yet. */
  async token(): Promise<number> {
    const readback = this.readback[this.readSteps % IN_FLIGHT]!;
    await this.gpu.map(readback);
    const entry = new Uint32Array(readback.getMappedRange().slice(0));
    readback.unmap();
    this.readSteps += 1;
    this.look(entry);
    const token = entry[0]!;
    this.count(token);
    return token;
  }

  /** Throws bad_model_file where a token was drawn from logits that say nothing. */
  private look(entry: Uint32Array): void {
    const [token, , , state] = entry;
    if (this.extras)
      this.scores.push(this.extras.read(token!, entry.subarray(SAMPLED_ENTRY_WORDS)));
    if (state === LOGITS.someAreNone) this.someAreNone = true;
    if (state !== LOGITS.useless) return;
    throw noNumbers("no token can be drawn from them");
  }

  /** Counts a token as the shader counts it. */
  private count(token: number): void {
    const { known } = this;
    if ((known[token]! & 0xffff) !== 0xffff) known[token]! += 1;
    known[token]! |= SEEN;
  }

  dispose(): void {
    this.extras?.dispose();
    for (const buffer of this.buffers) this.gpu.ledger.destroy(buffer);
  }
}

/** Byte offset of step `step` in the ring of sampled tokens; the token is its first word. */
const entryOffset = (step: number): number =>
  4 * (SAMPLED_HEADER_WORDS + (step % SAMPLED_RING) * SAMPLED_ENTRY_WORDS);
