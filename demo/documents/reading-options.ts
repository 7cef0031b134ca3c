export interface ReadingOptions {
  signal?: AbortSignal;
  /** Parts that are read, of all parts: pages of a PDF. */
  onProgress?: (read: number, total: number) => void;
}
