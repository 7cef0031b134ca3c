import { expect, test } from "vitest";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";

/** Phi-3-mini-4k has a sliding window in every layer: there is nothing that a budget could govern. */
test("a model whose layers all have windows wants no calibration, and says nothing of one", async () => {
  const load = (name: "phi3-window" | "phi3") =>
    InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel(name), "tiny.gguf"),
      name,
      cache: { budget: 48, policy: "winnow" },
    });
  for (const [name, wants] of [
    ["phi3-window", false],
    ["phi3", true],
  ] as const) {
    const engine = await load(name);
    try {
      const chat = engine.conversation("a");
      const said = engine.info().notices.filter((text) => /calibrat/.test(text));
      expect([name, chat.wantsCalibration, said.length]).toEqual([name, wants, wants ? 1 : 0]);
      expect(await chat.nll([5, 6, 7, 8, 9], { chunk: 2 })).toHaveLength(4);
    } finally {
      await engine.close();
    }
  }
});
