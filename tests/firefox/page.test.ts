import { readFileSync } from "node:fs";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPage, defaultModel } from "../e2e/demo-harness.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import { PageDriver } from "./page-driver.ts";
import { type Site, serveFolder } from "./site.ts";

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
  let browser: Browser;
  let demo: PageDriver;
  let site: Site;

  beforeAll(async () => {
    site = await serveFolder(folder, model);
    browser = await launchFirefox();
    demo = new PageDriver(await browser.newPage());
    await demo.page.setViewport({ width: 1280, height: 900 });
    await demo.page.goto(site.url);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const load = (): Promise<void> =>
    byAddress ? demo.loadFrom(new URL("models/tiny.gguf", site.url).href) : demo.load();

  it("loads the model", async () => {
    await load();
    expect(site.sent).toBe(model.length);
    expect(await demo.data("status", "state")).toBe("ready");
    expect(await demo.number("memory-total", "bytes")).toBeGreaterThan(model.length * 0.8);
  });

  it("streams an answer, moves the budget while it does, and stops", async () => {
    await demo.open("advanced");
    await demo.set("temperature", "0");
    await demo.set("max-tokens", "400");
    await demo.send(QUESTION);
    await demo.until(async () => (await demo.answer()).length > 20);
    const before = await demo.number("gauge-bytes", "bytes");
    await demo.set("budget", "0");
    await demo.until(async () => (await demo.number("gauge-bytes", "bytes")) < before / 1.5);
    expect(await demo.number("pairs-evicted")).toBeGreaterThan(0);
    await demo.page.keyboard.press("Escape");
    await demo.at("send");
    expect(await demo.data("message-assistant", "status")).toBe("stopped");
    expect((await demo.answer()).length).toBeGreaterThan(20);
  });

  it("answers a second question", async () => {
    const kept = await demo.number("tokens-seen");
    await demo.set("max-tokens", "8");
    await demo.send("Thank you. And your name?");
    await demo.at("send");
    expect(await demo.data("message-assistant", "status")).toBe("done");
    // What the tiny model says is no text that gives the same tokens again.
    if (!byAddress) expect(await demo.number("tokens-reused")).toBeGreaterThan(kept * 0.9);
  });

  it("takes the model from the browser's storage after a reload", async () => {
    await demo.page.reload();
    await load();
    // A file of no known hash is asked after, with one byte.
    expect(site.sent - model.length).toBeLessThanOrEqual(1);
    await demo.send("Hello!");
    await demo.at("send");
  });

  it("says nothing on the console in all of this", () => {
    expect(demo.problems).toEqual([]);
  });
});
