/**
 * Every weight type in every family, against PyTorch on what the `gguf` package makes of the same bytes. Pages
 * hold f32, so that only the order of sums differs. All families
 * with WINNOW_FULL=1, else one: tiny.test.ts has each with other types.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { ARCHITECTURES } from "../../../src/model/families/all.ts";
import { FAMILIES } from "../../reference/tiny-model/families.ts";
import { MATRIX_TYPES, tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";

const NAMES = ["llama", ...FAMILIES] as const;
const TOLERANCE = 1e-4;

// Each compiles some 40 kernels, half a minute of CPU on a software adapter.
const covered = process.env.WINNOW_FULL === "1" ? NAMES : (["qwen2"] as const);

test.each(covered)(
  "%s: every type, as a prompt and token by token",
  async (family) => {
    const { tokens, logits }: { tokens: number[]; logits: Record<string, number[]> } = JSON.parse(
      readFileSync(new URL(`../fixtures/tiny-types-${family}.json`, import.meta.url), "utf8"),
    );
    const source = new MemorySource(tinyModel(`types-${family}`), "tiny.gguf");
    const { tensors } = await parseGguf(source);
    const found = new Set([...tensors.values()].map(({ type }) => type));
    expect([...found].sort()).toEqual([...MATRIX_TYPES].sort());

    const cache = { budget: "full", kv: "f32" } as const;
    const engine = await InferenceEngine.load(sharedGpu, { source, name: family, cache });
    try {
      const worst = async (last: number, chunk?: number): Promise<number> => {
        const conversation = engine.conversation(`${last}`);
        const found = await conversation.logits(
          tokens.slice(0, last + 1),
          chunk === undefined ? {} : { chunk },
        );
        return logits[last]!.reduce((most, x, i) => Math.max(most, Math.abs(found[i]! - x)), 0);
      };
      const [prompt, decode] = [await worst(24), await worst(5, 1)];
      console.log(
        `${family}: prompt ${prompt.toExponential(1)}, decode ${decode.toExponential(1)}`,
      );
      expect(prompt).toBeLessThan(TOLERANCE);
      expect(decode).toBeLessThan(TOLERANCE);
    } finally {
      await engine.close();
    }
  },
  1_200_000,
);

test("no family is left out", () => {
  for (const name of Object.keys(ARCHITECTURES)) expect(NAMES).toContain(name);
});
