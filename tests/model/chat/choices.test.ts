import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { checkCompletion } from "../../../src/api/checks/validate-completion.ts";
import type { CheckedRequest } from "../../../src/api/checks/validate-request.ts";
import { seedOf } from "../../../src/api/worker/choices.ts";
import { runRequest } from "../../../src/api/worker/completion.ts";
import { ThoughtConstraint } from "../../../src/api/worker/thoughts/thought-constraint.ts";
import { constrain } from "../../../src/constraint/constrain.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { ask, GREEDY, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

let engine: InferenceEngine;
const prompt = someTokens(200, 1);
let chats = 0;

beforeAll(async () => {
  engine = await loadTinyEngine({ budget: "full" });
  await engine.internals.state.runner.compiled({ drafts: true });
  await engine.internals.prepareGuesses();
});
afterAll(() => engine?.close());
afterEach(() => checkCache(engine));

/** The texts of a request's answers, in a chat of its own. */
async function texts(
  request: CheckedRequest,
  budget: number | "full" = "full",
  signal = new AbortController().signal,
) {
  chats += 1;
  const id = `choices ${chats}`;
  engine.internals.holders.clear();
  await engine.conversation(id).configure({ budget, policy: "streaming-llm" });
  const texts: string[] = [];
  const { usage } = await runRequest(engine, id, request, {
    onDeltas: (deltas) => {
      for (const { index, content = "" } of deltas) texts[index] = (texts[index] ?? "") + content;
    },
    signal,
  });
  return { texts, usage, chat: engine.conversation(id) };
}

const asking = (more: object): CheckedRequest => {
  const request = { prompt, temperature: 1, seed: 3, max_tokens: 20, ...more };
  const { checked, prompts } = checkCompletion(request);
  return { ...checked, prompt: prompts[0]! };
};

describe("several answers to one prompt", () => {
  test.each(["full", 96] as const)("are those of their seeds alone, budget %s", async (budget) => {
    const alone: string[] = [];
    let tokens = 0;
    for (let i = 0; i < 3; i += 1) {
      const one = await texts(asking({ seed: seedOf(3, i) }), budget);
      alone.push(one.texts[0]!);
      tokens += one.usage.completion_tokens;
    }
    expect(new Set(alone).size).toBe(3);
    const together = await texts(asking({ n: 3 }), budget);
    expect(together.texts).toEqual(alone);
    expect(together.usage).toMatchObject({ prompt_tokens: 200, completion_tokens: tokens });
  });

  test("read the prompt once, share its pages, and give back what was theirs", async () => {
    const one = await texts(asking({}));
    const { kv } = engine.memory();
    const four = await texts(asking({ n: 4 }));
    expect(four.chat.usage().bytes).toBe(one.chat.usage().bytes);
    expect(engine.memory().kv).toBeLessThanOrEqual(kv);
    // The chat goes on with the first answer.
    expect(four.chat.tokens.slice(0, 200)).toEqual(prompt);
    const next = [...four.chat.tokens, 5, 6, 7];
    const { result } = await ask(four.chat, next, { maxTokens: 2 });
    expect(result?.cachedTokens).toBe(next.length - 3);
  });

  test("end together where the request is aborted, and nothing stays of the copies", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 60);
    const asked = texts(asking({ n: 4, max_tokens: 400 }), "full", controller.signal);
    await expect(asked).rejects.toMatchObject({ code: "aborted" });
    const { texts: after } = await texts(asking({}));
    expect(after[0]).not.toBe("");
  });
});

describe("thoughts", () => {
  const markers = { open: "<think>", close: "</think>" };
  const held = (budget: number | undefined) =>
    ThoughtConstraint.create(engine.tokenizer, markers, true, {
      budget,
      inner: constrain(engine.tokenizer, { type: "regex", pattern: "[0-9]{4}" }),
    });

  test.each([
    ["at their budget", 9, 80],
    ["while an answer fits into max_tokens", undefined, 30],
  ])(
    "are closed %s, and a format follows, whatever way steps are run",
    async (_when, budget, maxTokens) => {
      const answers = [];
      for (const [ahead, speculative] of [
        [true, "off"],
        [false, "off"],
        [true, "lookup"],
      ] as const) {
        const { answer, result } = await ask(freshChat(engine), prompt, {
          maxTokens,
          sampling: { temperature: 1, seed: 4 },
          constraint: held(budget),
          ahead,
          speculative,
        });
        expect(result?.finish).toBe("stop");
        answers.push(engine.tokenizer.decode(answer));
      }
      expect(answers[0]).toMatch(/^[\s\S]*\n<\/think>\n\n\d{4}$/);
      expect(answers).toEqual([answers[0], answers[0], answers[0]]);
    },
  );

  test.each(["full", 96] as const)(
    "that a template takes out again leave the cache right, budget %s",
    async (budget) => {
      const settings = { budget, policy: "streaming-llm" } as const;
      const chat = await freshChat(engine, settings);
      const { answer } = await ask(chat, prompt, { maxTokens: 30, sampling: GREEDY });
      // The template shows the end of the answer alone.
      const next = [...prompt, ...answer.slice(20), ...someTokens(9, 7)];
      const again = await ask(chat, next, { maxTokens: 12 });
      expect(again.result?.cachedTokens).toBeGreaterThanOrEqual(prompt.length);
      const fresh = await freshChat(engine, settings);
      await ask(fresh, prompt, { maxTokens: 1, ahead: false });
      const expected = await ask(fresh, next, { maxTokens: 12 });
      expect(again.answer).toEqual(expected.answer);
    },
  );
});
