import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { ByteSource } from "../formats/byte-source.ts";

export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** Lower-case hex; the hash takes no more bytes afterwards. */
  digest(): string;
}

/** A streaming SHA-256: WebCrypto has none, and a model does not fit in one buffer. */
export function startSha256(): Sha256 {
  const hash = sha256.create();
  return { update: (bytes) => void hash.update(bytes), digest: () => bytesToHex(hash.digest()) };
}

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Lower-case hex SHA-256 of a whole source. */
export async function sha256OfSource(
  source: ByteSource,
  onProgress: (loaded: number, total: number) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  const hash = startSha256();
  for (let at = 0; at < source.size; ) {
    const length = Math.min(CHUNK_BYTES, source.size - at);
    hash.update(await source.read(at, length, signal));
    at += length;
    onProgress(at, source.size);
  }
  return hash.digest();
}
