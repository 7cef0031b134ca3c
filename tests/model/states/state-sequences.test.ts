/**
 * Random sequences of all that may happen to a chat of a model with states, or with layers that borrow keys and values: answers that are broken off or aborted, asked for
 * anew, edited messages, forks, files, wrong guesses, lost devices. Each answer must be that of an engine which reads the text
 * at once. WINNOW_FULL=1 runs 200 of them.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { BlobSource } from "../../../src/formats/blob-source.ts";
import { DRAFT_ROWS, draftsPossible } from "../../../src/model/draft-rows.ts";
import { seededRandom } from "../../../src/random.ts";
import { type AskOptions, ask, someTokens } from "../chat.ts";
import { checkCache } from "../tiny-engine.ts";
import { apart, loadStateEngine, STATE_MODELS, stateOf } from "./state-engine.ts";

const SEQUENCES = process.env.WINNOW_FULL === "1" ? 200 : 8;
/** Gemma 4 keeps no state, and a table's rows of tokens in its place; nothing is guessed there. */
const MODELS = [...STATE_MODELS, { name: "gemma4" }] as const;
type Model = (typeof MODELS)[number];
const TINY = { name: "tiny", sha256: "" };
/** States of the same tokens, read in other steps: what is left is the order of sums. */
const CLOSE = 1e-3;

let engine: InferenceEngine;
let oracle: InferenceEngine;
const guesses = () => draftsPossible(engine.internals.config);
const open = async (model: Model) => {
  engine = await loadStateEngine(model);
  oracle = await loadStateEngine(model);
  if (!guesses()) return;
  await engine.internals.prepareGuesses();
  await engine.internals.state.runner.compiled({ drafts: true });
};
const close = async () => {
  await engine?.close();
  await oracle?.close();
};

/** One chat, and what was told in it. */
interface Told {
  id: string;
  chat: Conversation;
  /** What the next prompt goes on from. */
  text: number[];
  /** The prompts that were answered, each of which may be asked anew. */
  prompts: number[][];
}

class Sequence {
  readonly log: string[] = [];
  private readonly random: () => number;
  private readonly seed: number;
  private chats: Told[];
  private made = 0;
  /** States of texts that were read at once. */
  private readonly states = new Map<string, Float32Array>();

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(1000 + seed);
    this.chats = [this.fresh()];
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      await this.step();
      checkCache(engine);
      const { chat } = this.told;
      if (chat.tokens.length > 0 && chat.place.alive) await this.expectState(chat);
    }
    for (const { chat } of this.chats) await chat.reset();
    checkCache(engine);
    expect(engine.internals.state.pool.states?.allocator.used ?? 0).toBe(0);
  }

  private upTo(most: number): number {
    return Math.floor(this.random() * most);
  }

  private fresh(): Told {
    const id = this.nextId();
    return { id, chat: engine.conversation(id), text: [], prompts: [] };
  }

  private nextId(): string {
    this.made += 1;
    return `${this.seed} ${this.made}`;
  }

  /** The chat that was used last. */
  private get told(): Told {
    return this.chats.at(-1)!;
  }

  /** A message of a few tokens, or of several chunks. */
  private message(): number[] {
    const long = this.random() < 0.15;
    return someTokens(1 + this.upTo(long ? 300 : 30), 1 + this.upTo(1000));
  }

  private async step(): Promise<void> {
    const { told } = this;
    const draw = this.random();
    if (draw < 0.3 || told.prompts.length === 0)
      return this.answer([...told.text, ...this.message()]);
    if (draw < 0.4) return this.answer(told.prompts.at(-1)!, "asked anew");
    if (draw < 0.52) return this.edit();
    if (draw < 0.62) return this.abortReading();
    if (draw < 0.72) return this.fork();
    if (draw < 0.8) return this.file();
    if (draw < 0.86) return this.other();
    if (draw < 0.97) return this.shift();
    this.log.push("the device is lost");
    engine.internals.state.gpu.device.destroy();
    return this.answer([...told.text, ...this.message()]);
  }

  /** An earlier message is another one. */
  private edit(): Promise<void> {
    const { prompts } = this.told;
    const at = this.upTo(prompts.length);
    prompts.length = at + 1;
    const prompt = prompts[at]!;
    const kept = this.random() < 0.5 ? prompt.length : this.upTo(prompt.length);
    return this.answer([...prompt.slice(0, kept), ...this.message()], "edited");
  }

  private async abortReading(): Promise<void> {
    const { chat, text } = this.told;
    const abort = new AbortController();
    const prompt = [...text, ...someTokens(290, 1 + this.upTo(99))];
    const reading = ask(chat, prompt, { signal: abort.signal, onPrefill: () => abort.abort() });
    this.log.push("aborted in a prompt");
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
  }

  /** Goes on in a copy; the other one may be used again. */
  private async fork(): Promise<void> {
    const { told } = this;
    const id = this.nextId();
    await engine.fork(told.id, id);
    this.log.push("forked");
    this.chats.push({ ...told, id, chat: engine.conversation(id), prompts: [...told.prompts] });
    if (this.chats.length > 3) await this.chats.shift()!.chat.reset();
  }

  /** Saved, and loaded into another chat. */
  private async file(): Promise<void> {
    const { told } = this;
    if (!told.chat.place.alive || told.chat.tokens.length === 0) return;
    this.log.push("saved and loaded");
    const file = await told.chat.save(TINY);
    await told.chat.reset();
    const loaded = this.fresh();
    await loaded.chat.load(new BlobSource(file, "chat.winnow"), TINY);
    this.chats[this.chats.length - 1] = { ...told, id: loaded.id, chat: loaded.chat };
  }

  /** A new chat that begins like the present one. */
  private async other(): Promise<void> {
    const { text } = this.told;
    this.chats.push(this.fresh());
    if (this.chats.length > 3) await this.chats.shift()!.chat.reset();
    const begin = text.slice(0, this.upTo(text.length + 1));
    await this.answer([...begin, ...this.message()], "another chat", begin.length);
  }

  /** Goes on in another of the chats. */
  private async shift(): Promise<void> {
    this.chats.unshift(this.chats.pop()!);
    this.log.push("the other chat");
    const { told } = this;
    await this.answer([...told.text, ...this.message()]);
  }

  /** Asks, with guesses that are right or wrong, up to an end of some kind, and compares. */
  private async answer(prompt: number[], why = "asked", system = 0): Promise<void> {
    const { told } = this;
    const { chat } = told;
    const hot = this.random() < 0.3 && { temperature: 1.5, seed: this.upTo(100) };
    const options: AskOptions = {
      maxTokens: this.upTo(14),
      ahead: this.random() < 0.7,
      system,
      ...(hot && { sampling: hot }),
    };
    const ending = this.random();
    const stop = 1 + this.upTo(8);
    this.log.push(
      `${why}: ${prompt.length} tokens, ${JSON.stringify({ ...options, ending, stop })}`,
    );
    const plain = oracle.conversation("at once");
    await plain.reset();
    const { answer: expected } = await ask(plain, prompt, options);
    const abort = new AbortController();
    const answer: number[] = [];
    const asking = this.guessing(expected, () =>
      ask(chat, prompt, {
        ...options,
        signal: abort.signal,
        onToken: (token, count) => {
          answer.push(token);
          if (ending < 0.3 && count === stop) return true;
          if (ending > 0.85 && count === stop) abort.abort();
          return undefined;
        },
      }),
    );
    const error = await asking.then(() => undefined).catch((thrown: unknown) => thrown);
    if (error) expect(error).toMatchObject({ code: "aborted" });
    expect(answer, this.log.join("\n")).toEqual(expected.slice(0, answer.length));
    if (!error && ending >= 0.3) expect(answer.length).toBe(expected.length);
    told.text = [...prompt, ...answer];
    if (told.prompts.at(-1)?.join() !== prompt.join()) told.prompts.push(prompt);
  }

  private async guessing<T>(expected: readonly number[], work: () => Promise<T>): Promise<T> {
    if (!guesses()) return work();
    const core = engine.internals;
    let taken = 0;
    const guess = (limit: number): number[] => {
      if (this.random() < 0.4) return [];
      const count = Math.max(0, Math.min(limit, DRAFT_ROWS - 1, expected.length - taken));
      const right = this.upTo(DRAFT_ROWS);
      const next = expected.slice(taken, taken + count);
      return next.map((token, i) => (i < right ? token : (token % 200) + 17));
    };
    const push = () => {
      taken += 1;
    };
    Object.assign(core, { guesser: () => ({ push, timed: () => {}, guess }) });
    try {
      return await work();
    } finally {
      Reflect.deleteProperty(core, "guesser");
    }
  }

  /** Throws unless the chat's state is that of its tokens, read at once. */
  private async expectState(chat: Conversation): Promise<void> {
    if (!engine.internals.state.pool.states) return;
    const text = chat.tokens.join();
    const expected = this.states.get(text) ?? (await stateAtOnce(chat.tokens));
    this.states.set(text, expected);
    const difference = apart(await stateOf(chat), expected);
    expect(difference, this.log.join("\n")).toBeLessThan(CLOSE);
  }
}

async function stateAtOnce(tokens: readonly number[]): Promise<Float32Array> {
  const plain = oracle.conversation("at once");
  await plain.reset();
  await ask(plain, tokens, { maxTokens: 0 });
  return stateOf(plain);
}

describe.each(MODELS)("$name", (model) => {
  beforeAll(() => open(model));
  afterAll(close);
  test.each(Array.from({ length: SEQUENCES }, (_, seed) => seed))(
    "sequence %i answers as if each text were read at once",
    (seed) => new Sequence(seed).run(9),
    600_000,
  );
});
