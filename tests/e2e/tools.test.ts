import type OpenAI from "openai";
import { expect, it } from "vitest";
import type * as Winnow from "../../src/index.ts";
import { launchChromium } from "../chromium.ts";
import { servePackage } from "../firefox/site.ts";
import { TINY_MODELS, tinyGguf } from "../reference/tiny-model/tiny-model.ts";
import { TOOL_TEXTS } from "../reference/tiny-model/tool-templates.ts";

interface Held {
  winnow: typeof Winnow;
}

it("in Chromium a request that the openai package types streams calls of tools, and takes their results", async () => {
  const site = await servePackage(tinyGguf("f32", TINY_MODELS.f32, 8192, TOOL_TEXTS.hermes));
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction(() => "winnow" in globalThis);
    const told = await page.evaluate(async (model) => {
      const { winnow } = globalThis as unknown as Held;
      const engine = await winnow.createEngine({ model, calibrate: "off" });
      const request: OpenAI.ChatCompletionCreateParamsStreaming = {
        model: "tiny",
        messages: [{ role: "user", content: "Is it warm in Paris?" }],
        tools: [
          {
            type: "function",
            function: {
              name: "get_weather",
              parameters: {
                type: "object",
                properties: { city: { type: "string", maxLength: 6 } },
                required: ["city"],
                additionalProperties: false,
              },
            },
          },
        ],
        tool_choice: "required",
        parallel_tool_calls: false,
        temperature: 1,
        seed: 3,
        stream: true,
      };
      const call = { id: "", name: "", arguments: "" };
      let finish: string | null = null;
      for await (const { choices } of await engine.chat.completions.create(request)) {
        for (const { id, function: part } of choices[0].delta.tool_calls ?? []) {
          call.id += id ?? "";
          call.name += part?.name ?? "";
          call.arguments += part?.arguments ?? "";
        }
        finish = choices[0].finish_reason ?? finish;
      }
      const { id, ...made } = call;
      const next = await engine.chat.completions.create({
        ...request,
        messages: [
          ...request.messages,
          { role: "assistant", tool_calls: [{ id, type: "function", function: made }] },
          { role: "tool", tool_call_id: id, content: "12 degrees" },
        ],
        tool_choice: "none",
        max_tokens: 3,
        stream: false,
      });
      await engine.close();
      return { call, finish, again: next.choices[0].message, usage: next.usage };
    }, `${site.url}models/tiny.gguf`);
    expect(told.finish).toBe("tool_calls");
    expect(told.call.name).toBe("get_weather");
    expect(JSON.parse(told.call.arguments)).toEqual({ city: expect.any(String) });
    expect(told.again).not.toHaveProperty("tool_calls");
    expect(told.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(100);
  } finally {
    await browser.close();
    site.close();
  }
});
