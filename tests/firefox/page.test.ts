import { readFileSync } from "node:fs";
import type { Browser, ElementHandle, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPage, defaultModel } from "../e2e/demo-harness.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import { type Site, serveFolder } from "./site.ts";

const SLOW = 300_000;
const MODELS = [
  { name: "a tiny model at an address", bytes: () => tinyModel("f32"), byAddress: true },
  { name: "the default model", bytes: () => readFileSync(defaultModel()), byAddress: false },
];
const QUESTION = `Here is a list: ${Array.from({ length: 10 }, (_, i) => `basket ${i} holds ${3 * i} apples`).join("; ")}. Say it again.`;

let folder: string;
beforeAll(async () => {
  folder = await buildPage("firefox-site");
});

/** A whole visit to the built page, in order. */
describe.each(MODELS)("the page in Firefox, with $name", ({ bytes, byAddress }) => {
  const model = bytes();
  const problems: string[] = [];
  let browser: Browser;
  let page: Page;
  let site: Site;

  beforeAll(async () => {
    site = await serveFolder(folder, model);
    browser = await launchFirefox();
    page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warn"].includes(message.type())) problems.push(message.text());
    });
    await page.goto(site.url);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const until = (what: () => Promise<boolean>) => expect.poll(what, { timeout: SLOW }).toBe(true);

  /** The last element of a selector through shadow roots, once there is one: their changes are not observed, so asked for. */
  async function find(selector: string): Promise<ElementHandle<HTMLInputElement>> {
    await until(async () => (await page.$(selector)) !== null);
    return (await page.$$(selector)).at(-1) as ElementHandle<HTMLInputElement>;
  }
  const at = (testId: string) => find(`>>> [data-testid="${testId}"]`);
  const click = async (selector: string) =>
    (await find(selector)).evaluate((element) => element.click());
  const data = async (testId: string, name: string): Promise<string | null> =>
    (await at(testId)).evaluate((element, name) => element.getAttribute(`data-${name}`), name);
  const number = async (testId: string, name = "count") => Number(await data(testId, name));
  const answer = async (): Promise<string> =>
    (await at("message-assistant")).evaluate(
      (element) => element.querySelector(".prose")?.textContent?.trim() ?? "",
    );

  /** As a user who types it does, and goes on to the next field. */
  async function set(testId: string, value: string): Promise<void> {
    await (await at(testId)).evaluate((element, value) => {
      element.focus();
      element.value = value;
      for (const type of ["input", "change"])
        element.dispatchEvent(new Event(type, { bubbles: true }));
    }, value);
  }
  async function send(text: string): Promise<void> {
    await set("composer", text);
    await page.keyboard.press("Enter");
    await at("stop");
  }

  async function load(): Promise<void> {
    if (byAddress) {
      await click(">>> own-model >>> summary");
      await set("model-url", new URL("models/tiny.gguf", site.url).href);
      await page.keyboard.press("Enter");
    } else await click('>>> [data-testid="load"]');
    await at("composer");
  }

  it("loads the model", async () => {
    await load();
    expect(site.sent).toBe(model.length);
    expect(await data("status", "state")).toBe("ready");
    expect(await number("memory-total", "bytes")).toBeGreaterThan(model.length * 0.8);
  });

  it("streams an answer, moves the budget while it does, and stops", async () => {
    await click('>>> [data-testid="advanced"] >>> summary');
    await set("temperature", "0");
    await set("max-tokens", "400");
    await send(QUESTION);
    await until(async () => (await answer()).length > 20);
    const before = await number("gauge-bytes", "bytes");
    await set("budget", "0");
    await until(async () => (await number("gauge-bytes", "bytes")) < before / 1.5);
    expect(await number("pairs-evicted")).toBeGreaterThan(0);
    await page.keyboard.press("Escape");
    await at("send");
    expect(await data("message-assistant", "status")).toBe("stopped");
    expect((await answer()).length).toBeGreaterThan(20);
  });

  it("answers a second question", async () => {
    const kept = await number("tokens-seen");
    await set("max-tokens", "8");
    await send("Thank you. And your name?");
    await at("send");
    expect(await data("message-assistant", "status")).toBe("done");
    // What the tiny model says is no text that gives the same tokens again.
    if (!byAddress) expect(await number("tokens-reused")).toBeGreaterThan(kept * 0.9);
  });

  it("takes the model from the browser's storage after a reload", async () => {
    await page.reload();
    await load();
    // A file of no known hash is asked after, with one byte.
    expect(site.sent - model.length).toBeLessThanOrEqual(1);
    await send("Hello!");
    await at("send");
  });

  it("says nothing on the console in all of this", () => {
    expect(problems).toEqual([]);
  });
});
