/**
 * A checkpoint of transformers that llama.cpp's own converter made a GGUF of: its names, the layout of its tensors and
 * its vocabulary, against PyTorch on the checkpoint. tests/e2e/llama-cpp.test.ts has llama.cpp read the same file.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { footprint } from "../../../src/engine/memory/footprint.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { findTensors } from "../../../src/model/tensors.ts";
import { CONVERTED } from "../../reference/tiny-model/families.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask } from "../chat.ts";

interface Converted {
  text: string;
  prompt: number[];
  answer: string;
  tokens: number[];
  margins: number[];
}

const file = (name: string) => new URL(`../fixtures/converted-${name}`, import.meta.url);

test.each(CONVERTED)(
  "%s: 64 greedy tokens are PyTorch's, and the weights take what the header says",
  async (name) => {
    const fixture: Converted = JSON.parse(readFileSync(file(`${name}.json`), "utf8"));
    const engine = await InferenceEngine.load(sharedGpu, {
      source: new MemorySource(
        new Uint8Array(readFileSync(file(`${name}.gguf`))),
        "converted.gguf",
      ),
      name,
      cache: { budget: "full" },
    });
    try {
      expect(engine.info().model.architecture).toBe(name);
      const { tokenizer } = engine;
      expect(tokenizer.encode(fixture.text)).toEqual(fixture.prompt.slice(1));
      expect(Math.min(...fixture.margins)).toBeGreaterThan(0.05);
      const { config, model } = engine.internals;
      const tensors = findTensors(model.source, model.gguf, config);
      const settings = resolveCacheSettings({ budget: "full", policy: "full" });
      expect(footprint(tensors, config, settings).weights).toBe(engine.memory().weights);
      const chat = engine.conversation("a");
      const { answer } = await ask(chat, fixture.prompt, { maxTokens: fixture.tokens.length });
      expect(answer).toEqual(fixture.tokens);
      expect(tokenizer.decode(answer)).toBe(fixture.answer);
    } finally {
      await engine.close();
    }
  },
);
