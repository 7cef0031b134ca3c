/** Chats of a model whose layers mostly keep a state: what is read again, and that no state is a wrong one. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { BlobSource } from "../../../src/formats/blob-source.ts";
import { DRAFT_ROWS } from "../../../src/model/draft-rows.ts";
import { type AskOptions, ask, someTokens } from "../chat.ts";
import { checkCache, freshChat } from "../tiny-engine.ts";
import { apart, loadStateEngine, STATE_MODELS, stateBytesOf, stateOf } from "./state-engine.ts";

const TINY = { name: "tiny", sha256: "" };
/** States of the same tokens, read in other steps: what is left is the order of sums. */
const CLOSE = 1e-3;

describe.each(STATE_MODELS)("a chat of a model with states: $name", (model) => {
  const STATE_BYTES = stateBytesOf(model);
  let engine: InferenceEngine;
  let oracle: InferenceEngine;
  beforeAll(async () => {
    engine = await loadStateEngine(model);
    oracle = await loadStateEngine(model);
  });
  afterAll(async () => {
    await engine?.close();
    await oracle?.close();
  });
  afterEach(() => [engine, oracle].forEach(checkCache));

  /** What is answered where all is read at once. */
  const atOnce = async (prompt: readonly number[], options: AskOptions = {}): Promise<number[]> =>
    (await ask(freshChat(oracle), prompt, options)).answer;

  /** Throws unless the chat's state is that of its tokens, read at once. */
  const expectState = async (chat: Conversation): Promise<void> => {
    const other = freshChat(oracle);
    await ask(other, chat.tokens, { maxTokens: 0 });
    expect(apart(await stateOf(chat), await stateOf(other))).toBeLessThan(CLOSE);
  };

  const first = someTokens(150, 1);

  test("a second turn reads only what is new", async () => {
    const chat = freshChat(engine);
    const { answer } = await ask(chat, first, { maxTokens: 20 });
    expect(answer).toEqual(await atOnce(first, { maxTokens: 20 }));
    const next = [...first, ...answer, ...someTokens(7, 2)];
    const { answer: more, result } = await ask(chat, next, { maxTokens: 20 });
    expect(result?.cachedTokens).toBe(first.length + 19);
    expect(more).toEqual(await atOnce(next, { maxTokens: 20 }));
    await expectState(chat);
  });

  test("answers anew with nothing read again", async () => {
    const chat = freshChat(engine);
    await ask(chat, first, { maxTokens: 30 });
    for (const seed of [3, 4]) {
      const options = { maxTokens: 20, sampling: { temperature: 2, seed } };
      const { answer, result } = await ask(chat, first, options);
      expect(result?.cachedTokens).toBe(150);
      expect(answer).toEqual(await atOnce(first, options));
    }
  });

  test("an edited message goes back to where the one before it ended, whichever it is", async () => {
    const chat = freshChat(engine);
    const ends: number[][] = [];
    let told: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      told = [...told, ...someTokens(40, 10 + turn)];
      const { answer } = await ask(chat, told, { maxTokens: 10 });
      ends.push(told);
      told = [...told, ...answer];
    }
    for (const turn of [4, 2, 0]) {
      const edited = [...ends[turn]!, ...someTokens(9, 77 + turn)];
      const { answer, result } = await ask(chat, edited, { maxTokens: 12 });
      expect(result?.cachedTokens, `turn ${turn}`).toBe(ends[turn]!.length);
      expect(answer).toEqual(await atOnce(edited, { maxTokens: 12 }));
      await expectState(chat);
    }
    // In the middle of what was read there is no state: the nearest before it, or none.
    const within = [...ends[0]!.slice(0, 20), ...someTokens(30, 99)];
    const { answer, result } = await ask(chat, within, { maxTokens: 12 });
    expect(result?.cachedTokens).toBe(0);
    expect(answer).toEqual(await atOnce(within, { maxTokens: 12 }));
  });

  test("a chat that begins with the same system message starts from its state", async () => {
    const system = someTokens(70, 20);
    const one = freshChat(engine);
    await ask(one, [...system, ...someTokens(60, 21)], { maxTokens: 4, system: 70 });
    const other = engine.conversation("begins alike");
    const prompt = [...system, ...someTokens(50, 22)];
    const { answer, result } = await ask(other, prompt, { maxTokens: 12, system: 70 });
    expect(result?.cachedTokens).toBe(70);
    expect(answer).toEqual(await atOnce(prompt, { maxTokens: 12 }));
    await other.reset();
  });

  test("a fork and its origin go on apart", async () => {
    const chat = freshChat(engine);
    const { answer } = await ask(chat, first, { maxTokens: 10 });
    const fork = chat.fork();
    const told = [...first, ...answer];
    const ways = [fork, chat].map((one, i) => [one, [...told, ...someTokens(8, 30 + i)]] as const);
    for (const [one, prompt] of ways) {
      const found = await ask(one, prompt, { maxTokens: 15 });
      expect(found.result?.cachedTokens).toBe(told.length - 1);
      expect(found.answer).toEqual(await atOnce(prompt, { maxTokens: 15 }));
    }
    for (const [one] of ways) await expectState(one);
    // Either can still answer what was asked before they parted.
    expect((await ask(fork, first, { maxTokens: 10 })).answer).toEqual(answer);
    await fork.reset();
  });

  test("saved and loaded, it goes on in the same bits", async () => {
    const chat = freshChat(engine);
    const { answer } = await ask(chat, first, { maxTokens: 10 });
    const file = await chat.save(TINY);
    const loaded = freshChat(oracle);
    await loaded.load(new BlobSource(file, "chat.winnow"), TINY);
    expect(apart(await stateOf(loaded), await stateOf(chat))).toBe(0);
    const { bytesOfStates } = loaded.usage();
    expect(bytesOfStates).toBe(STATE_BYTES);
    const next = [...first, ...answer, ...someTokens(9, 5)];
    const [found, expected] = [await ask(loaded, next), await ask(chat, next)];
    expect(found).toEqual(expected);
    expect(found.result?.cachedTokens).toBe(first.length + 9);
  });

  test("a file without its states, or of other ones, is refused and loses nothing", async () => {
    const chat = freshChat(engine);
    await ask(chat, someTokens(20, 1), { maxTokens: 2 });
    const bytes = new Uint8Array(await (await chat.save(TINY)).arrayBuffer());
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + header));
    const load = (changed: string, data = bytes.subarray(8 + header)) => {
      const named = new TextEncoder().encode(changed);
      expect(named.length).toBe(header);
      const file = new Blob([bytes.slice(0, 8), named, data.slice()]);
      return chat.load(new BlobSource(file, "chat.winnow"), TINY);
    };
    const before = [...chat.tokens];
    await expect(load(text.replace('"states":{', '"stateX":{'))).rejects.toMatchObject({
      code: "bad_cache_file",
      message: expect.stringMatching(/states: the tensor is missing/),
    });
    await expect(
      load(text.replace(`${model.words},${model.words}`, `${model.words},${model.words + 8}`)),
    ).rejects.toMatchObject({
      code: "bad_cache_file",
      message: expect.stringMatching(/shape.states/),
    });
    const [begin] = JSON.parse(text).states.data_offsets as [number];
    const data = bytes.slice(8 + header);
    new DataView(data.buffer).setFloat32(begin, Number.NaN, true);
    await expect(load(text, data)).rejects.toMatchObject({
      code: "bad_cache_file",
      message: expect.stringMatching(/states: \[0\] is NaN/),
    });
    expect([...chat.tokens]).toEqual(before);
    await load(text);
  });

  test("guesses change no bit, and wrong ones leave no trace in the state", async () => {
    const core = engine.internals;
    await core.state.runner.compiled({ drafts: true });
    await core.prepareGuesses();
    const asked = { maxTokens: 40 };
    const plain = freshChat(engine);
    const { answer } = await ask(plain, first, asked);
    for (const right of [[3], [0], [1, 3, 0, 2]]) {
      let [taken, turn] = [0, 0];
      Object.assign(core, {
        guesser: () => ({
          push: () => {
            taken += 1;
          },
          timed: () => {},
          guess: (limit: number) => {
            const count = Math.max(0, Math.min(limit, DRAFT_ROWS - 1, answer.length - taken));
            const good = right[turn++ % right.length]!;
            const next = answer.slice(taken, taken + count);
            return next.map((token, i) => (i < good ? token : (token % 200) + 17));
          },
        }),
      });
      try {
        const guessed = freshChat(engine);
        expect((await ask(guessed, first, asked)).answer).toEqual(answer);
        expect(turn).toBeGreaterThan(8);
        expect(guessed.tokens).toEqual(plain.tokens);
        expect(apart(await stateOf(guessed), await stateOf(plain))).toBe(0);
        expect(guessed.usage()).toEqual(plain.usage());
      } finally {
        Reflect.deleteProperty(core, "guesser");
      }
    }
  });

  test("a break and an abort leave the state of what was yielded", async () => {
    for (const ahead of [true, false]) {
      const chat = freshChat(engine);
      const { answer } = await ask(chat, first, { ahead, onToken: (_, count) => count === 5 });
      await expectState(chat);
      const abort = new AbortController();
      const next = [...first, ...answer, ...someTokens(6, 6)];
      const onToken = (_: number, count: number) => {
        if (count === 4) abort.abort();
        return undefined;
      };
      const answering = ask(chat, next, { ahead, signal: abort.signal, onToken });
      await expect(answering).rejects.toMatchObject({ code: "aborted" });
      await expectState(chat);
      const again = await ask(chat, next, { maxTokens: 12 });
      expect(again.answer).toEqual(await atOnce(next, { maxTokens: 12 }));
    }
  });

  test("lanes have states of their own, each the bits that it has alone", async () => {
    const texts = [someTokens(9, 40), someTokens(23, 41), someTokens(140, 42)];
    const run = (chosen: readonly number[][]) =>
      engine.lanes(3, async (lanes) => {
        const logits: Float32Array[] = [];
        const open = [];
        for (const text of chosen) {
          const lane = await lanes.add({ budget: "full" });
          logits.push(await lanes.prefill(lane, text));
          open.push(lane);
        }
        for (let step = 0; step < 3; step += 1) {
          const inputs = open.map((lane) => ({ lane, token: 20 + step }));
          logits.push(...(await lanes.step(inputs, { logits: true })).logits);
        }
        return logits;
      });
    const together = await run(texts);
    for (const [i, text] of texts.entries()) {
      const alone = await run([text]);
      expect(alone).toEqual([0, 1, 2, 3].map((step) => together[3 * step + i]));
    }
  });

  test("says what the states take, and memory() counts them", async () => {
    const chat = freshChat(engine);
    const held = () => engine.internals.state.pool.states!.allocator.used;
    const before = held();
    expect(chat.usage().bytesOfStates).toBe(0);
    const { answer } = await ask(chat, someTokens(30, 1), { maxTokens: 5 });
    const used = chat.usage();
    // The present one, and the one before the answer.
    expect(used.bytesOfStates).toBe(2 * STATE_BYTES);
    const pages = used.bytes - used.bytesOfStates;
    expect(used.bytesUncompressed).toBe(34 * 2 * 2 * 32 * 4 + STATE_BYTES);
    expect(pages).toBeGreaterThan(0);
    let told = [...someTokens(30, 1), ...answer];
    for (let turn = 0; turn < 12; turn += 1) {
      told = [...told, ...someTokens(3, turn)];
      told.push(...(await ask(chat, told, { maxTokens: 2 })).answer);
    }
    expect(chat.usage().bytesOfStates).toBe(9 * STATE_BYTES);
    const { kv } = engine.memory();
    await chat.reset();
    expect(engine.memory().kv).toBeLessThan(kv - 8 * STATE_BYTES);
    expect(held()).toBe(before);
  });
});

describe.each(STATE_MODELS)("a budget on a model with states: $name", (model) => {
  const STATE_BYTES = stateBytesOf(model);
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await loadStateEngine(model, { budget: 48, policy: "k-norm", kv: "f32" });
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  test("governs the layers of attention alone, and keeps to its bytes", async () => {
    const chat = freshChat(engine);
    await ask(chat, someTokens(400, 1), { maxTokens: 60 });
    const { budgetBytes, bytes, bytesOfStates, pairsKept, pairsEvicted } = chat.usage();
    expect(pairsKept).toBe(2 * 2 * 48);
    expect(pairsEvicted).toBe(2 * 2 * (459 - 48));
    expect(bytes).toBeLessThanOrEqual(budgetBytes as number);
    expect(bytesOfStates).toBe(STATE_BYTES);
    const { cache } = engine.info();
    expect(cache.heads).toBe(4);
    await expect(chat.configure({ wholeLayers: 3 })).rejects.toMatchObject({
      code: "invalid_argument",
    });
    const allowed = 140_000 + 9 * STATE_BYTES;
    await chat.configure({ bytes: allowed });
    await ask(chat, [...chat.tokens, ...someTokens(200, 2)], { maxTokens: 10 });
    expect(chat.usage().bytes).toBeLessThanOrEqual(allowed);
    const { kept } = await chat.retention();
    expect(Math.max(...kept)).toBe(4);
  });

  test("a block that is cut short leaves the chat as it was, its state too", async () => {
    const [chat, twin] = [freshChat(engine), freshChat(engine)];
    const first = someTokens(150, 1);
    const { answer } = await ask(chat, first, { maxTokens: 40 });
    await ask(twin, first, { maxTokens: 40 });
    const told = [...first, ...answer];
    for (const after of [1, 2, 5]) {
      const abort = new AbortController();
      let calls = 0;
      const onPrefill = () => {
        calls += 1;
        if (calls === after) abort.abort();
      };
      const long = [...told, ...someTokens(400, 9)];
      const reading = ask(chat, long, { signal: abort.signal, onPrefill });
      await expect(reading).rejects.toMatchObject({ code: "aborted" });
      expect(apart(await stateOf(chat), await stateOf(twin))).toBe(0);
    }
    const next = [...told, ...someTokens(9, 5)];
    expect(await ask(chat, next)).toEqual(await ask(twin, next));
  });

  test("an answer asked for anew goes on from the question's state, also where pairs went since", async () => {
    const chat = freshChat(engine);
    const first = someTokens(150, 1);
    await ask(chat, first, { maxTokens: 60 });
    const seeded = { sampling: { temperature: 2, seed: 3 }, maxTokens: 40 };
    const retried = await ask(chat, first, seeded);
    expect(retried.result?.cachedTokens).toBe(150);
    expect(retried.answer).toEqual((await ask(freshChat(engine), first, seeded)).answer);
  });
});
