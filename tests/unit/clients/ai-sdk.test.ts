import {
  generateText,
  isStepCount,
  jsonSchema,
  type LanguageModel,
  Output,
  streamText,
  ToolLoopAgent,
  tool,
} from "ai";
import { describe, expect, expectTypeOf, it, vi } from "vitest";
import { createWinnow, doesBrowserSupportWinnow, winnow } from "../../../src/ai-sdk.ts";
import { WinnowError } from "../../../src/errors.ts";
import { call, makerOf, type Reply, ScriptedEngine, text } from "./scripted-engine.ts";

/** A model over a script; `script` holds what it was asked. */
function scripted(reply?: (count: number) => Reply) {
  const script = new ScriptedEngine(reply && ((_asked, count) => reply(count)));
  return { script, model: createWinnow()(script.engine) };
}

const hang = new Promise<never>(() => {});

const weather = tool({
  description: "The weather of a town",
  inputSchema: jsonSchema<{ town: string }>({
    type: "object",
    properties: { town: { type: "string" } },
    required: ["town"],
  }),
  execute: async ({ town }) => ({ town, degrees: 7 }),
});

describe("generateText and streamText of the AI SDK", () => {
  it("answer a prompt: text, reason of the end, names, usage with what the cache had", async () => {
    const { model } = scripted();
    const first = await generateText({ model, prompt: "Hi" });
    expect(first).toMatchObject({ text: "Hello!", finishReason: "stop", rawFinishReason: "stop" });
    expect(first.response).toMatchObject({
      id: "id-1",
      modelId: "scripted",
      timestamp: new Date(7000),
    });
    expect(first.usage.inputTokenDetails).toMatchObject({ cacheReadTokens: 0 });
    const messages = [
      { role: "user" as const, content: "Hi" },
      ...first.responseMessages,
      { role: "user" as const, content: "And now?" },
    ];
    const second = await generateText({ model, messages });
    const { inputTokens, outputTokens, inputTokenDetails, raw } = second.usage;
    const cached = first.usage.inputTokens!;
    expect(inputTokenDetails).toEqual({
      cacheReadTokens: cached,
      cacheWriteTokens: undefined,
      noCacheTokens: inputTokens! - cached,
    });
    expect(outputTokens).toBe(2);
    expect(raw).toMatchObject({ extra: { decode_tokens_per_s: 2 } });
    expect(second.providerMetadata).toEqual({ winnow: { conversation: "ai-sdk-1" } });
  });

  it("stream text, and yield thoughts apart from it, each with a start and an end", async () => {
    const { model } = scripted(() => ({
      deltas: [{ reasoning_content: "Let me " }, { reasoning_content: "see." }, ...text("4", "2")],
    }));
    const result = streamText({ model, prompt: "Six by seven?" });
    const seen: string[] = [];
    for await (const part of result.fullStream)
      if (/^(text|reasoning)-/.test(part.type)) seen.push(part.type);
    expect(seen).toEqual([
      "reasoning-start",
      "reasoning-delta",
      "reasoning-delta",
      "reasoning-end",
      "text-start",
      "text-delta",
      "text-delta",
      "text-end",
    ]);
    expect(await result.reasoningText).toBe("Let me see.");
    expect(await result.text).toBe("42");
    expect((await result.usage).outputTokenDetails).toEqual({ textTokens: 2, reasoningTokens: 2 });
  });

  it("give thoughts of whole answers apart, and send them back in the next turn", async () => {
    const { model, script } = scripted(() => ({
      deltas: [{ reasoning_content: "Hm." }, ...text("42")],
    }));
    const { reasoningText, responseMessages } = await generateText({ model, prompt: "?" });
    expect(reasoningText).toBe("Hm.");
    await generateText({
      model,
      messages: [...responseMessages, { role: "user", content: "Why?" }],
    });
    expect(script.asked[1]!.request.messages[0]).toEqual({
      role: "assistant",
      content: "42",
      reasoning_content: "Hm.",
    });
  });

  it("give objects of a schema", async () => {
    const { model, script } = scripted(() => ({ deltas: text('{"town":', '"Oslo"}') }));
    const schema = jsonSchema<{ town: string }>({
      type: "object",
      properties: { town: { type: "string" } },
      required: ["town"],
      additionalProperties: false,
    });
    const output = Output.object({ schema, name: "place", description: "A town" });
    expect((await generateText({ model, prompt: "Where?", output })).output).toEqual({
      town: "Oslo",
    });
    const streamed = streamText({ model, prompt: "Where?", output });
    const partial: unknown[] = [];
    for await (const one of streamed.partialOutputStream) partial.push(one);
    expect(partial.at(-1)).toEqual({ town: "Oslo" });
    expect(script.asked.map(({ request }) => request.response_format)).toEqual(
      Array(2).fill({
        type: "json_schema",
        json_schema: { name: "place", description: "A town", schema: await schema.jsonSchema },
      }),
    );
    await generateText({ model, prompt: "Anything", output: Output.json() });
    expect(script.asked[2]!.request.response_format).toEqual({ type: "json_object" });
  });

  const loop = (count: number): Reply =>
    count < 2
      ? {
          deltas: call(`call-${count}`, "weather", `{"town":"Town ${count}"}`),
          finish: "tool_calls",
        }
      : { deltas: text("Cold."), finish: "stop" };

  it.each(["whole", "streamed"])("run a loop of three steps with a tool: %s", async (kind) => {
    const { model, script } = scripted(loop);
    const settings = { model, tools: { weather }, prompt: "Weather?", stopWhen: isStepCount(5) };
    const result =
      kind === "whole"
        ? await generateText(settings)
        : streamText({ ...settings, prompt: "Weather?" });
    const steps = await result.steps;
    expect(steps.map(({ finishReason }) => finishReason)).toEqual([
      "tool-calls",
      "tool-calls",
      "stop",
    ]);
    expect(steps[0]!.toolResults).toMatchObject([{ output: { town: "Town 0", degrees: 7 } }]);
    expect(await result.text).toBe("Cold.");
    expect(script.asked[2]!.request.messages).toEqual([
      { role: "user", content: [{ type: "text", text: "Weather?" }] },
      ...[0, 1].flatMap((i) => [
        {
          role: "assistant",
          content: "",
          tool_calls: [
            {
              id: `call-${i}`,
              type: "function",
              function: { name: "weather", arguments: `{"town":"Town ${i}"}` },
            },
          ],
        },
        {
          role: "tool",
          tool_call_id: `call-${i}`,
          name: "weather",
          content: `{"town":"Town ${i}","degrees":7}`,
        },
      ]),
    ]);
    expect(script.asked[0]!.request).toMatchObject({
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "The weather of a town",
            parameters: { required: ["town"] },
          },
        },
      ],
      tool_choice: "auto",
    });
    // Each step finds the one before in the cache.
    expect(new Set(script.asked.map(({ options }) => options.conversation)).size).toBe(1);
    expect(steps[2]!.usage.inputTokenDetails.cacheReadTokens).toBe(steps[1]!.usage.inputTokens);
  });

  it("stream the input of calls, several in one answer", async () => {
    const { model } = scripted(() => ({
      deltas: [
        ...text("Wait."),
        ...call("a", "weather", '{"town":"A"}', 0),
        ...call("b", "weather", '{"town":"B"}', 1),
      ],
      finish: "tool_calls",
    }));
    const { stream } = await model.doStream({ prompt: [] });
    const parts = [];
    for await (const part of stream) parts.push(part);
    expect(parts.slice(2, -1)).toEqual([
      { type: "text-start", id: "text-0" },
      { type: "text-delta", id: "text-0", delta: "Wait." },
      { type: "text-end", id: "text-0" },
      ...["A", "B"].flatMap((town) => {
        const id = town.toLowerCase();
        return [
          { type: "tool-input-start", id, toolName: "weather" },
          { type: "tool-input-delta", id, delta: '{"town' },
          { type: "tool-input-delta", id, delta: `":"${town}"}` },
          { type: "tool-input-end", id },
          { type: "tool-call", toolCallId: id, toolName: "weather", input: `{"town":"${town}"}` },
        ];
      }),
    ]);
  });

  it("run agents", async () => {
    const { model } = scripted(loop);
    const agent = new ToolLoopAgent({ model, tools: { weather }, instructions: "Be brief." });
    expect((await agent.generate({ prompt: "Weather?" })).text).toBe("Cold.");
  });
});

describe("settings of the AI SDK", () => {
  it("reach the engine by its names", async () => {
    const { model, script } = scripted(() => ({
      deltas: call("1", "weather", "{}"),
      finish: "tool_calls",
    }));
    await generateText({
      model,
      system: "Be brief.",
      prompt: "Hi",
      maxOutputTokens: 9,
      temperature: 0.1,
      topP: 0.9,
      topK: 40,
      presencePenalty: 0.2,
      frequencyPenalty: 0.3,
      stopSequences: ["END"],
      seed: 5,
      reasoning: "low",
      tools: { weather },
      toolChoice: { type: "tool", toolName: "weather" },
      providerOptions: { winnow: { min_p: 0.05, conversation: "mine", temperature: 5 } },
    });
    const [{ request, options }] = script.asked as [(typeof script.asked)[0]];
    expect(options.conversation).toBe("mine");
    expect(request).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "Hi" }] },
      ],
      max_tokens: 9,
      temperature: 0.1,
      top_p: 0.9,
      top_k: 40,
      presence_penalty: 0.2,
      frequency_penalty: 0.3,
      stop: ["END"],
      seed: 5,
      reasoning_effort: "low",
      tool_choice: { type: "function", function: { name: "weather" } },
      min_p: 0.05,
    });
    expect(request).not.toHaveProperty("conversation");
  });

  it("that were not given are not sent", async () => {
    const { model, script } = scripted();
    await generateText({ model, prompt: "Hi" });
    expect(Object.keys(script.asked[0]!.request).sort()).toEqual(["messages", "stream"]);
  });

  it("that cannot be followed are warnings: tools of providers, examples, parts of other models' answers", async () => {
    const { model } = scripted();
    const { warnings } = await model.doGenerate({
      prompt: [
        {
          role: "assistant",
          content: [
            { type: "text", text: "See" },
            { type: "file", mediaType: "image/png", data: { type: "data", data: "AA==" } },
          ],
        },
      ],
      tools: [
        { type: "provider", id: "other.search", name: "search", args: {} },
        {
          type: "function",
          name: "weather",
          inputSchema: { type: "object" },
          inputExamples: [{ input: {} }],
        },
      ],
    });
    expect(warnings).toEqual([
      expect.objectContaining({
        type: "unsupported",
        feature: "file parts in an assistant's message",
      }),
      { type: "unsupported", feature: "provider-defined tool other.search" },
      { type: "unsupported", feature: "inputExamples of the tool weather" },
    ]);
  });

  it("files of text are read, images are refused by their place", async () => {
    const { model, script } = scripted();
    const file = (mediaType: string, data: string | Uint8Array) =>
      generateText({
        model,
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "Sum up: " },
              { type: "file", mediaType, data },
            ],
          },
        ],
      });
    await file("text/markdown", new TextEncoder().encode("# Häuser"));
    await file("application/json", btoa('{"a":1}'));
    expect(script.asked.map(({ request }) => request.messages[0]!.content)).toEqual([
      [expect.anything(), { type: "text", text: "# Häuser" }],
      [expect.anything(), { type: "text", text: '{"a":1}' }],
    ]);
    await expect(file("image/png", new Uint8Array(4))).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("prompt[0].content[1]"),
    });
  });

  it("results of tools of every kind are texts", async () => {
    const { model, script } = scripted();
    const outputs = [
      { type: "text" as const, value: "plain" },
      { type: "json" as const, value: { a: [1] } },
      { type: "error-text" as const, value: "broken" },
      { type: "error-json" as const, value: { code: 7 } },
      { type: "execution-denied" as const },
      { type: "execution-denied" as const, reason: "not now" },
      {
        type: "content" as const,
        value: [
          { type: "text" as const, text: "a" },
          { type: "text" as const, text: "b" },
        ],
      },
    ];
    await model.doGenerate({
      prompt: outputs.map((output) => ({
        role: "tool" as const,
        content: [{ type: "tool-result" as const, toolCallId: "1", toolName: "t", output }],
      })),
    });
    expect(script.asked[0]!.request.messages.map(({ content }) => content)).toEqual([
      "plain",
      '{"a":[1]}',
      "broken",
      '{"code":7}',
      "The user did not allow this call.",
      "not now",
      "ab",
    ]);
  });
});

describe("an abort", () => {
  it("of a whole answer rejects with the signal's reason, and with an AbortError for any other reason", async () => {
    const { model } = scripted(() => ({ deltas: [], after: hang }));
    const control = new AbortController();
    const answer = generateText({ model, prompt: "Hi", abortSignal: control.signal });
    setTimeout(() => control.abort(), 10);
    const thrown = await answer.catch((error) => error);
    expect(thrown).toBe(control.signal.reason);
    const other = new AbortController();
    setTimeout(() => other.abort("enough"), 10);
    await expect(
      generateText({ model, prompt: "Hi", abortSignal: other.signal }),
    ).rejects.toMatchObject({ name: "AbortError", message: expect.stringContaining("enough") });
  });

  it("of a stream ends it with an abort part after what was said", async () => {
    const { model, script } = scripted(() => ({ deltas: text(..."a long answer") }));
    const control = new AbortController();
    const onAbort = vi.fn();
    const onError = vi.fn();
    const result = streamText({
      model,
      prompt: "Hi",
      abortSignal: control.signal,
      onAbort,
      onError,
    });
    let said = "";
    const kinds: string[] = [];
    for await (const part of result.fullStream) {
      kinds.push(part.type);
      if (part.type === "text-delta") said += part.text;
      if (said.length === 3) control.abort();
    }
    expect(said.length).toBeLessThan(6);
    expect(kinds.at(-1)).toBe("abort");
    expect(onAbort).toHaveBeenCalledOnce();
    expect(onError).not.toHaveBeenCalled();
    await vi.waitFor(() => expect(script.left).toBe(1));
  });

  it("before the engine is loaded ends the wait, not the load", async () => {
    const script = new ScriptedEngine();
    let loaded = (): void => {};
    const loading = new Promise<void>((resolve) => {
      loaded = resolve;
    });
    const maker = makerOf(
      () => script,
      () => loading,
    );
    const model = createWinnow({ from: maker })("some-model");
    const signal = AbortSignal.timeout(10);
    await expect(generateText({ model, prompt: "Hi", abortSignal: signal })).rejects.toMatchObject({
      name: "TimeoutError",
    });
    loaded();
    expect((await generateText({ model, prompt: "Hi" })).text).toBe("Hello!");
    expect(maker.made).toHaveLength(1);
  });

  it("a reader that leaves stops the engine's answer, also before the first token", async () => {
    const { model, script } = scripted(() => ({ deltas: text("never"), after: hang }));
    const { stream } = await model.doStream({ prompt: [] });
    const control = new AbortController();
    const { script: other, model: talking } = scripted(() => ({
      deltas: text(..."a long answer"),
    }));
    const reader = (
      await talking.doStream({ prompt: [], abortSignal: control.signal })
    ).stream.getReader();
    for (let i = 0; i < 5; i++) await reader.read();
    await reader.cancel();
    expect(other.left).toBe(1);
    void stream.cancel();
    expect(script.asked).toHaveLength(1);
  });
});

describe("errors of the engine", () => {
  const error = new WinnowError("context_overflow", "the prompt has 9000 tokens", {
    hint: "Shorten it.",
  });

  it("reject whole answers as they are", async () => {
    const { model } = scripted(() => ({ deltas: text("a"), error }));
    await expect(generateText({ model, prompt: "Hi", maxRetries: 0 })).rejects.toBe(error);
  });

  it("are parts of a stream, which then ends", async () => {
    const { model } = scripted(() => ({ deltas: text("a"), error }));
    const seen: unknown[] = [];
    const onError = vi.fn();
    const result = streamText({ model, prompt: "Hi", onError });
    for await (const part of result.fullStream) if (part.type === "error") seen.push(part.error);
    expect(seen).toEqual([error]);
    expect(onError).toHaveBeenCalledOnce();
    expect(await result.finishReason).toBe("error");
  });
});

describe("conversations", () => {
  const turn = (content: string) => ({ role: "user" as const, content });
  const said = { role: "assistant" as const, content: "Hello!" };

  it("a chat keeps its own beside others; an answer asked anew and an edited last message stay in it", async () => {
    const { model, script } = scripted();
    const ask = async (...messages: Parameters<typeof generateText>[0]["messages"] & object) => {
      await generateText({ model, messages });
      return script.asked.at(-1)!.options.conversation;
    };
    const a = await ask(turn("A"));
    const b = await ask(turn("B"));
    expect(b).not.toBe(a);
    expect(await ask(turn("A"), said, turn("more"))).toBe(a);
    expect(await ask(turn("B"), said, turn("more"))).toBe(b);
    expect(await ask(turn("A"), said, turn("more"))).toBe(a);
    expect(await ask(turn("A"), said, turn("other"))).toBe(a);
    expect(await ask(turn("A"))).toBe(a);
  });

  it("a system prompt alone does not make two chats one", async () => {
    const { model, script } = scripted();
    for (const prompt of ["A", "B"]) await generateText({ model, system: "Be brief.", prompt });
    expect(new Set(script.asked.map(({ options }) => options.conversation)).size).toBe(2);
  });

  it("two answers at once to the same prompt do not wait for each other", async () => {
    const { model, script } = scripted();
    await Promise.all([
      generateText({ model, prompt: "Hi" }),
      generateText({ model, prompt: "Hi" }),
    ]);
    expect(new Set(script.asked.map(({ options }) => options.conversation)).size).toBe(2);
  });

  it("many short calls share a handful, and model objects over one engine know each other's", async () => {
    const script = new ScriptedEngine();
    const provider = createWinnow();
    for (let i = 0; i < 30; i++)
      await generateText({ model: provider(script.engine), prompt: `Question ${i}` });
    expect(script.conversations.size).toBe(8);
  });

  it("are free again after an abort, an error, and a reader that left", async () => {
    const { model, script } = scripted((count) =>
      count < 3
        ? { deltas: text("a", "b", "c"), error: new WinnowError("internal", "broken") }
        : { deltas: text("d") },
    );
    await generateText({ model, prompt: "Hi", maxRetries: 0 }).catch(() => {});
    const control = new AbortController();
    control.abort();
    const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hi" }] }];
    await model.doGenerate({ prompt, abortSignal: control.signal }).catch(() => {});
    const { stream } = await model.doStream({ prompt });
    await stream.cancel();
    await generateText({ model, prompt: "Hi" });
    expect(new Set(script.asked.map(({ options }) => options.conversation)).size).toBe(1);
  });
});

describe("a provider", () => {
  it("loads a model once, when it is first asked, for all its objects of the same settings", async () => {
    const script = new ScriptedEngine();
    const maker = makerOf(() => script);
    const provider = createWinnow({ from: maker, cache: { budget: 512 } });
    const model = () => provider("some-model", { onProgress: () => {} });
    await Promise.all([
      generateText({ model: model(), prompt: "Hi" }),
      generateText({ model: model(), prompt: "Hi" }),
    ]);
    expect(maker.made).toHaveLength(1);
    expect(maker.made[0]).toMatchObject({ model: "some-model", cache: { budget: 512 } });
    await provider("some-model", { cache: { budget: 128 } }).engine();
    await provider({ repo: "a/b", file: "c.gguf" }).engine();
    await provider({ repo: "a/b", file: "c.gguf" }).engine();
    expect(maker.made).toHaveLength(3);
    expect(provider({ repo: "a/b", file: "c.gguf" }).modelId).toBe("a/b/c.gguf");
  });

  it("loads anew after a failed load, after close, and where an engine is closed", async () => {
    let scripts: ScriptedEngine[] = [];
    let failing = true;
    const maker = makerOf(
      () => {
        scripts = [...scripts, new ScriptedEngine()];
        return scripts.at(-1)!;
      },
      async () => {
        if (failing) throw new WinnowError("network", "gone");
      },
    );
    const model = createWinnow({ from: maker })("m");
    await expect(model.engine()).rejects.toMatchObject({ code: "network" });
    failing = false;
    await model.engine();
    await model.close();
    expect(scripts[0]!.closed).toBe(true);
    await generateText({ model, prompt: "Hi" });
    await (await model.engine()).close();
    await expect(generateText({ model, prompt: "Hi", maxRetries: 0 })).rejects.toMatchObject({
      code: "closed",
    });
    expect((await generateText({ model, prompt: "Hi" })).text).toBe("Hello!");
    expect(maker.made).toHaveLength(4);
  });

  it("close ends a load that is under way", async () => {
    const maker = makerOf(
      () => new ScriptedEngine(),
      ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(new WinnowError("aborted", "stopped")));
        }),
    );
    const model = createWinnow({ from: maker })("m");
    const engine = model.engine();
    await model.close();
    await expect(engine).rejects.toMatchObject({ code: "aborted" });
  });

  it("leaves an engine that was given to its owner", async () => {
    const { model, script } = scripted();
    await model.close();
    expect(script.closed).toBe(false);
    expect(await model.availability()).toBe("available");
  });

  it("tells how much of a download is done, from 0 to 1, and whether there is one to come", async () => {
    const maker = makerOf(
      () => new ScriptedEngine(),
      async ({ onProgress }) => {
        onProgress?.({ stage: "resolve", loaded: 0, total: 1 });
        for (const loaded of [0, 25, 100]) onProgress?.({ stage: "download", loaded, total: 100 });
        onProgress?.({ stage: "upload", loaded: 5, total: 10 });
      },
    );
    const seen: unknown[] = [];
    const all = vi.fn();
    const model = createWinnow({ from: maker })("smollm2-135m-instruct", { onProgress: all });
    expect(await model.availability()).toBe("downloadable");
    const loading = model.createSessionWithProgress((progress) => seen.push(progress));
    expect(await model.availability()).toBe("downloading");
    expect(await loading).toBe(model);
    expect(seen).toEqual([0, 0.25, 1]);
    expect(all).toHaveBeenCalledTimes(5);
    expect(await model.availability()).toBe("available");
  });

  it("knows what is stored, files that are here, paths, and names that nobody knows", async () => {
    const stored = {
      name: "m",
      source: "https://huggingface.co/a/b/resolve/main/c.gguf",
      bytes: 1,
      verified: true,
      lastUsed: undefined,
    };
    const from = {
      ...makerOf(() => new ScriptedEngine()),
      listModels: async () => [
        { ...stored, complete: true },
        { ...stored, source: "smollm2-135m-instruct", complete: false },
      ],
    };
    const provider = createWinnow({ from });
    expect(await provider({ repo: "a/b", file: "c.gguf" }).availability()).toBe("available");
    expect(await provider("smollm2-135m-instruct").availability()).toBe("downloadable");
    expect(await provider(new Blob(["GGUF"])).availability()).toBe("available");
    expect(await provider("./models/my.gguf").availability()).toBe("available");
    expect(await provider("gpt-5").availability()).toBe("unavailable");
  });

  it("says where there is no WebGPU", async () => {
    expect(doesBrowserSupportWinnow()).toBe(false);
    expect(await winnow("smollm2-135m-instruct").availability()).toBe("unavailable");
  });

  it("has language models alone", () => {
    expect(() => winnow.embeddingModel("e")).toThrow(WinnowError);
    expect(() => winnow.imageModel("e")).toThrow(WinnowError);
    expect(winnow.languageModel("a").modelId).toBe("a");
    expectTypeOf(winnow("a")).toExtend<LanguageModel>();
  });
});
