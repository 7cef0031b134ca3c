import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine, type Engine } from "../../../src/node.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";

const ask = (content: string) => [{ role: "user" as const, content }];
const LONG = "A rather long message, so that a small budget has something to drop. ".repeat(6);

/** The public API in Node over Dawn, on the tiny model: what the fakes of tests/unit cannot show. */
describe("createEngine in Node", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-node-"));
  const model = join(folder, "tiny.gguf");
  let engine: Engine;
  beforeAll(async () => {
    writeFileSync(model, tinyModel("f32"));
    engine = await createEngine({
      model,
      cache: { budget: 256, policy: "k-norm", window: 16, sinks: 2 },
    });
  });
  afterAll(async () => {
    await engine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("answers the same for the same seed, differently for another", async () => {
    const answer = async (seed: number) => {
      await engine.cache.reset();
      const request = { messages: ask("hello"), max_tokens: 24, temperature: 1.5, seed };
      return (await engine.chat.completions.create(request)).choices[0].message.content;
    };
    const first = await answer(1);
    expect(await answer(1)).toBe(first);
    expect(await answer(2)).not.toBe(first);
  });

  it("reuses the cache in the second turn", async () => {
    await engine.cache.reset();
    // Few tokens: the model's weights are random, and half a character does not survive the turn.
    const turn = { messages: ask("hi"), max_tokens: 3, temperature: 0 };
    const first = await engine.chat.completions.create(turn);
    expect(first.choices[0].message.content).not.toContain("\ufffd");
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    const messages = [
      ...turn.messages,
      { role: "assistant" as const, content: first.choices[0].message.content },
      ...ask("two"),
    ];
    const second = await engine.chat.completions.create({ messages, max_tokens: 2 });
    expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(0);
  });

  it("stops within a token of break and of abort, and answers again", async () => {
    const request = { messages: ask("go on"), temperature: 0, max_tokens: 200 };
    const whole = await engine.chat.completions.create({ ...request, max_tokens: 8 });
    let pieces = 0;
    for await (const chunk of await engine.chat.completions.create({ ...request, stream: true })) {
      if (chunk.choices[0].delta.content && ++pieces === 2) break;
    }
    const controller = new AbortController();
    const aborted = engine.chat.completions.create(request, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    const again = await engine.chat.completions.create({ ...request, max_tokens: 8 });
    expect(again.choices[0].message.content).toBe(whole.choices[0].message.content);
    expect(engine.cache.usage().tokensSeen).toBeLessThan(200);
  });

  it("keeps to a budget that shrinks, and gives memory back", async () => {
    await engine.cache.reset();
    await engine.chat.completions.create({ messages: ask(LONG), max_tokens: 1 });
    const before = engine.cache.usage();
    const heads = (await engine.cache.retention()).heads;
    const after = await engine.cache.configure({ budget: 64 });
    expect(before.pairsKept).toBeGreaterThan(64 * heads);
    expect(after.pairsKept).toBe(64 * heads);
    expect(after.bytes).toBeLessThan(before.bytes);
    const { heads: _heads, tokens, kept } = await engine.cache.retention();
    expect(tokens).toHaveLength(after.tokensSeen);
    expect(kept.reduce((sum, count) => sum + count, 0)).toBe(after.pairsKept);
    expect(kept.slice(-16)).toEqual(Array(16).fill(heads));
    await engine.cache.configure({ budget: 256 });
  });

  it("forks a conversation that then goes its own way", async () => {
    const request = { messages: ask("fork"), max_tokens: 4, temperature: 0 };
    const first = await engine.chat.completions.create(request, { conversation: "a" });
    await engine.cache.fork("a", "b");
    const again = await engine.chat.completions.create(request, { conversation: "b" });
    expect(again.choices[0].message.content).toBe(first.choices[0].message.content);
    await engine.cache.reset({ conversation: "a" });
    expect(engine.cache.usage({ conversation: "b" }).tokensSeen).toBeGreaterThan(0);
  });

  it("answers two conversations at once as it answers each alone", async () => {
    const text = async (conversation: string, content: string) => {
      const request = { messages: ask(content), max_tokens: 12, temperature: 0 };
      const answer = await engine.chat.completions.create(request, { conversation });
      return answer.choices[0].message.content;
    };
    const alone = [await text("x1", "first question"), await text("y1", LONG)];
    const together = await Promise.all([text("x2", "first question"), text("y2", LONG)]);
    expect(together).toEqual(alone);
  });

  it("refuses what cannot work, by code, and frees what it took", async () => {
    const open = (options: object) => createEngine({ model, ...options });
    await expect(open({ memoryLimit: 1000 })).rejects.toMatchObject({ code: "out_of_memory" });
    await expect(open({ filters: new Uint8Array(40) })).rejects.toMatchObject({
      code: "bad_filters",
    });
    await expect(open({ filters: "/nowhere" })).rejects.toMatchObject({ code: "bad_filters" });
    await expect(open({ model: join(folder, "no.gguf") })).rejects.toMatchObject({
      code: "model_not_found",
    });
    await expect(open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    expect(engine.info().notices).toEqual([]);
  });
});
