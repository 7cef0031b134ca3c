import { createSHA256 } from "hash-wasm";
import type { ByteSource } from "./byte-source.ts";

export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** Lower-case hex; the hash takes no more bytes afterwards. */
  digest(): string;
}

/** A streaming SHA-256: WebCrypto has none, and a model does not fit in one buffer. */
export async function startSha256(): Promise<Sha256> {
  const hash = await createSHA256();
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Lower-case hex SHA-256 of a whole source. */
export async function sha256OfSource(
  source: ByteSource,
  onProgress: (loaded: number, total: number) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  const hash = await startSha256();
  for (let at = 0; at < source.size; ) {
    const length = Math.min(CHUNK_BYTES, source.size - at);
    hash.update(await source.read(at, length, signal));
    at += length;
    onProgress(at, source.size);
  }
  return hash.digest();
}

export async function sha256OfText(text: string): Promise<string> {
  const hash = await startSha256();
  hash.update(new TextEncoder().encode(text));
  return hash.digest();
}
