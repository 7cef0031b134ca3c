import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { PAGE_SLOTS, pageWords } from "../../../src/kernels/pages/cache-shape.ts";
import { DRAFT_ROWS } from "../../../src/model/draft-rows.ts";
import { type AskOptions, ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

let engine: InferenceEngine;
const prompt = someTokens(40, 1);

const fresh = (cache: CacheOptions): Promise<Conversation> => freshChat(engine, cache);

beforeAll(async () => {
  engine = await loadTinyEngine({ budget: "full" }, { speculative: "off" });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
  await engine.internals.state.runner.compiled({ drafts: true });
  await engine.internals.prepareGuesses();
});
afterAll(() => engine?.close());
afterEach(() => checkCache(engine));

/** Position -> key, value and score words, for every (layer, kv head). */
async function contents(chat: Conversation): Promise<Map<number, string>[]> {
  const { gpu, pool } = engine.internals.state;
  const { layers, kvHeads, headDim } = pool.shape;
  const sequence = chat.place.live;
  const tables = new Uint32Array(await gpu.read(pool.tables));
  const heads: Map<number, string>[] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const pages = new Uint32Array(await gpu.read(pool.slabs[layer]!));
    for (let g = 0; g < kvHeads; g += 1) {
      const at = pool.rowWord(sequence.lane, layer, g);
      const head = new Map<number, string>();
      for (let slot = 0; slot < tables[at]!; slot += 1) {
        const page = tables[at + 2 + Math.floor(slot / PAGE_SLOTS)]! * pageWords(pool.shape);
        const s = slot % PAGE_SLOTS;
        const scaled = pool.shape.storage === "q8";
        const vector = scaled ? headDim / 4 : headDim / 2;
        const key = pages.subarray(page + s * vector, page + (s + 1) * vector);
        const values = page + PAGE_SLOTS * vector;
        const value = pages.subarray(values + s * vector, values + (s + 1) * vector);
        const rest = page + 2 * PAGE_SLOTS * vector;
        const words = Array.from(
          { length: scaled ? 3 : 2 },
          (_, i) => pages[rest + i * PAGE_SLOTS + s]!,
        );
        const position = words.at(-2)!;
        head.set(position, `${slot}: ${key.join(" ")} | ${value.join(" ")} | ${words.join(" ")}`);
      }
      heads.push(head);
    }
  }
  return heads;
}

/** All that an answer leaves: what it said, and every word of the cache. */
async function outcome(cache: CacheOptions, options: AskOptions, turn = prompt) {
  const chat = await fresh(cache);
  const { answer } = await ask(chat, turn, options);
  return {
    answer,
    tokens: [...chat.tokens],
    usage: chat.usage(),
    cache: await contents(chat),
    again: (await ask(chat, [...turn, ...answer, 5, 6, 7], { maxTokens: 6 })).answer,
  };
}

/** Guesses that are right for as many tokens as `right` says, in turn, and wrong from there on. */
async function guessing<T>(
  answer: readonly number[],
  right: readonly number[],
  work: () => Promise<T>,
): Promise<{ result: T; steps: number }> {
  const core = engine.internals;
  const { runner } = core.state;
  const submit = runner.submitDraft.bind(runner);
  let taken = 0;
  let turn = 0;
  let steps = 0;
  Object.assign(core, {
    guesser: (tokens: readonly number[], speculative?: string) =>
      speculative !== "off" &&
      tokens.length > 0 && {
        push: () => {
          taken += 1;
        },
        timed: () => {},
        guess: (limit: number) => {
          const count = Math.min(limit, DRAFT_ROWS - 1, answer.length - taken);
          const good = right[turn % right.length]!;
          return answer
            .slice(taken, taken + Math.max(count, 0))
            .map((token, i) => (i < good ? token : (token % 200) + 17));
        },
      },
  });
  runner.submitDraft = (...args) => {
    turn += 1;
    steps += 1;
    submit(...args);
  };
  try {
    return { result: await work(), steps };
  } finally {
    Reflect.deleteProperty(runner, "submitDraft");
    Reflect.deleteProperty(core, "guesser");
  }
}

const WRONG = [3, 0, 2, 1, 0, 3, 1];
const HOT = { temperature: 2, seed: 5, repetitionPenalty: 1.3, frequencyPenalty: 0.2 };

test.each<[string, CacheOptions, AskOptions]>([
  ["greedy, uncompressed, over the ends of pages", { budget: "full" }, {}],
  ["greedy, evicting", { budget: 48, policy: "k-norm" }, {}],
  [
    "greedy, evicting among filters' scores, hardly a window",
    { budget: 34, window: 1, policy: "q-filters" },
    {},
  ],
  ["greedy, evicting by position", { budget: 40, policy: "streaming-llm", window: 32 }, {}],
  ["greedy, filling up in mid-answer", { budget: 55, policy: "random", window: 2, sinks: 0 }, {}],
  ["greedy, a layer kept whole", { budget: 40, policy: "k-norm", wholeLayers: 1 }, {}],
  ["sampled, with penalties, evicting", { budget: 48, policy: "k-norm" }, { sampling: HOT }],
  ["greedy, with penalties", { budget: 48 }, { sampling: { repetitionPenalty: 1.5 } }],
  ["nothing run ahead", { budget: 48 }, { ahead: false }],
])("guesses change nothing, right or wrong: %s", async (_name, cache, options) => {
  const asked = { maxTokens: 60, ...options };
  const plain = await outcome(cache, asked);
  expect(plain.answer).toHaveLength(60);
  for (const right of [[3], WRONG]) {
    const { result, steps } = await guessing(plain.answer, right, () => outcome(cache, asked));
    expect(result).toEqual(plain);
    expect(steps).toBeGreaterThan(right === WRONG ? 15 : 12);
    if (right[0] === 3 && right.length === 1) expect(steps).toBeLessThan(25);
  }
});

test("pages of bytes: scales are put back too", async () => {
  const plain = engine;
  engine = await loadTinyEngine({ budget: "full", kv: "q8" }, { speculative: "off" });
  try {
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    await engine.internals.state.runner.compiled({ drafts: true });
    await engine.internals.prepareGuesses();
    const cache = { budget: 48, policy: "k-norm" } as const;
    const asked = { maxTokens: 40 };
    const expected = await outcome(cache, asked);
    const { result, steps } = await guessing(expected.answer, WRONG, () => outcome(cache, asked));
    expect(result).toEqual(expected);
    expect(steps).toBeGreaterThan(10);
    checkCache(engine);
  } finally {
    await engine.close();
    engine = plain;
  }
});

test("scores that change do so between steps of several tokens; observed attention rules them out", async () => {
  const asked = { maxTokens: 40 };
  for (const policy of ["keydiff", "lag-kv", "h2o"] as const) {
    const cache = { budget: 48, policy };
    const plain = await outcome(cache, asked);
    for (const right of [[3], WRONG]) {
      const { result, steps } = await guessing(plain.answer, right, () => outcome(cache, asked));
      expect(result).toEqual(plain);
      expect(steps > 5).toBe(policy !== "h2o");
    }
  }
});

test.each([true, false])(
  "leaving after any token keeps what was taken, ahead %s",
  async (ahead) => {
    const cache = { budget: 48, policy: "k-norm" as const };
    const { answer } = await outcome(cache, { maxTokens: 30 });
    for (const leave of [1, 3, 4, 5, 6]) {
      const options: AskOptions = {
        maxTokens: 30,
        ahead,
        onToken: (_token, count) => count === leave,
      };
      const plain = await outcome(cache, options);
      for (const right of [[3], WRONG]) {
        const { result } = await guessing(answer, right, () => outcome(cache, options));
        // A token that was read before anything ran ahead is not in the cache yet.
        const seen = result.tokens.length;
        expect(plain.tokens.slice(0, seen)).toEqual(result.tokens);
        expect(seen).toBeGreaterThanOrEqual(prompt.length + leave - 1);
        if (seen === plain.tokens.length) expect(result.cache).toEqual(plain.cache);
        expect(result.again).toEqual(plain.again);
      }
    }
  },
);

test("the token that ends an answer ends it inside a step of several", async () => {
  const cache = { budget: 48, policy: "k-norm" as const };
  const { answer } = await outcome(cache, { maxTokens: 20 });
  const known = engine.tokenizer.endTokens;
  for (const at of [4, 5, 6, 7]) {
    const first = answer.indexOf(answer[at]!);
    Object.assign(engine.tokenizer, { endTokens: new Set([answer[at]]) });
    try {
      const { result } = await guessing(answer, [3], async () => {
        const chat = await fresh(cache);
        const { answer: said, result } = await ask(chat, prompt, { maxTokens: 20 });
        return { said, finish: result?.finish, tokens: [...chat.tokens] };
      });
      expect(result).toMatchObject({ said: answer.slice(0, first), finish: "stop" });
      const whole = [...prompt, ...answer];
      expect(result.tokens).toEqual(whole.slice(0, result.tokens.length));
      expect(result.tokens.length).toBeLessThanOrEqual(prompt.length + first + 1);
    } finally {
      Object.assign(engine.tokenizer, { endTokens: known });
    }
  }
});

test("a smaller budget in mid-answer waits for the step in flight", async () => {
  const run = async () => {
    const chat = await fresh({ budget: 64, policy: "k-norm", window: 8 });
    const pending: Promise<unknown>[] = [];
    const { answer } = await ask(chat, prompt, {
      maxTokens: 40,
      onToken: (_token, count) => {
        if (count % 10 === 5)
          pending.push(
            chat.configure({
              budget: count % 20 === 5 ? 32 : 64,
              policy: count > 20 ? "random" : "k-norm",
            }),
          );
        return undefined;
      },
    });
    await Promise.all(pending);
    checkCache(engine);
    const { kept } = await chat.retention();
    expect(kept.length).toBe(chat.usage().tokensSeen);
    expect(chat.tokens).toHaveLength(chat.usage().tokensSeen);
    expect(chat.tokens).toEqual([...prompt, ...answer].slice(0, chat.tokens.length));
    return answer;
  };
  const answer = await run();
  const { steps } = await guessing(answer, WRONG, run);
  expect(steps).toBeGreaterThan(8);
});

test("two conversations in turns: each takes back its own", async () => {
  const cache = { budget: 48, policy: "k-norm" as const };
  const plain = await outcome(cache, { maxTokens: 30 });
  const { result } = await guessing([...plain.answer], WRONG, async () => {
    const [one, two] = [await fresh(cache), await fresh(cache)];
    const first = ask(one, prompt, { maxTokens: 30 });
    const second = ask(two, prompt, { maxTokens: 30, onToken: (_t, count) => count === 13 });
    return [(await first).answer, (await second).answer, await contents(one)] as const;
  });
  expect(result[0]).toEqual(plain.answer);
  expect(result[1]).toEqual(plain.answer.slice(0, 13));
  expect(result[2]).toEqual(plain.cache);
});

test("by lookup: an answer that repeats itself takes fewer steps", async () => {
  const core = engine.internals;
  Object.assign(core.guessing!.costs, { ratio: () => 1.1 });
  const { runner } = core.state;
  const submit = runner.submitDraft.bind(runner);
  let steps = 0;
  runner.submitDraft = (...args) => {
    steps += 1;
    submit(...args);
  };
  try {
    for (const budget of [48, "full"] as const) {
      const options = { maxTokens: 200, sampling: { temperature: 0 } };
      const plain = await outcome({ budget, policy: "k-norm" }, options);
      expect(steps).toBe(0);
      const before = core.guesser;
      core.guesser = (tokens) => before.call(core, tokens, "lookup");
      const found = await outcome({ budget, policy: "k-norm" }, options);
      core.guesser = before;
      expect(found).toEqual(plain);
      expect(steps).toBeGreaterThan(5);
      steps = 0;
    }
  } finally {
    Reflect.deleteProperty(core.guessing!.costs, "ratio");
    Reflect.deleteProperty(core, "guesser");
    Reflect.deleteProperty(runner, "submitDraft");
  }
});
