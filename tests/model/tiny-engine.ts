import { readFileSync } from "node:fs";
import type { CacheOptions } from "../../src/cache/cache-options.ts";
import { writeFilters } from "../../src/cache/write-filters.ts";
import type { Conversation } from "../../src/engine/chat/conversation.ts";
import { InferenceEngine } from "../../src/engine/engine.ts";
import type { EngineLoadOptions } from "../../src/engine/load.ts";
import { MemorySource } from "../../src/formats/blob-source.ts";
import { TINY_MODELS, tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../shared-gpu.ts";

/** [L, G, D] of the tiny f32 model, as the PyTorch oracle had them. */
export function tinyFilters(): Float32Array {
  const file = readFileSync(new URL("fixtures/tiny-f32.json", import.meta.url), "utf8");
  const { eviction } = JSON.parse(file) as { eviction: { filters: number[][][] } };
  return Float32Array.from(eviction.filters.flat(2));
}

/** The tiny f32 model with filters, on the adapter at hand or on `gpu`. */
export async function loadTinyEngine(
  cache: CacheOptions = {},
  { gpu, ...options }: Partial<EngineLoadOptions> & { gpu?: GPU } = {},
): Promise<InferenceEngine> {
  const { layers, kvHeads, headDim } = TINY_MODELS.f32;
  const engine = await InferenceEngine.load(gpu ?? sharedGpu, {
    source: new MemorySource(tinyModel("f32"), "tiny.gguf"),
    name: "tiny",
    cache,
    filters: writeFilters({ values: tinyFilters(), layers, kvHeads, headDim }),
    ...options,
  });
  // What WebGPU refuses does nothing, silently.
  engine.internals.state.gpu.device.addEventListener("uncapturederror", ({ error }) => {
    throw new Error(`WebGPU: ${error.message}`);
  });
  return engine;
}

let chats = 0;

/** A conversation that nobody has used and that shares nothing with others. */
export function freshChat(engine: InferenceEngine): Conversation;
export function freshChat(engine: InferenceEngine, cache: CacheOptions): Promise<Conversation>;
export function freshChat(
  engine: InferenceEngine,
  cache?: CacheOptions,
): Conversation | Promise<Conversation> {
  chats += 1;
  engine.internals.holders.clear();
  const chat = engine.conversation(`chat ${chats}`);
  return cache ? chat.configure(cache).then(() => chat) : chat;
}

/** Bytes that `pages` pages and `heads` page-table rows of one conversation occupy. */
export const usedBytes = (pages: number, heads = 4, headDim = 16): number =>
  pages * 32 * (headDim * 4 + 8) + (pages + 2 * heads) * 4;

/**
 * Throws unless every page is free or owned as often as it is referenced, and the slabs, page tables and
 * lanes are all of the cache's bytes.
 */
export function checkCache(engine: InferenceEngine): void {
  const { pool } = engine.internals.state;
  pool.checkIntegrity();
  const states = pool.states?.slabs ?? [];
  const buffers = [...pool.slabs, pool.tables, pool.lanes, ...states];
  const bytes = buffers.reduce((sum, { size }) => sum + size, 0);
  if (bytes !== engine.memory().kv)
    throw new Error(`the cache's buffers have ${bytes} bytes, memory() says ${engine.memory().kv}`);
}
