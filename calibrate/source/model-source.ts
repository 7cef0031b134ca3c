import { invalidArgument } from "../../src/errors.ts";
import type { QueryBatch, QuerySource } from "./query-source.ts";

/** The reference reads 2,048; attention over them would be half of the time on a software adapter. */
const SEQUENCE_TOKENS = 1280;

/** Documents that are read twice, and their tokens. */
const DOCUMENTS = 2;
const DOCUMENT_TOKENS = 1024;
/** Of shorter ones heads would say little. */
const LEAST_TOKENS = 64;

/** The part of an engine that calibration needs. */
export interface CalibrationModel {
  readonly contextLength: number;
  readonly shape: Pick<QuerySource, "layers" | "heads" | "kvHeads" | "headDim" | "frequencies">;
  readonly tokenizer: { encode(text: string): number[]; readonly prefix: readonly number[] };
  captureHeads(tokens: readonly number[], signal?: AbortSignal): AsyncIterable<QueryBatch>;
  /** [L][G][tokens] */
  rereadAttention(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array[][]>;
  /** [E, H D] */
  outputMatrix(layer: number): Promise<Float32Array>;
}

/** A sequence to calibrate on, and the text that it is part of. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly number[];
}

/**
 * Sequences of 1,280 tokens, the model's first token included: the beginning of each text that is long enough;
 * where those are too few, the next parts of them, then texts that are shorter.
 * @throws invalid_argument where no text has a token
 */
export function cutTexts(
  { tokenizer, contextLength }: CalibrationModel,
  texts: Iterable<string>,
  sequences: number,
): Piece[] {
  const { prefix } = tokenizer;
  const length = Math.min(SEQUENCE_TOKENS, contextLength) - prefix.length;
  const pieces: Piece[] = [];
  const long: Piece[] = [];
  const short: Piece[] = [];
  for (const text of texts) {
    if (pieces.length === sequences) return pieces;
    const tokens = tokenizer.encode(text);
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
  if (pieces.length === 0) throw invalidArgument("texts", "have no tokens");
  return pieces
    .slice(0, sequences)
    .map(({ text, tokens }) => ({ text, tokens: [...prefix, ...tokens] }));
}

/** The heads of a model as it reads the pieces one after the other. */
export function modelSource(model: CalibrationModel, pieces: readonly Piece[]): QuerySource {
  return {
    ...model.shape,
    ...rereadsOf(model, pieces),
    rows: pieces.reduce((sum, { tokens }) => sum + tokens.length, 0),
    outputMatrix: (layer) => model.outputMatrix(layer),
    async *batches(signal) {
      for (const { tokens } of pieces) yield* model.captureHeads(tokens, signal);
    },
  };
}

/** The beginnings of the longest pieces, as documents of one length. */
function rereadsOf(
  model: CalibrationModel,
  pieces: readonly Piece[],
): Pick<QuerySource, "rereads"> {
  const lengths = pieces.map(({ tokens }) => tokens.length);
  const room = Math.floor(model.contextLength / 2);
  const tokens = Math.min(DOCUMENT_TOKENS, room, Math.max(...lengths));
  if (tokens < LEAST_TOKENS) return {};
  const long = pieces.filter((piece) => piece.tokens.length >= tokens).slice(0, DOCUMENTS);
  return {
    rereads: {
      tokens,
      documents: long.length,
      async *attention(signal) {
        for (const piece of long)
          yield await model.rereadAttention(piece.tokens.slice(0, tokens), signal);
      },
    },
  };
}
