import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import type * as Winnow from "../../src/index.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import { type Site, servePackage } from "./site.ts";

interface Held {
  winnow: typeof Winnow;
}

let site: Site;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  site = await servePackage(tinyModel("f32"));
  browser = await launchFirefox();
  page = await browser.newPage();
  await page.goto(site.url);
  await page.waitForFunction(() => "winnow" in window);
});
afterAll(async () => {
  await browser?.close();
  site?.close();
});

it("a File is a model, and a prompt that is given up leaves the engine usable", async () => {
  const [given, tokens] = await page.evaluate(async () => {
    const { winnow } = window as unknown as Held;
    const bytes = await (await fetch("models/tiny.gguf")).arrayBuffer();
    const engine = await winnow.createEngine({ model: new File([bytes], "mine.gguf") });
    const content = Array.from({ length: 400 }, (_, i) => `basket ${i}`).join(", ");
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    const ask = (content: string) => [{ role: "user" as const, content }];
    const { signal } = abort;
    const given = await engine.chat.completions
      .create({ messages: ask(content), max_tokens: 400 }, { signal })
      .catch((error: Winnow.WinnowError) => error.code);
    const { usage } = await engine.chat.completions.create({
      messages: ask("Hello."),
      max_tokens: 3,
    });
    await engine.close();
    return [given, usage.completion_tokens] as const;
  });
  expect(given).toBe("aborted");
  expect(tokens).toBe(3);
});

it("an error of the worker arrives whole", async () => {
  const error = await page.evaluate(async () => {
    const { createEngine, WinnowError } = (window as unknown as Held).winnow;
    const model = new File([new Uint8Array(64).fill(7)], "mine.gguf");
    const thrown = await createEngine({ model }).catch((error: Winnow.WinnowError) => error);
    if (!(thrown instanceof WinnowError)) return String(thrown);
    const { code, message, hint, details } = thrown;
    return { code, message, hint, details: { ...details } };
  });
  expect(error).toMatchObject({
    code: "bad_model_file",
    message: expect.stringContaining("mine.gguf"),
    hint: expect.stringMatching(/\w/),
    details: expect.objectContaining({}),
  });
});

it("a device that is lost in the middle of an answer changes nothing of it", async () => {
  const [whole, broken, pieces] = await page.evaluate(async () => {
    const { winnow } = window as unknown as Held;
    // The device lives in the engine's worker: a worker around it loses it when told to.
    window.Worker = class extends Worker {
      constructor(url: URL | string, options?: WorkerOptions) {
        const code = `
          const request = GPUAdapter.prototype.requestDevice;
          GPUAdapter.prototype.requestDevice = async function (descriptor) {
            const device = await request.call(this, descriptor);
            new BroadcastChannel("lose").onmessage = () => device.destroy();
            return device;
          };
          const early = [];
          const hold = (event) => early.push(event);
          addEventListener("message", hold);
          await import(${JSON.stringify(String(url))});
          removeEventListener("message", hold);
          for (const { data, ports } of early)
            dispatchEvent(new MessageEvent("message", { data, ports: [...ports] }));`;
        super(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), options);
      }
    };
    const model = new URL("models/tiny.gguf", document.baseURI).href;
    const engine = await winnow.createEngine({ model });
    const answer = async (lose: number): Promise<[string, number]> => {
      const stream = await engine.chat.completions.create({
        messages: [{ role: "user", content: "Hello." }],
        max_tokens: 40,
        temperature: 0,
        stream: true,
      });
      let text = "";
      let pieces = 0;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        pieces += 1;
        if (pieces === lose) new BroadcastChannel("lose").postMessage("now");
      }
      return [text, pieces];
    };
    const [whole] = await answer(0);
    const [broken, pieces] = await answer(4);
    await engine.close();
    return [whole, broken, pieces] as const;
  });
  expect(pieces).toBeGreaterThan(4);
  expect(broken).toBe(whole);
});
