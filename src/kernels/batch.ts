/**
 * Buffers that every kernel of a step shares.
 *
 * `rows` (storage): one vec4<u32> a row of the batch: token, position, lane, row in the prompt block (struct Row in
 * shaders/lib/paging.wgsl). `batch` (uniform): { rows: M, first: row of the input to start at, 0, 0 }.
 */
export const ROW_WORDS = 4;
export const BATCH_WORDS = 4;
