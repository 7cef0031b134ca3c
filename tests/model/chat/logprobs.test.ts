import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { constrain } from "../../../src/constraint/constrain.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { GenerateOptions } from "../../../src/engine/chat/generate-options.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import type { TokenScores } from "../../../src/kernels/sampling/token-scores.ts";
import { topLogits } from "../../reference/twins/sampling/top-logits.ts";
import { GREEDY, someTokens } from "../chat.ts";
import { readLogits } from "../parity/logits-parity.ts";
import { loadRealModel } from "../real-model.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

const HOT = { ...GREEDY, temperature: 1, seed: 5 };

/** The tokens of an answer, and what was told of each. */
async function scored(
  chat: Conversation,
  prompt: readonly number[],
  options: Partial<GenerateOptions> = {},
): Promise<{ tokens: number[]; told: TokenScores[] }> {
  const told: TokenScores[] = [];
  const tokens: number[] = [];
  for await (const token of chat.generate(prompt, {
    sampling: HOT,
    maxTokens: 24,
    topLogprobs: 5,
    ...options,
    onScores: (scores) => told.push(scores),
  }))
    tokens.push(token);
  expect(told).toHaveLength(
    options.topLogprobs === undefined && "topLogprobs" in options ? 0 : tokens.length,
  );
  return { tokens, told };
}

let engine: InferenceEngine;
const prompt = someTokens(40, 1);

describe("log probabilities of the tiny model", () => {
  beforeAll(async () => {
    engine = await loadTinyEngine({ budget: "full" });
    await engine.internals.state.runner.compiled({ drafts: true });
    await engine.internals.prepareGuesses();
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  /** What the logits of the whole prompt say at each place. */
  async function compare(
    tokens: readonly number[],
    told: readonly TokenScores[],
    places: number[],
  ) {
    for (const at of places) {
      const logits = await freshChat(engine).logits([...prompt, ...tokens.slice(0, at)]);
      const { sum, top } = topLogits(logits, 5);
      expect(told[at]!.top.map(({ token }) => token)).toEqual(top.map(({ token }) => token));
      told[at]!.top.forEach(({ logprob }, i) => {
        expect(logprob).toBeCloseTo(top[i]!.logit - sum, 3);
      });
      expect(told[at]!.logprob).toBeCloseTo(logits[tokens[at]!]! - sum, 3);
    }
  }

  test.each([true, false])("are the model's own, running ahead: %s", async (ahead) => {
    const { tokens, told } = await scored(freshChat(engine), prompt, { ahead, speculative: "off" });
    await compare(tokens, told, [0, 1, 10, 23]);
  });

  test("do not change what is drawn, nor with guesses, and are the same then", async () => {
    const turn = [...prompt, ...prompt, ...prompt.slice(0, 9)];
    const greedy = { sampling: GREEDY, maxTokens: 40 };
    const plain = await scored(freshChat(engine), turn, { ...greedy, topLogprobs: undefined });
    const alone = await scored(freshChat(engine), turn, { ...greedy, speculative: "off" });
    const guessed = await scored(freshChat(engine), turn, { ...greedy, speculative: "lookup" });
    expect(alone.tokens).toEqual(plain.tokens);
    expect(guessed).toEqual(alone);
  });

  test("are the model's own also where a format forces tokens, several in a step", async () => {
    const format = {
      type: "regex",
      pattern: "Once upon a time, (there|here) were [0-9]{2}",
    } as const;
    const held = () => constrain(engine.tokenizer, format);
    const { tokens, told } = await scored(freshChat(engine), prompt, {
      maxTokens: 80,
      constraint: held(),
    });
    expect(engine.tokenizer.decode(tokens)).toMatch(/^Once upon a time, t?here were \d\d$/);
    await compare(tokens, told, [0, 5, tokens.length - 1]);
  });

  test("go with penalties, temperature and biases, which they do not see", async () => {
    const sampling = { ...HOT, temperature: 3, repetitionPenalty: 1.5, frequencyPenalty: 1 };
    const logitBias = new Map([
      [17, 40],
      [20, -100],
      [33, 100],
    ]);
    const { tokens, told } = await scored(freshChat(engine), prompt, { sampling, logitBias });
    await compare(tokens, told, [0, 3, 23]);
    expect(tokens).toContain(33);
  });

  test("a bias bans and forces tokens; a format goes before it", async () => {
    const free = await scored(freshChat(engine), prompt, { sampling: GREEDY });
    const banned = new Map([[free.tokens[0]!, -100]]);
    const without = await scored(freshChat(engine), prompt, {
      sampling: GREEDY,
      logitBias: banned,
    });
    expect(without.tokens).not.toContain(free.tokens[0]);
    expect(without.tokens[0]).toBe(free.told[0]!.top[1]!.token);
    const forced = await scored(freshChat(engine), prompt, { logitBias: new Map([[77, 100]]) });
    expect(new Set(forced.tokens)).toEqual(new Set([77]));
    // All that the format allows is banned.
    const digits = engine.tokenizer.encode("0123456789");
    const { tokens } = await scored(freshChat(engine), prompt, {
      constraint: constrain(engine.tokenizer, { type: "regex", pattern: "[0-9]{3}" }),
      logitBias: new Map(digits.map((id) => [id, -100])),
    });
    expect(engine.tokenizer.decode(tokens)).toMatch(/^\d{3}$/);
  });

  test("a small bias shifts the odds by what it says", async () => {
    const [first] = (await scored(freshChat(engine), prompt, { maxTokens: 1 })).told;
    const [best, next] = first!.top;
    const gap = best!.logprob - next!.logprob;
    const drawn = async (bias: number) =>
      (
        await scored(freshChat(engine), prompt, {
          sampling: GREEDY,
          maxTokens: 1,
          logitBias: new Map([[next!.token, bias]]),
        })
      ).tokens[0];
    expect(await drawn(gap + 0.01)).toBe(next!.token);
    expect(await drawn(gap - 0.01)).toBe(best!.token);
  });

  test("cost nothing where they are not asked for: the same dispatches and buffers a token", async () => {
    const { runner } = engine.internals.state;
    const submit = runner.submitToken.bind(runner);
    const after: number[] = [];
    runner.submitToken = (...args) => {
      after.push(args[2]?.length ?? 0);
      submit(...args);
    };
    const count = async (options: Partial<GenerateOptions>): Promise<number> => {
      after.length = 0;
      await scored(freshChat(engine), prompt, { speculative: "off", maxTokens: 6, ...options });
      expect(new Set(after).size).toBe(1);
      return after[0]!;
    };
    try {
      // The head, then two for the draw.
      const head = runner.transformer.head(1).length;
      expect(await count({ topLogprobs: undefined })).toBe(head + 2);
      expect(await count({ topLogprobs: 0 })).toBe(head + 4);
      const logitBias = new Map([[5, 1]]);
      expect(await count({ topLogprobs: undefined, logitBias })).toBe(head + 3);
    } finally {
      runner.submitToken = submit;
    }
  });
});

test("log probabilities of the real model are PyTorch's log_softmax", async () => {
  const real = await loadRealModel({ budget: "full" });
  try {
    for (const { tokens, top, logsumexp } of readLogits("logits.json").prompts.slice(0, 3)) {
      const { told } = await scored(real.conversation("a"), tokens, {
        sampling: GREEDY,
        maxTokens: 1,
        topLogprobs: 20,
      });
      const found = new Map(told[0]!.top.map(({ token, logprob }) => [token, logprob]));
      const differences = top.ids
        .slice(0, 15)
        .map((id, i) => Math.abs(found.get(id)! - (top.logits[i]! - logsumexp)));
      expect(Math.max(...differences)).toBeLessThan(0.01);
    }
  } finally {
    real.close();
  }
});
