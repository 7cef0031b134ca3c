import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StaticServer } from "../../src/node/static-server.ts";
import { launchChromium } from "../chromium.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { DemoPage, serveBuiltPage } from "./demo-harness.ts";

const OUTPUT = fileURLToPath(new URL("../output/demo", import.meta.url));
const SLOW = 240_000;

/** Enough words that a budget of 96 has something to drop. */
const LONG_QUESTION = `Here is what I have on the table: ${Array.from(
  { length: 12 },
  (_, i) => `basket ${i + 1} holds ${3 * i + 2} red apples and ${2 * i + 1} green pears`,
).join("; ")}. Describe the table to a friend at length.`;

/** A whole visit to the built page: the real engine in its worker, the real model, in order. */
describe("demo with the real model", () => {
  let server: StaticServer;
  let browser: Browser;
  let demo: DemoPage;

  beforeAll(async () => {
    mkdirSync(OUTPUT, { recursive: true });
    server = await serveBuiltPage();
    browser = await launchChromium();
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    demo = new DemoPage(await context.newPage());
    await demo.page.goto(server.url);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  const picture = (name: string): Promise<Buffer> =>
    demo.page.screenshot({ path: `${OUTPUT}/${name}.png` });

  it("loads the model", async () => {
    await demo.at("model-size").waitFor();
    expect(await demo.text(demo.at("gpu"))).toContain("WebGPU");
    await picture("1-before");
    await demo.load();
    expect(await demo.count("memory-total", "bytes")).toBeGreaterThan(90e6);
    expect(await demo.at("status").getAttribute("data-state")).toBe("ready");
  });

  it("streams an answer, and the slider acts while it does", async () => {
    await demo.at("advanced").locator("summary").click();
    await demo.at("temperature").fill("0");
    await demo.at("max-tokens").fill("400");
    await demo.at("max-tokens").press("Tab");
    await demo.send(LONG_QUESTION);
    await demo.streamed(40, SLOW);
    expect(await demo.answer.getAttribute("data-status")).toBe("streaming");
    const before = await demo.count("gauge-bytes", "bytes");
    expect(await demo.count("pairs-evicted")).toBe(0);
    await picture("2-streaming");
    await demo.budgetStep(1);
    await demo.page.waitForFunction(
      ([element, most]) => Number(element?.getAttribute("data-bytes")) <= most,
      [await demo.at("gauge-bytes").elementHandle(), before / 1.8] as const,
      { timeout: SLOW },
    );
    expect(await demo.text(demo.at("budget-value"))).toBe("96 pairs per head");
    expect(await demo.count("pairs-evicted")).toBeGreaterThan(0);
    const length = (await demo.text(demo.answer.locator(".prose"))).length;
    await demo.streamed(length + 20, SLOW);
    await picture("3-after-the-slider");
  });

  it("stops, and keeps what was said", async () => {
    await demo.page.keyboard.press("Escape");
    await demo.settled(SLOW);
    expect(await demo.answer.getAttribute("data-status")).toBe("stopped");
    expect((await demo.text(demo.answer.locator(".prose"))).length).toBeGreaterThan(40);
    await demo.page.waitForTimeout(1500);
    // Every head has dropped something of its own, so that few tokens are whole.
    const words = await demo.text(demo.at("retention-words"));
    const whole = Number(/(\d+)\s+tokens\s+whole/.exec(words)?.[1]);
    expect(whole).toBeLessThan(await demo.count("tokens-seen"));
  });

  it("answers a second question from the cache it has", async () => {
    const kept = await demo.count("tokens-seen");
    await demo.at("max-tokens").fill("12");
    await demo.at("max-tokens").press("Tab");
    await demo.ask("Thank you. And your name?", SLOW);
    expect(await demo.answer.getAttribute("data-status")).toBe("done");
    expect(await demo.count("tokens-reused")).toBeGreaterThan(kept * 0.9);
    await demo.at("read-tokens").click();
    await picture("4-second-turn");
  });

  it("starts a new chat with an empty cache", async () => {
    await demo.at("new-chat").click();
    await demo.at("suggestion").first().waitFor();
    await demo.page.waitForTimeout(500);
    expect(await demo.count("tokens-seen")).toBe(0);
    expect(await demo.count("gauge-bytes", "bytes")).toBe(0);
  });

  it("knows after a reload that the model is stored here, and loads it by one click", async () => {
    await demo.page.reload();
    await demo.page.getByText("Stored here, 98.4 MB: nothing to download").waitFor();
    await picture("5-stored");
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    await demo.at("max-tokens").fill("4");
    await demo.at("max-tokens").press("Tab");
    await demo.at("policy").selectOption("lag-kv");
    await expect.poll(() => demo.at("window").inputValue(), { timeout: SLOW }).toBe("128");
    await demo.ask("Hello", SLOW);
    expect(await demo.answer.getAttribute("data-status")).toBe("done");
  });

  it("says what is wrong with a file of one's own, and loads one that is right", async () => {
    await demo.at("change-model").click();
    await demo.page.getByText("Use a model of your own").click();
    const choose = (name: string, bytes: Uint8Array): Promise<void> =>
      demo.at("model-file").setInputFiles({
        name,
        mimeType: "application/octet-stream",
        buffer: Buffer.from(bytes),
      });
    await choose("broken.gguf", new TextEncoder().encode("GGUF, but nothing else"));
    await demo.at("load-error").waitFor();
    expect(await demo.at("load-error").getAttribute("data-code")).toBe("bad_model_file");
    await choose("tiny.gguf", tinyModel("f32"));
    await demo.at("composer").waitFor({ timeout: SLOW });
    await demo.ask("abc", SLOW);
  });

  it("removes the stored model", async () => {
    await demo.at("change-model").click();
    await demo.at("stored-models").locator("summary").click();
    expect(await demo.text(demo.at("stored-facts"))).toBe("98.4 MB · used today · verified");
    await demo.at("remove").click();
    await demo.at("remove-yes").click();
    await demo.at("stored-models").waitFor({ state: "detached" });
    expect(await demo.text(demo.at("model-size"))).toContain("98.4 MB to download");
  });

  it("has put no warning and no error into the console all the while", () => {
    expect(demo.problems).toEqual([]);
  });
});
