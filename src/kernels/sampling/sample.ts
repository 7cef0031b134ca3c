import code from "../../../shaders/sampling/sample.wgsl";
import penalties from "../../../shaders/sampling/sample_penalties.wgsl";
import { assume, invalidArgument, loadLater } from "../../errors.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, type Kernel, wgslConstants } from "../../gpu/kernel.ts";
import { OnDemand } from "../../gpu/on-demand.ts";
import { shaderStruct } from "../../gpu/shader-struct.ts";
import type { MaskLogits } from "./mask-logits.ts";
import { SAMPLING_OFF, type SamplingParameters } from "./sampling-parameters.ts";

/** Further below the top logit than any token with a probability above 2^-44. */
const NO_MIN_P = 1000;

/** The `sampling` uniform. */
const SAMPLING = shaderStruct<
  | "temperature"
  | "top_p"
  | "min_p_distance"
  | "repetition"
  | "frequency"
  | "presence"
  | "top_k"
  | "seed_low"
  | "seed_high"
  | "logits_row"
  | "row"
>(penalties, "Sampling");

/** Bit of a token's count that says it is in the prompt or the answer; the low 16 bits count the answer. */
export const SEEN = 0x80000000;

/** Entries of the ring of sampled tokens; entry s % RING holds step s. */
export const SAMPLED_RING = 64;
/** Words of the header of `sampled`: { steps done, cutoff, 0, 0 }: the last step kept logits down to
 * cutoff / 2^22 below the top one (after temperature). */
export const SAMPLED_HEADER_WORDS = 4;
/** Words of a ring entry: { token, step, position that the token will run at, state of the logits }. */
export const SAMPLED_ENTRY_WORDS = 4;
/** State of the logits that a token was drawn from: numbers, some that are none, nothing to draw from. */
export const LOGITS = { numbers: 0, someAreNone: 1, useless: 2 } as const;
/** Size of the `sampled` buffer; zero it to start again at step 0. */
export const SAMPLED_BYTES = 4 * (SAMPLED_HEADER_WORDS + SAMPLED_RING * SAMPLED_ENTRY_WORDS);

/** Logits a workgroup of the first kernel takes: 8 per thread. */
const BLOCK = 2048;
/** The masses of all tokens together must stay below 2^64 (`mass` in shaders/sampling/sample.wgsl). */
const MAX_VOCABULARY = 2 ** 20 - 1;
/** Bits per digit and invocations of the second kernel. */
const DIGITS = { cpu: { DIGIT: 7, THREADS: 64 }, gpu: { DIGIT: 9, THREADS: 256 } } as const;

export interface SampleBuffers {
  /** Uniform of `samplingWords`, written once a request. */
  sampling: BufferBinding;
  /** f32 [rows, V]. */
  logits: BufferBinding;
  /** u32 [V]: see SEEN and `promptCounts`; updated. */
  counts: BufferBinding;
  /** The batch's rows (struct Row): the token is set and the position incremented. */
  rows: BufferBinding;
  /** Scratch of `scratchBytes`, shared by all. */
  scratch: BufferBinding;
  /** SAMPLED_BYTES: step counter and ring. */
  sampled: BufferBinding;
}

export interface Sample {
  readonly scratchBytes: number;
  /** Two dispatches, to be run in order. */
  dispatches(buffers: SampleBuffers): Dispatch[];
  /** Comes first where only some tokens may be drawn. */
  readonly masks: OnDemand<MaskLogits>;
}

/** Contents of the `sampling` uniform. Values out of range are internal: `checkRequest` explains ranges to users. */
export function samplingWords(parameters: SamplingParameters): Uint32Array<ArrayBuffer> {
  const {
    temperature,
    topK,
    topP,
    minP,
    repetitionPenalty,
    frequencyPenalty,
    presencePenalty,
    seed,
    logitsRow = 0,
    row = 0,
  } = { ...SAMPLING_OFF, ...parameters };
  const inRange =
    temperature >= 0 &&
    temperature < Infinity &&
    Number.isInteger(topK) &&
    topK >= 0 &&
    topK < 2 ** 31 &&
    topP >= 0 &&
    topP <= 1 &&
    minP >= 0 &&
    minP <= 1 &&
    repetitionPenalty > 0 &&
    repetitionPenalty < Infinity &&
    Number.isFinite(frequencyPenalty) &&
    Number.isFinite(presencePenalty) &&
    Number.isSafeInteger(seed) &&
    seed >= 0;
  assume(inRange, () => `sampling is out of range: ${JSON.stringify(parameters)}`);
  return SAMPLING.pack({
    temperature: topP === 0 ? 0 : temperature,
    top_p: topP,
    // A distance below the top logit: exact on the CPU, where the GPU's logarithm is not.
    min_p_distance: minP > 0 ? -Math.log(minP) : NO_MIN_P,
    repetition: repetitionPenalty,
    frequency: frequencyPenalty,
    presence: presencePenalty,
    top_k: topK,
    seed_low: seed >>> 0,
    seed_high: Math.floor(seed / 2 ** 32),
    logits_row: logitsRow,
    row,
  });
}

/** The `counts` of a request whose prompt holds `tokens`. */
export function promptCounts(
  tokens: ArrayLike<number>,
  vocabulary: number,
): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(vocabulary);
  for (let i = 0; i < tokens.length; i++) counts[tokens[i]!] = SEEN;
  return counts;
}

/** The kernels of `createSample`, which are the same for every model: they can be compiled before one is read. */
export function compileSample(
  gpu: GpuContext,
  kind: AdapterKind = gpu.kind,
): Promise<[Kernel, Kernel]> {
  const constants = wgslConstants({ BLOCK, RING: SAMPLED_RING, ...DIGITS[kind] });
  return Promise.all([
    gpu.kernel({
      label: "sample_penalties",
      code: [constants, penalties],
    }),
    gpu.kernel({
      label: "sample",
      code: [constants, code],
    }),
  ]);
}

/**
 * Draws the next token on the GPU. In this order: repetition penalty, frequency and presence penalty,
 * temperature (0: the highest logit, lowest index on ties, ends here), top-k (ties with the k-th stay),
 * top-p over what top-k left (a token stays if the probability of all more likely ones is below p), min-p,
 * then the inverse of the cumulative distribution in index order at a hash of (seed, step): the order and
 * definitions of `transformers` logits processors.
 */
export async function createSample(
  gpu: GpuContext,
  { vocabulary }: { vocabulary: number },
  kind: AdapterKind = gpu.kind,
): Promise<Sample> {
  if (!(vocabulary >= 1 && vocabulary <= MAX_VOCABULARY))
    throw invalidArgument(
      "vocabulary",
      `${vocabulary} tokens, sampling takes 1 to ${MAX_VOCABULARY}`,
    );
  const blocks = Math.ceil(vocabulary / BLOCK);
  const [first, second] = await compileSample(gpu, kind);
  return {
    scratchBytes: 4 * (vocabulary + 2 * 256 * blocks),
    masks: new OnDemand("the mask of tokens", async () =>
      (await loadLater("masks", () => import("./mask-logits.ts"))).createMaskLogits(gpu, {
        vocabulary,
      }),
    ),
    dispatches: ({ sampling, logits, counts: countsBinding, rows, scratch, sampled }) => {
      const whole = "buffer" in countsBinding ? countsBinding : { buffer: countsBinding };
      const counts = { ...whole, size: 4 * vocabulary }; // the shaders take V from its size
      return [
        first.dispatch({ sampling, logits, counts, scratch }, [blocks]),
        second.dispatch({ sampling, scratch, counts, rows, sampled }, [1]),
      ];
    },
  };
}
