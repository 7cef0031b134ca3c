import { readFileSync } from "node:fs";
import type { BrowserContext } from "playwright";
import { describe, expect, it } from "vitest";
import { DemoPage, pagePerTest } from "./demo-harness.ts";

/** How the page keeps chats, against the stand-in engine: no GPU, no weights. */
describe("chats of the page", () => {
  let url: string;
  let context: BrowserContext;
  let demo: DemoPage;

  pagePerTest((page) => {
    ({ url, context, demo } = page);
  });

  const open = async (query = "rate=300"): Promise<void> => {
    await demo.page.goto(`${url}?engine=fake&${query}&load=fast`);
  };
  const titles = async (of = demo): Promise<string[]> =>
    of.at("open-chat").locator(".title").allTextContents();
  const questions = async (of = demo): Promise<string[]> =>
    (await of.at("message-user").locator(".question").allTextContents()).map((text) => text.trim());
  /** Until the archive has what is on the page. */
  const stored = (): Promise<void> => demo.page.waitForTimeout(800);
  const rowOf = (title: string) => demo.at("chat").filter({ hasText: title });

  it("goes on after a reload in mid-answer: the half answer stays, stopped, with the chat's settings", async () => {
    await open("rate=40");
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    await demo.at("system").fill("Speak like a miller.");
    await demo.at("system").blur();
    await demo.at("temperature").fill("0.2");
    await demo.at("temperature").blur();
    await demo.budgetStep(4);
    await demo.send("a long story about wheat");
    await demo.streamed(80);
    const before = (await demo.text(demo.answer.locator(".prose"))).length;
    await stored();
    await demo.page.reload();
    await demo.at("message-assistant").waitFor();
    expect(await questions()).toEqual(["a long story about wheat"]);
    expect(await demo.answer.getAttribute("data-status")).toBe("stopped");
    expect((await demo.text(demo.answer.locator(".prose"))).length).toBeGreaterThanOrEqual(before);
    expect(await titles()).toEqual(["a long story about wheat"]);
    // Readable before the model is loaded again, and not to be changed yet.
    expect(await demo.at("edit").isVisible()).toBe(false);
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    expect(await demo.at("system").inputValue()).toBe("Speak like a miller.");
    expect(await demo.at("temperature").inputValue()).toBe("0.2");
    await expect.poll(() => demo.text(demo.at("budget-value"))).toBe("256 pairs per head");
    await demo.ask("and then?");
    expect(await questions()).toEqual(["a long story about wheat", "and then?"]);
  });

  it("lists, opens, renames, searches and deletes chats; a deletion can be undone", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of oats");
    await demo.at("new-chat").click();
    await demo.at("suggestion").first().waitFor();
    await demo.ask("Tell me of rye");
    expect(await titles()).toEqual(["Tell me of rye", "Tell me of oats"]);
    const rye = await demo.count("tokens-seen");
    await demo.at("open-chat").nth(1).click();
    await expect.poll(() => questions()).toEqual(["Tell me of oats"]);
    await rowOf("oats").getByTestId("rename-chat").click();
    await demo.at("chat-title").fill("Porridge");
    await demo.at("chat-title").press("Enter");
    await expect.poll(() => titles()).toEqual(["Tell me of rye", "Porridge"]);
    // The engine still has what each chat has read.
    await demo.at("open-chat").first().click();
    await expect.poll(() => demo.count("tokens-seen")).toBe(rye);
    await demo.at("search-chats").fill("OATS of");
    await expect.poll(() => titles()).toEqual(["Porridge"]);
    await demo.at("search-chats").fill("barley");
    await demo.page.getByText("No chat has these words.").waitFor();
    await demo.at("search-chats").fill("");
    await expect.poll(() => titles()).toHaveLength(2);
    await rowOf("rye").getByTestId("delete-chat").click();
    await expect.poll(() => titles()).toEqual(["Porridge"]);
    await demo.at("suggestion").first().waitFor();
    await demo.at("notice-action").click();
    await expect.poll(() => questions()).toEqual(["Tell me of rye"]);
    await rowOf("rye").getByTestId("delete-chat").click();
    await expect.poll(() => titles()).toEqual(["Porridge"]);
    await stored();
    await demo.page.reload();
    await expect.poll(() => titles()).toEqual(["Porridge"]);
    await demo.at("open-chat").click();
    await expect.poll(() => questions()).toEqual(["Tell me of oats"]);
  });

  it("gives the engine what it had read of a chat after a reload, and reads it again where that was freed", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of spelt");
    const seen = await demo.count("tokens-seen");
    await stored();
    await demo.page.reload();
    await demo.at("message-assistant").waitFor();
    await demo.load();
    await expect.poll(() => demo.count("tokens-seen")).toBe(seen);
    await demo.ask("And einkorn?");
    expect(await demo.count("tokens-reused")).toBeGreaterThanOrEqual(seen);
    await demo.at("storage").locator("summary").click();
    await expect.poll(() => demo.text(demo.at("storage-caches"))).toMatch(/^[\d.]+ [kM]?B$/);
    await demo.at("free-caches").click();
    await demo.at("free-caches").waitFor({ state: "detached" });
    expect(await demo.text(demo.at("storage-caches"))).toBe("0 B");
    await demo.page.reload();
    await demo.load();
    await demo.page.waitForTimeout(500);
    expect(await demo.count("tokens-seen")).toBe(0);
    await demo.ask("And oats?");
    expect(await demo.at("message-user").count()).toBe(3);
  });

  it("keeps an edited question and a retried answer as they are on the page", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("one");
    await demo.ask("two");
    await demo.at("edit").click();
    await demo.at("composer").fill("");
    await demo.ask("three");
    await demo.at("retry").click();
    await demo.settled();
    const said = await demo.text(demo.answer.locator(".prose"));
    await stored();
    await demo.page.reload();
    await expect.poll(() => questions()).toEqual(["one", "three"]);
    expect(await demo.at("message-assistant").count()).toBe(2);
    expect(await demo.text(demo.answer.locator(".prose"))).toBe(said);
  });

  it("exports a chat to a file, and imports it as a second one; a bad file is refused with its place", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of spelt");
    const said = await demo.text(demo.answer.locator(".prose"));
    const [download] = await Promise.all([
      demo.page.waitForEvent("download"),
      rowOf("spelt").getByTestId("export-chat").click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^Tell-me-of-spelt-[\d-]+\.json$/);
    const file = readFileSync(await download.path());
    const choose = (buffer: Buffer): Promise<void> =>
      demo
        .at("chat-file")
        .setInputFiles({ name: "mine.json", mimeType: "application/json", buffer });
    await choose(file);
    await demo.page.getByText("Imported 1 chat from mine.json.").waitFor();
    await expect.poll(() => titles()).toEqual(["Tell me of spelt", "Tell me of spelt"]);
    await demo.page.reload();
    await expect.poll(() => titles()).toHaveLength(2);
    expect(await demo.text(demo.answer.locator(".prose"))).toBe(said);
    await demo.load();
    await demo.ask("And einkorn?");
    await demo.at("open-chat").nth(1).click();
    await expect.poll(() => questions()).toEqual(["Tell me of spelt"]);
    const broken = JSON.parse(file.toString());
    broken.chats[0].messages[1].role = "wizard";
    await choose(Buffer.from(JSON.stringify(broken)));
    await demo.page
      .getByText('chats[0].messages[1].role: must be one of "user", "assistant", not "wizard"')
      .waitFor();
    expect(await titles()).toHaveLength(2);
  });

  const openFile = (testId: string, name: string, buffer: Buffer): Promise<void> =>
    demo.at(testId).setInputFiles({ name, mimeType: "application/octet-stream", buffer });
  const saving = async (press: () => Promise<void>): Promise<{ name: string; file: Buffer }> => {
    const [download] = await Promise.all([demo.page.waitForEvent("download"), press()]);
    return { name: download.suggestedFilename(), file: readFileSync(await download.path()) };
  };

  it("exports what the model has read too, and goes on from it after an import, unless it is of another model", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of spelt");
    await demo.at("new-chat").click();
    await demo.at("suggestion").first().waitFor();
    await demo.ask("Tell me of rye");
    const seen = await demo.count("tokens-seen");
    await demo.at("export-read").check();
    const { name, file } = await saving(() => demo.at("export-all").click());
    expect(name).toMatch(/^winnow-chats-[\d-]+\.winnow$/);
    const wipe = async (query: string): Promise<void> => {
      await demo.page.evaluate(async () => {
        const root = await navigator.storage.getDirectory();
        await root.removeEntry("winnow-chat-caches", { recursive: true });
      });
      await open(query);
      await demo.load();
    };
    await wipe("rate=1000");
    await openFile("chat-file", "both.winnow", file);
    await demo.page.getByText("Imported 2 chats from both.winnow.").waitFor();
    await expect.poll(() => questions()).toEqual(["Tell me of rye"]);
    await expect.poll(() => demo.count("tokens-seen")).toBe(seen);
    await demo.ask("And bread?");
    expect(await demo.count("tokens-reused")).toBeGreaterThanOrEqual(seen);
    // What was cut off is said with its place, and nothing is added.
    await openFile("chat-file", "cut.winnow", file.subarray(0, -10));
    await demo.page.getByText(/chats\[1\]\.read: the file is cut short/).waitFor();
    expect(await titles()).toHaveLength(4);
    await wipe("rate=1000&model=Other");
    await openFile("chat-file", "both.winnow", file);
    await demo.page.getByText("What was kept of this chat is not of this model").waitFor();
    await demo.ask("And beer?");
    expect(await questions()).toEqual(["Tell me of rye", "And beer?"]);
    expect(await demo.count("tokens-reused")).toBe(0);
  });

  it("begins a chat from a file of what was read, and saves one", async () => {
    await open("rate=1000");
    const manual = "  The mill turns at dawn. Rye is ground first.\n";
    const context = (model: string): Buffer =>
      Buffer.from(
        `saved chat\n${JSON.stringify({ model, messages: [{ role: "system", content: manual }] })}`,
      );
    await demo.load();
    await demo.ask("Tell me of spelt");
    await openFile("documents", "other.winnow", context("Other"));
    await demo.page.getByText(/the chat is of Other, the engine has SmolLM2/).waitFor();
    await openFile("documents", "broken.winnow", Buffer.from([0, 1, 2]));
    await demo.page.getByText("format: is no saved chat").waitFor();
    expect(await questions()).toEqual(["Tell me of spelt"]);
    expect(await titles()).toHaveLength(1);
    await openFile("documents", "Manual of the mill.winnow", context("SmolLM2-135M-Instruct"));
    await demo.at("begun").waitFor();
    await expect.poll(() => titles()).toEqual(["Manual of the mill", "Tell me of spelt"]);
    const read = await demo.count("tokens-seen");
    expect(read).toBeGreaterThan(10);
    // It is there after a reload, before anything was asked.
    await stored();
    await demo.page.reload();
    await demo.load();
    await expect.poll(() => demo.count("tokens-seen")).toBe(read);
    await demo.ask("What is ground first?");
    expect(await demo.count("tokens-reused")).toBe(read);
    // Saved with a document, and opened as a chat of its own.
    await openFile("documents", "sacks.txt", Buffer.from("Seven sacks of barley."));
    await demo.page.locator("[data-testid=attachment][data-state=ready]").waitFor();
    await demo.ask("How many?");
    const seen = await demo.count("tokens-seen");
    const { name, file } = await saving(() => demo.at("save-context").click());
    expect(name).toBe("Manual-of-the-mill.winnow");
    await openFile("chat-file", name, file);
    await expect.poll(() => titles()).toHaveLength(3);
    await expect.poll(() => questions()).toEqual(["What is ground first?", "How many?"]);
    expect(await demo.text(demo.at("document"))).toContain("sacks.txt");
    await demo.ask("And oats?");
    expect(await demo.count("tokens-reused")).toBeGreaterThanOrEqual(seen);
  });

  it("keeps what is written and not sent over a reload", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of spelt");
    await demo.at("composer").fill("half a quest");
    await openFile("documents", "sacks.txt", Buffer.from("Seven sacks of barley."));
    await demo.page.locator("[data-testid=attachment][data-state=ready]").waitFor();
    await demo.page.reload();
    await demo.load();
    expect(await demo.at("composer").inputValue()).toBe("half a quest");
    expect(await demo.text(demo.at("attachment"))).toContain("sacks.txt");
    await demo.page.reload();
    await demo.load();
    await demo.ask("now");
    await demo.page.reload();
    await demo.load();
    expect(await demo.at("composer").inputValue()).toBe("");
  });

  it("says that the storage is full, loses nothing on the screen, and stores it once there is room", async () => {
    const browser = await context.newCDPSession(demo.page);
    const { origin } = new URL(url);
    const allow = (room: { quotaSize?: number }) =>
      browser.send("Storage.overrideQuotaForOrigin", { origin, ...room });
    await demo.page.goto("about:blank");
    // Before anything is stored: Chromium remembers for a while how much room there was.
    await allow({ quotaSize: 1 });
    await open("rate=1000");
    await demo.load();
    await demo.ask("while it is full");
    await demo.page.getByText("The browser's storage is full").waitFor();
    // Another chat and back: what could not be stored is still here.
    await demo.at("new-chat").click();
    await demo.at("suggestion").first().waitFor();
    await demo.at("open-chat").first().click();
    await expect.poll(() => questions()).toEqual(["while it is full"]);
    await allow({});
    await demo.at("notice-action").click();
    // That the cache has no room either is said apart.
    await demo.page.locator("[data-name=storage]").waitFor({ state: "detached" });
    await demo.page.reload();
    await expect.poll(() => questions()).toEqual(["while it is full"]);
  });

  it("keeps chats in the tab where the browser refuses a database, and says so", async () => {
    await context.addInitScript(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException("not here", "SecurityError");
      };
      LockManager.prototype.request = () =>
        Promise.reject(new DOMException("not here", "SecurityError"));
      Object.assign(window, {
        BroadcastChannel: class {
          constructor() {
            throw new DOMException("not here", "SecurityError");
          }
        },
      });
    });
    await open("rate=1000");
    await demo.page.getByText("This browser keeps no chats here").waitFor();
    await demo.load();
    await demo.ask("one");
    await demo.at("new-chat").click();
    await demo.at("suggestion").first().waitFor();
    await demo.ask("two");
    await demo.at("open-chat").nth(1).click();
    await expect.poll(() => questions()).toEqual(["one"]);
  });

  it("lets one tab write a chat: another reads it, follows it, and goes on once the first lets go", async () => {
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of barley");
    await stored();
    const second = new DemoPage(await context.newPage());
    await second.page.goto(`${url}?engine=fake&rate=1000&load=fast`);
    await second.load();
    await second.at("open-chat").click();
    await second.at("elsewhere").waitFor();
    expect(await questions(second)).toEqual(["Tell me of barley"]);
    expect(await second.at("composer").count()).toBe(0);
    expect(await second.at("retry").count()).toBe(0);
    expect(await second.at("take-over").isDisabled()).toBe(true);
    // It may not delete or rename what the first has open.
    await second.at("delete-chat").click();
    await second.page.getByText("is open in another tab. Change it there").waitFor();
    expect(await titles(second)).toHaveLength(1);
    await demo.ask("And malt?");
    await expect.poll(() => questions(second)).toEqual(["Tell me of barley", "And malt?"]);
    await demo.at("new-chat").click();
    await second.page.getByText("The other tab has closed this chat.").waitFor();
    await second.at("take-over").click();
    await second.ask("And beer?");
    // Now the first may only read it.
    await expect.poll(() => titles()).toHaveLength(1);
    await demo.at("open-chat").click();
    await demo.at("elsewhere").waitFor();
    await expect.poll(() => questions()).toEqual(["Tell me of barley", "And malt?", "And beer?"]);
    expect(second.problems).toEqual([]);
    // A reload does not lose a chat to the tab that waits for it.
    await second.page.reload();
    await second.load();
    await second.at("composer").waitFor();
    expect(await demo.at("elsewhere").count()).toBe(1);
  });

  it("shows the list as a drawer on a phone", async () => {
    await demo.page.setViewportSize({ width: 360, height: 640 });
    await open("rate=1000");
    await demo.load();
    await demo.ask("Tell me of millet");
    expect(await demo.at("search-chats").isVisible()).toBe(false);
    await demo.at("open-chats").click();
    await demo.at("search-chats").waitFor();
    await demo.page.keyboard.press("Escape");
    await demo.at("search-chats").waitFor({ state: "hidden" });
    await demo.at("open-chats").click();
    await demo.at("open-chat").click();
    await demo.at("search-chats").waitFor({ state: "hidden" });
    expect(
      await demo.page.evaluate(() => document.documentElement.scrollWidth),
    ).toBeLessThanOrEqual(360);
  });
});
