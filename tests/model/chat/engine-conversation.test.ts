import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { ask, GREEDY, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

const error = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("a conversation", () => {
  let engine: InferenceEngine;
  /** Its cache is uncompressed unless said otherwise; with nothing to share, it answers as it does alone. */
  const fresh = (): Conversation => freshChat(engine);
  const prompt = someTokens(40, 1);

  beforeAll(async () => {
    engine = await loadTinyEngine({ budget: "full" });
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  test("a second turn runs only what is new", async () => {
    const chat = fresh();
    const first = await ask(chat, prompt, { maxTokens: 10 });
    expect(first.result).toEqual({ finish: "length", cachedTokens: 0, promptTokens: 40 });
    expect(first.answer).toHaveLength(10);
    // The last token of an answer has not been run.
    expect(chat.tokens).toEqual([...prompt, ...first.answer.slice(0, -1)]);
    const ran: [number, number][] = [];
    const second = [...prompt, ...first.answer, ...someTokens(7, 2)];
    const { answer, result } = await ask(chat, second, {
      maxTokens: 10,
      onPrefill: (done, total) => ran.push([done, total]),
    });
    expect(result).toEqual({ finish: "length", cachedTokens: 49, promptTokens: 57 });
    expect(ran).toEqual([[8, 8]]);
    expect(await ask(fresh(), second, { maxTokens: 10 })).toMatchObject({ answer });
  });

  test.each([
    ["greedy, uncompressed", {}, { budget: "full" as const }, 12],
    [
      "sampled, with penalties, evicting",
      { temperature: 2, seed: 5, repetitionPenalty: 1.3 },
      {},
      40,
    ],
  ])(
    "a token run before it is known changes nothing: %s",
    async (_n, sampling, cache, maxTokens) => {
      const outcome = async (ahead: boolean) => {
        const chat = fresh();
        await chat.configure({ budget: 48, policy: "k-norm", ...cache });
        const { answer } = await ask(chat, prompt, { maxTokens, sampling, ahead });
        expect(answer).toHaveLength(maxTokens); // no end token, which alone would be run too
        const { kept } = await chat.retention();
        return { answer, kept, usage: chat.usage(), tokens: [...chat.tokens] };
      };
      expect(await outcome(true)).toEqual(await outcome(false));
    },
  );

  test("a prompt that is all cached goes on from the last row, also in a fork", async () => {
    const whole = (await ask(fresh(), prompt, { maxTokens: 12 })).answer;
    const chat = fresh();
    await ask(chat, prompt, { maxTokens: 12, onToken: (_, count) => count === 4 });
    const history = [...prompt, ...whole.slice(0, 4)];
    expect(chat.tokens).toEqual(history);
    const fork = chat.fork();
    await ask(fresh(), someTokens(30, 9), { maxTokens: 2 }); // other rows go through the device
    for (const one of [chat, fork]) {
      const { answer, result } = await ask(one, history, { maxTokens: 8 });
      expect(result?.cachedTokens).toBe(history.length);
      expect(answer).toEqual(whole.slice(4));
    }
    await fork.reset();
    // Measuring keeps no row: the last token is run anew.
    await chat.nll(history, { chunk: 128 });
    const { answer, result } = await ask(chat, history.slice(0, -1), { maxTokens: 1 });
    expect(result?.cachedTokens).toBe(history.length - 2);
    expect(answer).toEqual(whole.slice(3, 4));
  });

  test("a conversation that begins like another shares its pages until either writes to them", async () => {
    const system = someTokens(100, 80);
    const first = fresh();
    const questions = [1, 2, 3].map((n) => [...system, ...someTokens(20, 80 + n)]);
    await ask(first, questions[0]!, { maxTokens: 6 });
    const before = engine.memory().kv;
    const bytes = first.usage().bytes;
    const shared = [1, 2].map((n) => engine.conversation(`shared ${n}`));
    const answers: number[][] = [];
    for (const [i, chat] of shared.entries()) {
      const { answer, result } = await ask(chat, questions[i + 1]!, { maxTokens: 6 });
      expect(result?.cachedTokens).toBe(100);
      answers.push(answer);
      checkCache(engine);
    }
    // 3 of 4 pages a head are those of the first.
    expect(engine.memory().kv - before).toBeLessThan(1.5 * bytes);
    const turn = [...first.tokens, ...someTokens(3, 90)];
    const going = (await ask(first, turn, { maxTokens: 6 })).answer;
    await first.reset();
    checkCache(engine);
    for (const [i, chat] of shared.entries()) {
      expect(answers[i]).toEqual((await ask(fresh(), questions[i + 1]!, { maxTokens: 6 })).answer);
      const seen = chat.tokens.length;
      const more = [...chat.tokens, 5, 6, 7];
      const { answer, result } = await ask(chat, more, { maxTokens: 6 });
      expect(result?.cachedTokens).toBe(seen);
      expect(answer).toEqual((await ask(fresh(), more, { maxTokens: 6 })).answer);
    }
    expect(going).toEqual((await ask(fresh(), turn, { maxTokens: 6 })).answer);
    // Another policy has other scores in its pages; a small budget shares what it can hold.
    const holder = fresh();
    await ask(holder, questions[0]!, { maxTokens: 1 });
    const other = engine.conversation("another policy");
    await other.configure({ policy: "k-norm", budget: 200 });
    expect((await ask(other, questions[1]!, { maxTokens: 1 })).result?.cachedTokens).toBe(0);
    await other.reset();
    const small = engine.conversation("a small budget");
    await small.configure({ budget: 60 });
    expect((await ask(small, questions[1]!, { maxTokens: 1 })).result?.cachedTokens).toBe(60);
  });

  test("a question asked anew keeps what comes before it, where nothing was evicted", async () => {
    const chat = fresh();
    await ask(chat, prompt, { maxTokens: 30 });
    const fork = chat.fork();
    const told = [...fork.tokens];
    for (const keep of [35, 33, 32, 1]) {
      const other = [...prompt.slice(0, keep), ...someTokens(50, 60 + keep)];
      const { answer, result } = await ask(chat, other, { maxTokens: 8 });
      expect(result?.cachedTokens).toBe(keep);
      expect(chat.tokens.slice(0, other.length)).toEqual(other);
      const { kept } = await chat.retention();
      expect(new Set(kept)).toEqual(new Set([engine.shape.layers * engine.shape.kvHeads]));
      expect(answer).toEqual((await ask(fresh(), other, { maxTokens: 8 })).answer);
      checkCache(engine);
    }
    // The fork's pages were not touched.
    const more = [...told, ...someTokens(5, 70)];
    const { answer, result } = await ask(fork, more, { maxTokens: 8 });
    expect(result?.cachedTokens).toBe(told.length);
    expect(answer).toEqual((await ask(fresh(), more, { maxTokens: 8 })).answer);

    const small = fresh();
    await small.configure({ budget: 32, policy: "k-norm" });
    await ask(small, prompt, { maxTokens: 4 });
    const again = [...prompt.slice(0, 35), 9, 8, 7];
    expect((await ask(small, again, { maxTokens: 4 })).result?.cachedTokens).toBe(0);
  });

  test.each([
    ["nothing was evicted", { budget: "full" }],
    ["much was evicted", { budget: 48, policy: "k-norm" }],
  ] as const)(
    "an answer cut in the middle of a character is found again, where %s",
    async (_name, cache) => {
      const chat = fresh();
      await chat.configure(cache);
      const { tokenizer } = engine;
      const [first, second] = tokenizer.encode("😀");
      expect(tokenizer.tokenBytes(second!)).toHaveLength(1);
      const before = someTokens(70, 71);
      // As an answer that ends there leaves it: the app's text lacks the character.
      await ask(chat, [...before, first!, second!], { maxTokens: 1 });
      const next = [...before, ...someTokens(9, 72)];
      const { result, answer } = await ask(chat, next, { maxTokens: 5 });
      expect(result?.cachedTokens).toBe(70);
      if (cache.budget === "full")
        expect(answer).toEqual((await ask(fresh(), next, { maxTokens: 5 })).answer);
    },
  );

  test("a prompt that does not continue the cache starts anew", async () => {
    const chat = fresh();
    await ask(chat, prompt, { maxTokens: 4 });
    const other = someTokens(20, 3);
    const { answer, result } = await ask(chat, other, { maxTokens: 8 });
    expect(result?.cachedTokens).toBe(0);
    expect(chat.usage().tokensSeen).toBe(27);
    expect(answer).toEqual((await ask(fresh(), other, { maxTokens: 8 })).answer);
  });

  test("maxTokens 0 and 1", async () => {
    const chat = fresh();
    const none = await ask(chat, prompt, { maxTokens: 0 });
    expect(none).toMatchObject({ answer: [], result: { finish: "length" } });
    expect(chat.tokens).toEqual(prompt);
    const one = await ask(fresh(), prompt, { maxTokens: 1 });
    expect(one).toMatchObject({ result: { finish: "length" } });
    expect(one.answer).toEqual((await ask(fresh(), prompt, { maxTokens: 5 })).answer.slice(0, 1));
  });

  test("greedy answers repeat; sampled ones repeat with their seed", async () => {
    const run = async (seed: number, temperature: number) =>
      (await ask(fresh(), prompt, { maxTokens: 16, sampling: { seed, temperature } })).answer;
    expect(await run(1, 0)).toEqual(await run(2, 0));
    const sampled = await run(1, 3);
    expect(await run(1, 3)).toEqual(sampled);
    expect(await run(2, 3)).not.toEqual(sampled);
  });

  test("the token that ends an answer is not yielded, and the next turn goes on", async () => {
    const chat = fresh();
    const { answer } = await ask(fresh(), prompt, { maxTokens: 12 });
    // A token that comes late in the answer for the first time becomes an end token for this test.
    const { tokenizer } = engine;
    const at = answer.findIndex((token, i) => i >= 4 && answer.indexOf(token) === i);
    expect(at).toBeGreaterThan(0);
    const known = tokenizer.endTokens;
    Object.assign(tokenizer, { endTokens: new Set([...known, answer[at]]) });
    try {
      const stopped = await ask(chat, prompt, { maxTokens: 12 });
      expect(stopped.answer).toEqual(answer.slice(0, at));
      expect(stopped.result).toMatchObject({ finish: "stop" });
      expect(await ask(fresh(), prompt, { maxTokens: at - 1 })).toMatchObject({
        answer: answer.slice(0, at - 1),
        result: { finish: "length" },
      });
    } finally {
      Object.assign(tokenizer, { endTokens: known });
    }
    const longer = [...prompt, ...answer.slice(0, at + 1)];
    const { answer: rest, result } = await ask(chat, longer, { maxTokens: 11 - at });
    expect(result?.cachedTokens).toBe(41 + at);
    expect(rest).toEqual(answer.slice(at + 1));
  });

  test("an abort while decoding stops at once; the cache goes on as if nothing had happened", async () => {
    const whole = (await ask(fresh(), prompt, { maxTokens: 20 })).answer;
    const chat = fresh();
    const controller = new AbortController();
    const seen: number[] = [];
    const aborted = ask(chat, prompt, {
      maxTokens: 20,
      signal: controller.signal,
      onToken: (token, count) => {
        seen.push(token);
        if (count === 7) controller.abort();
        return undefined;
      },
    });
    await expect(aborted).rejects.toEqual(error("aborted"));
    expect(seen).toEqual(whole.slice(0, 7));
    const rest = await ask(chat, [...prompt, ...seen], { maxTokens: 13 });
    expect(rest.result?.cachedTokens).toBe(47);
    expect(rest.answer).toEqual(whole.slice(7));
  });

  test("an abort between prompt chunks keeps the chunks that were run", async () => {
    const long = someTokens(300, 5);
    const whole = (await ask(fresh(), long, { maxTokens: 8 })).answer;
    const chat = fresh();
    const controller = new AbortController();
    const aborted = ask(chat, long, {
      signal: controller.signal,
      onPrefill: (done) => {
        if (done === 256) controller.abort();
      },
    });
    await expect(aborted).rejects.toEqual(error("aborted"));
    expect(chat.tokens).toEqual(long.slice(0, 256));
    const { answer, result } = await ask(chat, long, { maxTokens: 8 });
    expect(result?.cachedTokens).toBe(256);
    expect(answer).toEqual(whole);
  });

  test("a signal that fired before runs nothing", async () => {
    const chat = fresh();
    const aborted = ask(chat, prompt, { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toEqual(error("aborted"));
    expect(chat.tokens).toEqual([]);
    await ask(chat, prompt, { maxTokens: 1 });
  });

  test("break out of the loop, then go on", async () => {
    const whole = (await ask(fresh(), prompt, { maxTokens: 12 })).answer;
    const chat = fresh();
    const before = engine.memory().activations;
    const seen: number[] = [];
    for await (const token of chat.generate(prompt, { sampling: GREEDY, maxTokens: 12 })) {
      seen.push(token);
      if (seen.length === 5) break;
    }
    // What stays is one row of the residual stream.
    expect(engine.memory().activations).toBe(before + 4 * engine.internals.config.hidden);
    const rest = await ask(chat, [...prompt, ...seen], { maxTokens: 7 });
    expect([...seen, ...rest.answer]).toEqual(whole);
  });

  test("one answer at a time; a second is refused and the first not disturbed", async () => {
    const whole = (await ask(fresh(), prompt, { maxTokens: 10 })).answer;
    const chat = fresh();
    const { answer } = await ask(chat, prompt, {
      maxTokens: 10,
      onToken: async (_, count) => {
        if (count !== 3) return undefined;
        await expect(ask(chat, prompt)).rejects.toEqual(error("busy", /answering already/));
        await expect(chat.reset()).rejects.toEqual(error("busy"));
        await expect(chat.logits(prompt)).rejects.toEqual(error("busy"));
        await expect(chat.nll(prompt, { chunk: 1 })).rejects.toEqual(error("busy"));
        return undefined;
      },
    });
    expect(answer).toEqual(whole);
    await chat.reset();
    expect(chat.usage()).toMatchObject({ tokensSeen: 0, pairsKept: 0, bytes: 0 });
  });

  test.each<[string, number[], RegExp]>([
    ["no tokens", [], /prompt: holds no tokens/],
    ["a token beyond the vocabulary", [3, 9999], /tokens\[1\]: 9999/],
    ["a negative token", [-1], /tokens\[0\]/],
    ["half a token", [3, 4, 5.5], /tokens\[2\]/],
  ])("%s is refused and loses nothing", async (_name, tokens, message) => {
    const chat = fresh();
    await ask(chat, prompt, { maxTokens: 2 });
    const before = chat.usage();
    await expect(ask(chat, tokens)).rejects.toEqual(error("invalid_argument", message));
    expect(chat.usage()).toEqual(before);
  });

  test("sampling out of range is refused before anything is run or allocated", async () => {
    const chat = fresh();
    await ask(chat, prompt.slice(0, 1), { maxTokens: 1 });
    await chat.reset();
    const before = engine.memory().activations;
    for (const [sampling, message] of [
      [{ temperature: -1 }, /temperature/],
      [{ topP: 1.5 }, /topP/],
      [{ seed: 0.5 }, /seed/],
    ] as const)
      for (let times = 0; times < 3; times += 1) {
        const refused = ask(chat, prompt, { sampling });
        await expect(refused).rejects.toEqual(error("internal", message));
      }
    expect(chat.usage().tokensSeen).toBe(0);
    await chat.reset();
    expect(engine.memory().activations).toBe(before);
    await ask(chat, prompt, { maxTokens: 1 });
  });

  test("top_p 0 is the likeliest token at any temperature, and leaves no memory behind", async () => {
    const chat = fresh();
    const { answer } = await ask(chat, prompt, { maxTokens: 6 });
    await chat.reset();
    const before = engine.memory();
    for (let times = 0; times < 50; times += 1) {
      const temperature = [0, 0.7, 5][times % 3]!;
      const sampling = { topP: 0, temperature, seed: times };
      expect((await ask(chat, prompt, { maxTokens: 6, sampling })).answer).toEqual(answer);
      if (times % 7 === 0) await chat.reset();
    }
    await chat.reset();
    expect(engine.memory()).toEqual(before);
  });
});

describe("a conversation without a budget, at the end of the model's positions", () => {
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await loadTinyEngine({ budget: "full" });
    Object.assign(engine.internals.config, { contextLength: 60 });
  });
  afterAll(() => engine?.close());

  test("a longer prompt is refused, an answer ends there", async () => {
    const chat = engine.conversation("short");
    const overflow = ask(chat, someTokens(61));
    await expect(overflow).rejects.toEqual(error("context_overflow", /61 tokens.*60 positions/));
    const { answer, result } = await ask(chat, someTokens(50), { maxTokens: 100 });
    expect(result?.finish).toBe("length");
    // Positions 50 to 59 are run; the token drawn last needs none.
    expect(answer).toHaveLength(11);
    expect(chat.tokens).toHaveLength(60);
    const last = await ask(engine.conversation("full"), someTokens(60), { maxTokens: 5 });
    expect(last).toMatchObject({ result: { finish: "length" } });
    expect(last.answer).toHaveLength(1);
  });
});

describe("memoryLimit", () => {
  const ROOM = 40_000;

  test("is checked in bytes before anything is uploaded, at configure and in mid-chat", async () => {
    await expect(loadTinyEngine({}, { memoryLimit: 1000 })).rejects.toEqual(
      error("out_of_memory", /needs \d+ bytes of GPU memory .*the limit is 1000/),
    );
    await expect(loadTinyEngine({}, { memoryLimit: Number.NaN })).rejects.toEqual(
      error("internal", /memoryLimit/),
    );
    const probe = await loadTinyEngine({ budget: 64 });
    await ask(probe.conversation("a"), someTokens(10), { maxTokens: 3 });
    const { total } = probe.memory();
    await probe.close();

    const engine = await loadTinyEngine({ budget: 64 }, { memoryLimit: total + ROOM });
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    const chat = engine.conversation("a");
    const prompt = someTokens(30, 7);
    const { answer } = await ask(chat, prompt, { maxTokens: 8 });
    const before = chat.usage();
    await expect(chat.configure({ budget: 4096 })).rejects.toEqual(
      error(
        "out_of_memory",
        /4096 pairs per head needs \d+ bytes of GPU memory .*the limit is \d+/,
      ),
    );
    expect(chat.usage()).toEqual(before);
    // A cache without an end is cut off by the limit, wherever the chat has got to.
    await chat.configure({ budget: "full" });
    const seen: number[] = [];
    const endless = ask(chat, [...prompt, ...answer], {
      maxTokens: 1000,
      onToken: (token) => {
        seen.push(token);
        return undefined;
      },
    });
    await expect(endless).rejects.toEqual(
      error("out_of_memory", /needs \d+ bytes of GPU memory .*the limit is \d+/),
    );
    checkCache(engine);
    expect(engine.memory().total).toBeLessThanOrEqual(total + ROOM);
    expect(seen.length).toBeGreaterThan(20);
    const history = [...prompt, ...answer, ...seen];
    expect(chat.tokens).toEqual(history);
    await chat.configure({ budget: 64 });
    checkCache(engine);
    const { result } = await ask(chat, history, { maxTokens: 8 });
    expect(result?.cachedTokens).toBe(history.length);
    await engine.close();
  });
});
