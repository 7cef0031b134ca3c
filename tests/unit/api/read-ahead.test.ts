import { describe, expect, it, vi } from "vitest";
import type { ReadProgress } from "../../../src/api/types.ts";
import type { ChatMessage } from "../../../src/text/types.ts";
import { openFake } from "./api-fake-engine.ts";

const compile = vi.hoisted(() => vi.fn());
vi.mock("../../../src/constraint/constrain.ts", async (load) => {
  const code = await load<typeof import("../../../src/constraint/constrain.ts")>();
  const counted = (which: "constrain" | "held") => {
    return (...given: unknown[]) => {
      compile();
      return (code[which] as (...given: unknown[]) => unknown)(...given);
    };
  };
  return { ...code, constrain: counted("constrain"), held: counted("held") };
});

const manual: ChatMessage = { role: "system", content: "Turn the key twice." };
const question: ChatMessage = { role: "user", content: "How often?" };

describe("messages that are read before they are asked about", () => {
  it.each([
    ["a system message", [manual]],
    ["a user's message", [{ role: "user", content: "My text: one, two, three." }]],
    ["a chat", [manual, question, { role: "assistant", content: "Twice." }]],
  ] as [string, ChatMessage[]][])("%s: what follows is read alone", async (_what, messages) => {
    const { engine, fake } = await openFake();
    const usage = await engine.cache.read({ messages });
    expect(usage).toEqual(engine.cache.usage());
    expect(fake.log).toEqual(["start default", "end default"]);
    const read = fake.template.render(messages);
    expect(fake.tokenizer.decode(fake.conversation("default").tokens)).toMatch(read);
    const last = messages.at(-1)!.role === "user" ? [] : [question];
    const answer = await engine.chat.completions.create({ messages: [...messages, ...last] });
    const { cached_tokens: cached } = answer.usage.prompt_tokens_details;
    expect(cached).toBeGreaterThanOrEqual(read.length);
    expect(answer.choices[0].message.content).toBe("hello");
  });

  it("protects a system message that says what to do, and none that is a document", async () => {
    const { engine, fake } = await openFake();
    await engine.cache.read({ messages: [manual] });
    expect(fake.conversation("default").system).toBe(0);
    await engine.cache.read({ messages: [manual, question] });
    expect(fake.conversation("default").system).toBe("<system>Turn the key twice.<user>".length);
  });

  it.each([
    ["a format", { response_format: { type: "json_object" } }],
    ["tools", { tools: [{ type: "function", function: { name: "turn" } }] }],
  ] as [string, object][])("%s is compiled for answers alone", async (_what, asked) => {
    const { engine } = await openFake();
    const request = { messages: [manual, question], ...asked };
    compile.mockClear();
    await engine.cache.read(request);
    await engine.countTokens(request);
    expect(compile).not.toHaveBeenCalled();
    await engine.chat.completions.create(request).catch(() => {});
    expect(compile).toHaveBeenCalledOnce();
  });

  it("tells how far it is, in the conversation that is named, and keeps what was said", async () => {
    const { engine, fake } = await openFake();
    fake.chunk = { tokens: 4, milliseconds: 1 };
    const told: ReadProgress[] = [];
    const onProgress = (progress: ReadProgress): void => void told.push(progress);
    await engine.cache.read({ messages: [manual] }, { conversation: "b", onProgress });
    expect(told.length).toBeGreaterThan(1);
    expect(told.at(-1)!.read).toBe(told.at(-1)!.total);
    expect(fake.log[0]).toBe("start b");
    expect(fake.conversation("b").messages).toEqual([manual]);
  });

  it("is refused like a request, and may be given up", async () => {
    const { engine, fake } = await openFake();
    const read = engine.cache.read.bind(engine.cache);
    await expect(read({ messages: [] })).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(read({ messages: [manual], temprature: 1 } as never)).rejects.toMatchObject({
      code: "invalid_argument",
    });
    const long = { ...manual, content: "a".repeat(1000) };
    const full = expect(read({ messages: [long] })).rejects;
    await full.toMatchObject({ code: "context_overflow" });
    fake.chunk = { tokens: 1, milliseconds: 5 };
    const signal = AbortSignal.timeout(30);
    await expect(read({ messages: [manual] }, { signal })).rejects.toMatchObject({
      code: "aborted",
    });
    await engine.close();
    await expect(read({ messages: [manual] })).rejects.toMatchObject({ code: "closed" });
  });
});
