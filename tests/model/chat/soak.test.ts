import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import { EngineClient } from "../../../src/api/page/client.ts";
import { connectLocal } from "../../../src/api/page/connect-local.ts";
import type { ChatCompletionRequest, ChatMessage, PolicyName } from "../../../src/api/types.ts";
import { EngineService } from "../../../src/api/worker/service.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { WinnowError } from "../../../src/errors.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";
import { watchedGpu } from "../watched-gpu.ts";

const REQUESTS = 300;
const POLICIES: PolicyName[] = [
  "k-norm",
  "q-filters",
  "snapkv",
  "streaming-llm",
  "keydiff",
  "full",
];

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What is to be found is destroyed by the garbage collector, in turns of the event loop. */
async function settle(): Promise<void> {
  for (let times = 0; times < 4; times += 1) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Numbers below `below`, the same in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const publicEngine = (engine: InferenceEngine): Promise<EngineClient> =>
  EngineClient.open(
    connectLocal(
      new EngineService(async () => ({
        engine,
        sha256: "",
        keepCalibration: async () => false,
        openFile: () => Promise.reject(new Error("no file is opened here")),
        close: () => engine.close(),
      })),
    ),
    checkEngineOptions({ model: "tiny" }),
    {},
  );

/** One request of a kind after another, in an order that `random` says; each leaves the engine usable. */
class Caller {
  private readonly engine: EngineClient;
  private readonly random: (below: number) => number;
  private readonly histories = new Map<string, ChatMessage[]>();
  private made = 0;

  constructor(engine: EngineClient, seed: number) {
    this.engine = engine;
    this.random = numbers(seed);
  }

  async request(): Promise<void> {
    const kinds = [
      () => this.whole(),
      () => this.whole(),
      () => this.streamed((chunks) => (chunks > 2 ? "break" : "go on")),
      () => this.streamed((chunks) => (chunks > 1 ? "abort" : "go on")),
      () => this.aborted(),
      () => this.refused(),
      () => this.pastTheTrainedLength(),
      () => this.sideBySide(),
      () => this.forked(),
      () => this.configured(),
      () => this.fresh(),
      () => this.engine.cache.reset({ conversation: this.name() }),
      () => this.engine.cache.retention({ conversation: this.name() }),
    ];
    await kinds[this.random(kinds.length)]!();
  }

  /** Every kind once, and every policy: what is made when it is first needed is there then. */
  async everyKind(): Promise<void> {
    for (const policy of POLICIES) await this.configured(policy);
    for (const work of [
      this.whole,
      this.aborted,
      this.pastTheTrainedLength,
      this.sideBySide,
      this.forked,
    ])
      await work.call(this);
    await this.engine.cache.retention();
  }

  async resetAll(): Promise<void> {
    for (const conversation of new Set(["a", "b", "c", "d", "fork", ...this.histories.keys()]))
      await this.engine.cache.reset({ conversation });
  }

  private name = (): string => ["a", "b", "c", "d"][this.random(4)]!;

  private ask(history: readonly ChatMessage[]): ChatCompletionRequest & { stream?: false } {
    const { random } = this;
    const sampling = [
      { temperature: 0 },
      { top_p: 0, temperature: random(3) },
      { seed: -1 },
      { seed: 2 ** 53 - 1 - random(9), top_k: 5, min_p: 0.1 },
      { seed: Date.now(), repetition_penalty: 1.2, frequency_penalty: 0.5, presence_penalty: -0.5 },
      { temperature: 0, stop: ["e", "zz"] },
      { temperature: 0, speculative: "off" as const },
      { temperature: null, stop: null, tools: [] },
    ][random(8)];
    return { messages: [...history], max_tokens: 1 + random(8), ...sampling };
  }

  private say(conversation: string): ChatMessage[] {
    const words = Array.from({ length: 1 + this.random(9) }, () => "abcde ".repeat(this.random(3)));
    const history = this.histories.get(conversation) ?? [];
    // Now and then from the start again, so that chats stay short.
    const kept = history.length > 4 ? [] : history;
    const next = [...kept, { role: "user" as const, content: words.join("x") }];
    this.histories.set(conversation, next);
    return next;
  }

  private async whole(conversation = this.name()): Promise<void> {
    const history = this.say(conversation);
    const { choices } = await this.engine.chat.completions.create(this.ask(history), {
      conversation,
    });
    history.push(choices[0].message);
  }

  private async streamed(next: (chunks: number) => "go on" | "break" | "abort"): Promise<void> {
    const conversation = this.name();
    const abort = new AbortController();
    const request = { ...this.ask(this.say(conversation)), stream: true as const };
    const options = { conversation, signal: abort.signal };
    const stream = await this.engine.chat.completions.create(request, options);
    let chunks = 0;
    try {
      for await (const _ of stream) {
        chunks += 1;
        if (next(chunks) === "break") break;
        if (next(chunks) === "abort") abort.abort();
      }
    } catch (error) {
      expect(error).toMatchObject({ code: "aborted" });
    }
  }

  private async aborted(): Promise<void> {
    const conversation = this.name();
    const abort = new AbortController();
    const options = { conversation, signal: abort.signal };
    const answer = this.engine.chat.completions.create(this.ask(this.say(conversation)), options);
    if (this.random(2) === 0) abort.abort();
    else setTimeout(() => abort.abort(), this.random(60));
    await answer.catch((error) => expect(error).toMatchObject({ code: "aborted" }));
  }

  private async refused(): Promise<void> {
    const wrong = [
      { temperature: 9 },
      { top_p: -1 },
      { tools: [{}] },
      { seed: 0.5 },
      { stop: [""] },
    ];
    const request = { ...this.ask(this.say("a")), ...wrong[this.random(5)] };
    const refused = this.engine.chat.completions.create(request as never);
    await expect(refused).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(this.engine.cache.fork("nobody", "b")).rejects.toBeInstanceOf(WinnowError);
    await expect(this.engine.cache.configure({ budget: -1 })).rejects.toBeInstanceOf(WinnowError);
  }

  private async pastTheTrainedLength(): Promise<void> {
    const messages: ChatMessage[] = [{ role: "user", content: "q".repeat(1600) }];
    const answered = this.engine.chat.completions.create(
      { messages, max_tokens: 4 },
      { conversation: this.name() },
    );
    // Chats whose budget is full end there, the others go on.
    await answered.catch((error) => {
      expect(error).toMatchObject({ code: "context_overflow" });
    });
  }

  private async sideBySide(): Promise<void> {
    await Promise.all(["a", "b", "a"].map((name) => this.whole(name)));
  }

  private async forked(): Promise<void> {
    const from = this.name();
    await this.whole(from);
    await this.engine.cache.fork(from, "fork");
    this.histories.set("fork", [...this.histories.get(from)!]);
    await this.whole("fork");
  }

  private async configured(policy = POLICIES[this.random(POLICIES.length)]!): Promise<void> {
    const conversation = this.name();
    await this.whole(conversation);
    const budget = ([40, 64, 100, "full"] as const)[this.random(4)]!;
    await this.engine.cache.configure({ policy, budget }, { conversation });
    await this.whole(conversation);
  }

  private async fresh(): Promise<void> {
    this.made += 1;
    await this.whole(`new ${this.made}`);
  }
}

test("300 requests of all kinds leave no byte and no handle behind", async () => {
  const watched = watchedGpu();
  const inner = await loadTinyEngine({ budget: 64 }, { gpu: watched.gpu });
  Object.assign(inner.internals.config, { contextLength: 1500 });
  const engine = await publicEngine(inner);
  const measure = async () => {
    await settle();
    checkCache(inner);
    expect(inner.memory().total).toBe(watched.bytes());
    const { buffers, bindGroups } = watched.alive();
    return { memory: inner.memory(), buffers, bindGroups };
  };
  const warm = new Caller(engine, 1);
  await warm.everyKind();
  await warm.resetAll();
  const before = await measure();

  const caller = new Caller(engine, 2);
  const made = watched.made();
  for (let count = 0; count < REQUESTS; count += 1) await caller.request();
  expect(watched.made()).toBeGreaterThan(made + REQUESTS);
  await caller.resetAll();
  const after = await measure();
  expect({ ...after, bindGroups: 0 }).toEqual({ ...before, bindGroups: 0 });
  expect(after.bindGroups).toBeLessThanOrEqual(before.bindGroups + 50);
  expect(inner.info().notices).toEqual([...new Set(inner.info().notices)]);
  await engine.close();
  expect(watched.bytes()).toBe(0);
});
