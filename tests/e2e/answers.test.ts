import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as Winnow from "../../src/index.ts";
import { launchChromium } from "../chromium.ts";
import { type Site, servePackage } from "../firefox/site.ts";
import { CHAT_TEMPLATE, tinyModel } from "../reference/tiny-model/tiny-model.ts";

interface Held {
  winnow: typeof Winnow;
  engine: Winnow.Engine;
}

/** The tiny model, whose template opens a thought unless it is told not to. */
function thinkingModel(): Uint8Array {
  const model = Buffer.from(tinyModel("f32"));
  const template =
    "{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking is defined and not enable_thinking %}!{% else %}<think>{% endif %}";
  const comment = CHAT_TEMPLATE.length - template.length;
  expect(comment).toBeGreaterThan(4);
  const same = `${template}{#${" ".repeat(comment - 4)}#}`;
  model.write(same, model.indexOf(CHAT_TEMPLATE));
  return new Uint8Array(model);
}

describe("answers in Chromium", () => {
  let browser: Browser;
  let page: Page;
  let site: Site;

  beforeAll(async () => {
    site = await servePackage(thinkingModel());
    browser = await launchChromium();
    page = await browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction(() => "winnow" in globalThis);
    await page.evaluate(async (model) => {
      const held = globalThis as unknown as Held;
      held.engine = await held.winnow.createEngine({ model, calibrate: "off" });
    }, `${site.url}models/tiny.gguf`);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  it("a thought streams apart from its answer, and is closed at its budget", async () => {
    const told = await page.evaluate(async () => {
      const { engine } = globalThis as unknown as Held;
      const stream = await engine.chat.completions.create({
        messages: [{ role: "user", content: "hello" }],
        thinking_token_budget: 6,
        max_tokens: 50,
        response_format: { type: "regex", pattern: "[0-9]{4}" },
        stream: true,
      });
      let [content, thought] = ["", ""];
      let usage: Winnow.Usage | undefined;
      for await (const chunk of stream) {
        content += chunk.choices[0].delta.content ?? "";
        thought += chunk.choices[0].delta.reasoning_content ?? "";
        usage = chunk.usage;
      }
      return { content, thought, tokens: usage?.completion_tokens_details?.reasoning_tokens };
    });
    expect(told.content).toMatch(/^\d{4}$/);
    expect(told.thought).not.toContain("think>");
    expect(told.tokens).toBeGreaterThanOrEqual(6);
    const without = await page.evaluate(async () => {
      const { engine } = globalThis as unknown as Held;
      const { choices } = await engine.chat.completions.create({
        messages: [{ role: "user", content: "hello" }],
        reasoning_effort: "none",
        max_tokens: 5,
      });
      return choices[0].message;
    });
    expect(without).not.toHaveProperty("reasoning_content");
  });

  it("log probabilities, biases, several answers and texts", async () => {
    const told = await page.evaluate(async () => {
      const { engine } = globalThis as unknown as Held;
      const text = await engine.completions.create({
        prompt: "Once",
        n: 2,
        max_tokens: 4,
        logprobs: 3,
        logit_bias: { 40: 100 },
        seed: 1,
      });
      const { data } = await engine.models.list();
      return { text, data };
    });
    expect(told.data).toHaveLength(1);
    expect(told.text.choices.map(({ index }) => index)).toEqual([0, 1]);
    for (const { logprobs } of told.text.choices) {
      expect(new Set(logprobs!.tokens).size).toBe(1);
      for (const logprob of logprobs!.token_logprobs) expect(logprob).toBeLessThan(0);
      for (const top of logprobs!.top_logprobs) {
        expect(Object.keys(top).length).toBeGreaterThan(0);
        expect(Object.keys(top).length).toBeLessThanOrEqual(3);
      }
    }
  });
});
