import {
  type CalibratedFilters,
  type CalibrationProgress,
  calibrate,
  DEFAULT_SAMPLES,
} from "../../../calibrate/calibrate.ts";
import { cutTexts, modelSource, type Piece } from "../../../calibrate/source/model-source.ts";
import { ownText, type Writer } from "../../../calibrate/source/own-text.ts";
import { writeCalibration } from "../../cache/write-filters.ts";
import type { Conversation } from "../../engine/chat/conversation.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import { WinnowError } from "../../errors.ts";
import { sha256Of } from "../../fetch/sha256.ts";
import { type CalibratableEngine, pacedEngine } from "./paced-engine.ts";

/** Sequences read of the texts: as many as the reference takes. */
export const DEFAULT_SEQUENCES = 16;
/** Queries per head where the model writes its own text, at a few tokens per second on slow machines. */
export const OWN_TEXT_SAMPLES = 1024;

export interface EngineCalibrationOptions {
  /** Left out: text that the model writes itself. */
  texts?: readonly string[];
  samples?: number;
  sequences?: number;
  seed?: number;
  agreement?: boolean;
  /** Default true. */
  covariance?: boolean;
  modelSha256: string;
  /** Awaited between two steps of any kind. */
  pause?: () => Promise<void>;
  onProgress?: (progress: EngineCalibrationProgress) => void;
  signal?: AbortSignal;
}

/** "writing": tokens of the model's own text; the rest as `calibrate` says. */
export type EngineCalibrationProgress =
  | CalibrationProgress
  | { readonly stage: "writing"; readonly loaded: number; readonly total: number };

export interface EngineCalibration extends CalibratedFilters {
  /** A calibration file. */
  readonly file: Uint8Array<ArrayBuffer>;
  readonly sequences: number;
  readonly tokens: number;
}

/**
 * Calibrates a loaded model, on texts or on what it writes itself. Conversations may go on meanwhile.
 * Throws invalid_argument (texts too short), aborted, out_of_memory.
 */
export async function calibrateEngine(
  given: CalibratableEngine,
  options: EngineCalibrationOptions,
): Promise<EngineCalibration> {
  const { pause } = options;
  const engine = pause ? pacedEngine(given, pause) : given;
  const { texts, sequences = DEFAULT_SEQUENCES, seed = 0, onProgress, signal } = options;
  const samples = options.samples ?? (texts ? DEFAULT_SAMPLES : OWN_TEXT_SAMPLES);
  const pieces = texts
    ? cutTexts(engine, texts, sequences)
    : await write(engine, samples, seed, onProgress, signal);
  const result = await calibrate(modelSource(engine, pieces), {
    samples,
    seed,
    agreement: options.agreement ?? false,
    covariance: options.covariance ?? true,
    ...(pause ? { pause } : {}),
    ...(onProgress ? { onProgress } : {}),
    ...(signal ? { signal } : {}),
  });
  const { filters: values, layers, kvHeads, headDim, statistics } = result;
  const read = [...new Set(pieces.map(({ text }) => text))];
  const file = writeCalibration({
    filters: {
      values,
      layers,
      kvHeads,
      headDim,
      samples,
      seed,
      modelSha256: options.modelSha256,
      modelName: engine.info().model.name,
      textsSha256: await Promise.all(read.map(sha256Of)),
    },
    statistics,
  });
  const tokens = pieces.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return { ...result, file, sequences: pieces.length, tokens };
}

async function write(
  engine: CalibratableEngine,
  tokens: number,
  seed: number,
  onProgress: EngineCalibrationOptions["onProgress"],
  signal: AbortSignal | undefined,
): Promise<Piece[]> {
  const conversation = engine.unnamedConversation();
  try {
    return await ownText(
      writerOf(engine, conversation),
      { tokens, length: Math.min(2048, engine.contextLength), seed },
      (loaded, total) => onProgress?.({ stage: "writing", loaded, total }),
      signal,
    );
  } finally {
    await conversation.reset();
  }
}

function writerOf(
  engine: CalibratableEngine,
  conversation: Pick<Conversation, "generate">,
): Writer {
  const { tokenizer } = engine;
  return {
    prompt: (text) => {
      try {
        const messages = [{ role: "user" as const, content: text }];
        return engine.template.encode(messages, tokenizer, { addGenerationPrompt: true });
      } catch (error) {
        // A base model has no chat template, and goes on from plain text.
        if (error instanceof WinnowError && error.code === "unsupported_model")
          return tokenizer.encode(text);
        throw error;
      }
    },
    write: (prompt, maxTokens, seed, signal) =>
      conversation.generate(prompt, {
        sampling: { ...GREEDY, temperature: 1, seed },
        maxTokens,
        ...(signal ? { signal } : {}),
      }),
    decode: (tokens) => tokenizer.decode([...tokens], { special: true }),
  };
}
