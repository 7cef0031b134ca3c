/**
 * Buffers that every kernel of a step shares.
 *
 * `rows` (storage): one vec4<u32> a row of the batch: token, position, lane, row in the prompt block (struct Row in
 * shaders/lib/batch.wgsl). `batch` (uniform): { rows: M, first: row of the input to start at, 0, 0 }.
 */
export const ROW_WORDS = 4;
export const BATCH_WORDS = 4;

/** Rows of consecutive tokens of one lane, the first of them at position `start` and row 0 of its block. */
export const rowWords = (
  tokens: readonly number[],
  start: number,
  lane: number,
): Uint32Array<ArrayBuffer> =>
  Uint32Array.from(tokens.flatMap((token, i) => [token, start + i, lane, i]));
