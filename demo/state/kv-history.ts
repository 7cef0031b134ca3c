import type { CacheUsage } from "../../src/api/types.ts";

/** One point of the curve of KV bytes over tokens. */
export interface KvSample {
  tokens: number;
  bytes: number;
  uncompressed: number;
}

const MAX_SAMPLES = 240;

/** Appends a reading; a conversation that starts over starts the curve over; a long one is halved. */
export function thin(history: readonly KvSample[], usage: CacheUsage): readonly KvSample[] {
  const sample = {
    tokens: usage.tokensSeen,
    bytes: usage.bytes,
    uncompressed: usage.bytesUncompressed,
  };
  const last = history.at(-1);
  if (last === undefined || sample.tokens < last.tokens) return [sample];
  if (last.tokens === sample.tokens && last.bytes === sample.bytes) return history;
  const grown = [...history, sample];
  return grown.length <= MAX_SAMPLES
    ? grown
    : grown.filter((_, index) => index % 2 === 0 || index === grown.length - 1);
}
