/** What the file's table has of tokens, where it has one. Types alone. */
export interface TokenRows {
  /** Undefined where the rows of these tokens are in memory; else reads them, and is to be asked again then. */
  read(tokens: readonly number[]): Promise<unknown> | undefined;
  /** Uploads the rows of a step's tokens, which must be in memory. */
  write(tokens: readonly number[]): void;
  /** Uploads the rows of a prompt block to where other sequences' steps leave them. */
  block(tokens: readonly number[]): BlockRows;
}

export interface BlockRows {
  /** Encodes that rows [first, first + rows) of the block are those of the step, in layer `layer` or, undefined, in all. */
  encodeTake(encoder: GPUCommandEncoder, first: number, rows: number, layer?: number): void;
  /** Encodes that what the embedding has made of them, in all layers, is kept. */
  encodeKeep(encoder: GPUCommandEncoder, first: number, rows: number): void;
  dispose(): void;
}
