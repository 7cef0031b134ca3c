import { calibrate, DEFAULT_SAMPLES } from "../../../calibrate/calibrate.ts";
import type { QueryBatch, QuerySource } from "../../../calibrate/query-source.ts";
import { writeFilters } from "../../cache/filters-file.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import { invalidArgument } from "../../errors.ts";
import { sha256OfText } from "../../formats/sha256.ts";
import type { Command } from "../command.ts";
import { list, required, wholeNumber } from "../flags.ts";

interface Input {
  texts: string[];
  samples: number;
  sequences: number;
  out: string;
}

/** As in the reference: positions up to here are calibrated on. */
const SEQUENCE_TOKENS = 2048;

export const calibrateCommand: Command<Input> = {
  name: "calibrate",
  summary: "make the Q-Filters of a model from texts",
  usage: `--text FILE... [--samples ${DEFAULT_SAMPLES}] [--sequences 16] --out F.safetensors`,
  flags: { text: "string", samples: "string", sequences: "string", out: "string" },
  listFlag: "text",
  // Nothing is evicted while queries are captured, so no policy is missed.
  cacheDefaults: { policy: "full" },
  read: async (flags, files) => {
    const out = required(flags, "out");
    const samples = wholeNumber(flags, "samples", { min: 1, fallback: DEFAULT_SAMPLES });
    const sequences = wholeNumber(flags, "sequences", { min: 1, max: 100_000, fallback: 16 });
    const texts: string[] = [];
    for (const path of list(flags, "text")) texts.push(await files.readText("text", path));
    return { texts, samples, sequences, out };
  },
  async run({ texts, samples, sequences, out }, { engine, modelSha256, report }) {
    const pieces = cutTexts(engine, texts, sequences);
    const { filters, layers, kvHeads, headDim, explained } = await calibrate(
      engineQueries(engine, pieces),
      { samples, onProgress: ({ stage, loaded, total }) => report(stage, loaded, total) },
    );
    const file = writeFilters({
      values: filters,
      layers,
      kvHeads,
      headDim,
      samples,
      modelSha256,
      textsSha256: await Promise.all(
        [...new Set(pieces.map(({ text }) => text))].map(sha256OfText),
      ),
    });
    const mean = explained.flat().reduce((sum, part) => sum + part, 0) / (layers * kvHeads);
    return {
      json: {
        layers,
        kv_heads: kvHeads,
        head_dim: headDim,
        explained,
        sequences: pieces.length,
        adapter: engine.info().adapter,
      },
      text: `${out}: ${layers} layers x ${kvHeads} heads x ${headDim}, ${(100 * mean).toFixed(1)} % of the queries explained`,
      files: { [out]: file },
    };
  },
};

interface Piece {
  text: string;
  tokens: number[];
}

/**
 * Sequences of 2,048 tokens, a first token of the model's included, as in the reference: the beginning of each text that is long enough;
 * where those are too few, the next parts of them, then texts that are shorter.
 */
function cutTexts(engine: InferenceEngine, texts: readonly string[], sequences: number): Piece[] {
  const length = Math.min(SEQUENCE_TOKENS, engine.contextLength) - engine.tokenizer.prefix.length;
  const pieces: Piece[] = [];
  const long: Piece[] = [];
  const short: Piece[] = [];
  for (const text of texts) {
    if (pieces.length === sequences) return pieces;
    const tokens = engine.tokenizer.encode(text);
    if (tokens.length < length) short.push({ text, tokens });
    else {
      long.push({ text, tokens });
      pieces.push({ text, tokens: tokens.slice(0, length) });
    }
  }
  const longest = long.reduce((most, { tokens }) => Math.max(most, tokens.length), 0);
  for (let start = length; start + length <= longest; start += length) {
    for (const { text, tokens } of long) {
      if (start + length <= tokens.length)
        pieces.push({ text, tokens: tokens.slice(start, start + length) });
    }
  }
  pieces.push(...short.filter(({ tokens }) => tokens.length > 0));
  if (pieces.length === 0) throw invalidArgument("--text", "has no tokens");
  return pieces.slice(0, sequences);
}

function engineQueries(engine: InferenceEngine, pieces: readonly Piece[]): QuerySource {
  const { layers, heads, kvHeads, headDim } = engine.shape;
  const { prefix } = engine.tokenizer;
  return {
    layers,
    heads,
    kvHeads,
    headDim,
    rows: pieces.reduce((sum, { tokens }) => sum + prefix.length + tokens.length, 0),
    async *batches(signal) {
      for (const { tokens } of pieces) {
        const captured: QueryBatch[] = [];
        await engine.captureQueries(
          [...prefix, ...tokens],
          (layer, rows, queries) => captured.push({ layer, rows, queries }),
          signal,
        );
        yield* captured;
      }
    },
  };
}
