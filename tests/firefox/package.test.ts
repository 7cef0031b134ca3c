import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as Winnow from "../../src/index.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import { type Site, servePackage } from "./site.ts";

/** What a test keeps in the page's window. */
interface Held {
  winnow: typeof Winnow;
  engine: Winnow.Engine;
}

const BUDGET = 1024;
const SQUEEZED = 64;

const QUESTION = `Here is a list: ${Array.from({ length: 10 }, (_, i) => `basket ${i} holds ${3 * i} apples`).join("; ")}. Say it again.`;

/** A visit to an app in Firefox, in order: what is said below of one step holds for the next. */
describe("the package in Firefox, with a tiny model", () => {
  const model = tinyModel("f32");
  let browser: Browser;
  let page: Page;
  let site: Site;
  const problems: string[] = [];

  beforeAll(async () => {
    site = await servePackage(model);
    browser = await launchFirefox();
    page = await browser.newPage();
    page.on("console", (message) => problems.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => problems.push(String(error)));
    await page.goto(site.url);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const load = () =>
    page.evaluate(async (budget) => {
      const held = window as unknown as Held;
      const start = performance.now();
      const model = new URL("models/tiny.gguf", document.baseURI).href;
      held.engine = await held.winnow.createEngine({ model, cache: { budget } });
      const { notices } = held.engine.info();
      const seconds = (performance.now() - start) / 1000;
      return { notices, seconds, policy: held.engine.cache.usage().policy };
    }, BUDGET);

  /** Asks, and moves the budget after `move` tokens or stops after `stop`. */
  const ask = (
    messages: { role: "user" | "assistant"; content: string }[],
    options: { tokens: number; move?: number; stop?: number },
  ) =>
    page.evaluate(
      async (messages, { tokens, move, stop }) => {
        const { engine } = window as unknown as Held;
        const abort = new AbortController();
        const stream = await engine.chat.completions.create(
          {
            messages,
            stream: true,
            max_tokens: tokens,
            temperature: 0,
            stream_options: { include_usage: true },
          },
          { signal: abort.signal },
        );
        let text = "";
        let pieces = 0;
        let usage: Winnow.ChatCompletionChunk["usage"];
        let error: string | undefined;
        const start = performance.now();
        try {
          for await (const chunk of stream) {
            text += chunk.choices[0]?.delta.content ?? "";
            usage = chunk.usage ?? usage;
            pieces += 1;
            if (move !== undefined && pieces === 4) await engine.cache.configure({ budget: move });
            if (pieces === stop) abort.abort();
          }
        } catch (thrown) {
          error = (thrown as { code?: string }).code ?? String(thrown);
        }
        const seconds = (performance.now() - start) / 1000;
        return { text, pieces, usage, error, seconds, cache: engine.cache.usage() };
      },
      messages,
      options,
    );

  it("loads the model from the network", async () => {
    const { policy, notices, seconds } = await load();
    expect(site.sent).toBe(model.length);
    // The tiny model has no calibration.
    expect(policy).toBe("k-norm");
    expect(notices).toEqual([expect.stringContaining("k-norm is used")]);
    console.log(`loaded in ${seconds.toFixed(1)} s`);
  });

  const question = { role: "user" as const, content: QUESTION };
  let first: Awaited<ReturnType<typeof ask>>;

  it("answers", async () => {
    first = await ask([question], { tokens: 24 });
    expect(first.error).toBeUndefined();
    expect(first.pieces).toBeGreaterThan(5);
    expect(first.text.length).toBeGreaterThan(10);
    console.log(`prompt and 24 tokens in ${first.seconds.toFixed(1)} s`);
  });

  it("takes a second turn from the cache, and a budget moved in the middle frees memory", async () => {
    const answer = { role: "assistant" as const, content: first.text };
    const more = { role: "user" as const, content: "Once more." };
    const second = await ask([question, answer, more], { tokens: 48, move: SQUEEZED });
    expect(second.error).toBeUndefined();
    const { prompt_tokens } = first.usage!;
    const cached = second.usage?.prompt_tokens_details?.cached_tokens;
    expect(cached).toBeGreaterThan(prompt_tokens * 0.9);
    expect(second.cache).toMatchObject({ budget: SQUEEZED, policy: "k-norm" });
    expect(second.cache.pairsEvicted).toBeGreaterThan(0);
    expect(second.cache.bytes).toBeLessThan(first.cache.bytes);
    console.log(`${cached} cached; 48 tokens in ${second.seconds.toFixed(1)} s`);
  });

  it("holds an answer to a JSON schema, with code that it loads then", async () => {
    const text = await page.evaluate(async () => {
      const { engine } = window as unknown as Held;
      const schema = {
        type: "object",
        properties: {
          baskets: { type: "integer", minimum: 0, maximum: 99 },
          full: { type: "boolean" },
        },
        required: ["baskets", "full"],
        additionalProperties: false,
      };
      const answer = await engine.chat.completions.create({
        messages: [{ role: "user", content: "How many baskets are there?" }],
        response_format: { type: "json_schema", json_schema: { name: "count", schema } },
        max_tokens: 64,
        seed: 1,
      });
      return answer.choices[0].message.content;
    });
    const { baskets, full } = JSON.parse(text) as { baskets: number; full: boolean };
    expect(Number.isInteger(baskets) && baskets >= 0 && baskets <= 99).toBe(true);
    expect(typeof full).toBe("boolean");
  });

  it("stops in the middle of an answer, and answers again", async () => {
    const stopped = await ask([question], { tokens: 200, stop: 4 });
    expect(stopped.error).toBe("aborted");
    expect(stopped.pieces).toBeLessThan(10);
    const again = await ask([question], { tokens: 4 });
    expect(again.error).toBeUndefined();
    expect(again.usage?.completion_tokens).toBe(4);
  });

  it("takes the model from the browser's storage after a reload", async () => {
    const before = site.sent;
    await page.reload();
    await page.waitForFunction(() => "winnow" in window);
    const { seconds } = await load();
    // The file has no known hash: whether it has changed is asked for with one byte.
    expect(site.sent - before).toBeLessThanOrEqual(1);
    const answer = await ask([question], { tokens: 4 });
    expect(answer.usage?.completion_tokens).toBe(4);
    console.log(`loaded again in ${seconds.toFixed(1)} s`);
  });

  it("says nothing on the console in all of this", () => {
    expect(problems).toEqual([]);
  });
});
