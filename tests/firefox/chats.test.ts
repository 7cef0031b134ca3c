import type { Browser, BrowserContext } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { StaticServer } from "../../src/node/static-server.ts";
import { buildPage, servePage } from "../e2e/demo-harness.ts";
import { makePdf } from "../e2e/sample-documents.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import { PageDriver } from "./page-driver.ts";
import { serveFolder } from "./site.ts";

/** What the page keeps, in Firefox: the stand-in engine, but for the page without a network. */
describe("chats of the page in Firefox", () => {
  let server: StaticServer;
  let url: string;
  let browser: Browser;
  let context: BrowserContext;
  let demo: PageDriver;

  beforeAll(async () => {
    server = await servePage("firefox-stand-in-site");
    url = server.url;
    browser = await launchFirefox();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });
  beforeEach(async () => {
    context = await browser.createBrowserContext();
    demo = await tab();
  });
  afterEach(async () => {
    expect(demo.problems).toEqual([]);
    await context.close();
  });

  const tab = async (): Promise<PageDriver> => {
    const page = await context.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    return new PageDriver(page);
  };
  const open = (query = "rate=1000", of = demo) =>
    of.page.goto(`${url}?engine=fake&${query}&load=fast`);
  const questions = async (of = demo): Promise<string[]> =>
    (await of.texts("message-user")).map((text) =>
      text.replace(/^You:\s*/, "").replace(/\s*Edit$/, ""),
    );
  const asked = (...texts: string[]) =>
    expect.poll(() => questions(), { timeout: 30_000 }).toEqual(texts);
  /** Until the archive has what is on the page. */
  const stored = () => new Promise((resolve) => setTimeout(resolve, 1000));

  it("goes on after a reload in mid-answer, and reads nothing again of what it had read", async () => {
    await open("rate=60");
    await demo.load();
    await demo.ask("Tell me of spelt");
    const seen = await demo.number("tokens-seen");
    await demo.send("a long story about wheat");
    await demo.until(async () => (await demo.answer()).length > 80);
    await stored();
    const before = (await demo.answer()).length;
    await demo.page.reload();
    await asked("Tell me of spelt", "a long story about wheat");
    expect(await demo.data("message-assistant", "status")).toBe("stopped");
    expect((await demo.answer()).length).toBeGreaterThan(before / 2);
    await demo.load();
    await expect.poll(() => demo.number("tokens-seen")).toBe(seen);
    await demo.ask("and then?");
    expect(await demo.number("tokens-reused")).toBeGreaterThanOrEqual(seen);
  });

  it("reads a PDF of 30 pages, and says how far it is", async () => {
    const pages = Array.from({ length: 30 }, (_, i) => [
      `Page ${i + 1} of the great book (with notes).`,
      `Field ${i + 1} gave ${100 + 7 * i} sacks of wheat and ${50 + 3 * i} of rye.`,
    ]);
    await open("rate=1000&read=400");
    await demo.load();
    await demo.choose("documents", "harvest.pdf", makePdf(pages));
    await demo.until(async () => /PDF, 30 pages/.test(await demo.text("attachment")));
    await demo.send("Which field gave most?");
    await demo.until(async () => / of [\d,.\s]+ tokens read/.test(await demo.text("reading")));
    await demo.at("send");
    expect(await demo.number("tokens-seen")).toBeGreaterThan(800);
    expect(await demo.text("document")).toContain("Field 30 gave 303 sacks of wheat");
  });

  it("imports an export with what was read, and goes on from it", async () => {
    await open();
    await demo.load();
    await demo.ask("Tell me of spelt");
    const seen = await demo.number("tokens-seen");
    await demo.click("export-read");
    const file = await demo.download("export-all");
    await demo.choose("chat-file", "mine.winnow", file);
    await demo.says("Imported 1 chat from mine.winnow.");
    await expect.poll(async () => (await demo.all("open-chat")).length).toBe(2);
    await expect.poll(() => demo.number("tokens-seen")).toBe(seen);
    await demo.ask("And einkorn?");
    expect(await demo.number("tokens-reused")).toBeGreaterThanOrEqual(seen);
    await demo.choose("chat-file", "bad.json", Buffer.from('{"format":"winnow-chats"}'));
    await demo.says("The file was not imported");
    expect(await demo.all("open-chat")).toHaveLength(2);
  });

  it("says that the storage is full, loses nothing, and stores it once there is room", async () => {
    await open();
    await demo.load();
    await demo.ask("before");
    await stored();
    await demo.page.evaluate(() => {
      const { put } = IDBObjectStore.prototype;
      Object.assign(window, { full: true });
      IDBObjectStore.prototype.put = function (...args) {
        if (Reflect.get(window, "full")) throw new DOMException("no room", "QuotaExceededError");
        return put.apply(this, args);
      };
    });
    await demo.ask("while it is full");
    await demo.says("The browser's storage is full");
    await demo.click("new-chat");
    await demo.at("suggestion");
    const rows = await demo.all("open-chat");
    await rows[0]!.evaluate((row) => row.click());
    await asked("before", "while it is full");
    await demo.page.evaluate(() => Object.assign(window, { full: false }));
    await demo.click("notice-action");
    await expect.poll(async () => (await demo.all("notice")).length).toBe(0);
    await demo.page.reload();
    await asked("before", "while it is full");
  });

  it("lets one tab write a chat, and another follow it and take it over", async () => {
    await open();
    await demo.load();
    await demo.ask("Tell me of barley");
    await stored();
    const second = await tab();
    await open("rate=1000", second);
    await second.load();
    await second.click("open-chat");
    await second.at("elsewhere");
    expect(await questions(second)).toEqual(["Tell me of barley"]);
    expect(await second.all("composer")).toHaveLength(0);
    await demo.page.bringToFront();
    await demo.ask("And malt?");
    await expect
      .poll(() => questions(second), { timeout: 30_000 })
      .toEqual(["Tell me of barley", "And malt?"]);
    await demo.click("new-chat");
    await second.until(async () =>
      (await second.at("take-over")).evaluate(({ disabled }) => !disabled),
    );
    await second.page.bringToFront();
    await second.click("take-over");
    await second.ask("And beer?");
    expect(await questions(second)).toEqual(["Tell me of barley", "And malt?", "And beer?"]);
    expect(second.problems).toEqual([]);
  });

  it("starts without a network, and a stored model answers", async () => {
    const model = tinyModel("f32");
    const site = await serveFolder(await buildPage("firefox-offline-site"), model);
    await demo.page.goto(site.url);
    await demo.loadFrom(new URL("models/tiny.gguf", site.url).href);
    await demo.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await demo.open("advanced");
    await demo.set("max-tokens", "8");
    await demo.ask("abc");
    await stored();
    site.close();
    await demo.page.reload();
    await asked("abc");
    await demo.open("stored-models");
    await demo.click("load-stored");
    await demo.at("composer");
    await demo.ask("def");
    expect(await demo.data("message-assistant", "status")).toBe("done");
    // What the browser says of requests that no server answers.
    demo.problems.splice(0);
  });
});
