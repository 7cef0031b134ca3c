import { expect } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";

/** The tiny models with state layers, four each, and the words of such a layer: two rows of E; three rows and S in six heads. */
export const STATE_MODELS = [
  { name: "lfm2", words: 2 * 76 },
  { name: "qwen35", words: 6 * 20 * (3 * 3 + 20) },
] as const;
export type StateModel = (typeof STATE_MODELS)[number];

/** Bytes of one state of a tiny model. */
export const stateBytesOf = ({ words }: StateModel): number => 4 * words * 4;

/** A tiny model with state layers, or gemma4, without an end of answers. */
export async function loadStateEngine(
  { name }: { readonly name: StateModel["name"] | "gemma4" },
  cache: CacheOptions = { budget: "full", kv: "f32" },
): Promise<InferenceEngine> {
  const engine = await InferenceEngine.load(sharedGpu, {
    source: new MemorySource(tinyModel(name), "tiny.gguf"),
    name: "tiny",
    cache,
    speculative: "off",
  });
  // What WebGPU refuses does nothing, silently.
  engine.internals.state.gpu.device.addEventListener("uncapturederror", ({ error }) => {
    throw new Error(`WebGPU: ${error.message}`);
  });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
  return engine;
}

/** The words of a chat's present state, layer by layer. */
export async function stateOf(chat: Conversation): Promise<Float32Array> {
  const words = await chat.place.live.states?.read();
  return new Float32Array(words!.buffer);
}

/** The largest difference of two states. */
export function apart(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
