import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { GREEDY } from "../chat.ts";
import { loadRealModel } from "../real-model.ts";
import { describeParity, readLogits } from "./logits-parity.ts";

const CLEAR = 0.1;

describeParity("the real model's logits against PyTorch", {
  fixture: "logits.json",
  load: () => loadRealModel({ budget: "full" }),
  tolerance: 0.05,
  clear: CLEAR,
});

describe("an answer of the real model", () => {
  let engine: InferenceEngine;

  beforeAll(async () => {
    engine = await loadRealModel({ budget: "full" });
  });
  afterAll(() => engine?.close());

  test("is PyTorch's greedy tokens up to the first close call", async () => {
    const { tokens, greedy } = readLogits("logits.json").prompts[1]!;
    expect(Math.min(...greedy.margins)).toBeGreaterThan(CLEAR);
    const answer: number[] = [];
    for await (const token of engine.conversation("a").generate(tokens, {
      sampling: GREEDY,
      maxTokens: greedy.tokens.length,
    }))
      answer.push(token);
    expect(answer).toEqual(greedy.tokens);
  });
});
