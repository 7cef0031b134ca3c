/**
 * Random access to the bytes of a model, wherever they lie: a Blob, an OPFS file, a ranged URL, a
 * Node file, or a download still under way (a read then waits until its bytes have arrived).
 */
export interface ByteSource {
  /** For messages: a file name or URL. */
  readonly name: string;
  /** Total bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes at `offset`. Never returns fewer: a source that ends early throws
   * `bad_model_file` with the offset. The caller owns the returned array.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}
