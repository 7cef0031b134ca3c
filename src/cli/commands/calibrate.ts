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
      textsSha256: await Promise.all(texts.map(sha256OfText)),
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

/** Sequences of 2,048 tokens: the first of every text, then the second of every text, and so on. */
function cutTexts(
  engine: InferenceEngine,
  texts: readonly string[],
  sequences: number,
): number[][] {
  const length = Math.min(SEQUENCE_TOKENS, engine.contextLength);
  const tokens = texts.map((text) => engine.tokenizer.encode(text));
  const pieces: number[][] = [];
  for (let start = 0; pieces.length < sequences; start += length) {
    const round = tokens.filter((text) => text.length > start);
    if (round.length === 0) break;
    for (const text of round) {
      const piece = text.slice(start, start + length);
      // A short rest at the end of a long text would only add early positions.
      if (start === 0 || piece.length === length) pieces.push(piece);
      if (pieces.length === sequences) break;
    }
  }
  if (pieces.every((piece) => piece.length === 0)) throw invalidArgument("--text", "has no tokens");
  return pieces.filter((piece) => piece.length > 0);
}

function engineQueries(engine: InferenceEngine, pieces: readonly number[][]): QuerySource {
  const { layers, heads, kvHeads, headDim } = engine.shape;
  return {
    layers,
    heads,
    kvHeads,
    headDim,
    rows: pieces.reduce((sum, piece) => sum + piece.length, 0),
    async *batches(signal) {
      for (const piece of pieces) {
        const captured: QueryBatch[] = [];
        await engine.captureQueries(
          piece,
          (layer, rows, queries) => captured.push({ layer, rows, queries }),
          signal,
        );
        yield* captured;
      }
    },
  };
}
