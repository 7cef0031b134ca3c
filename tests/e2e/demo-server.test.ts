import { readFile } from "node:fs/promises";
import type { BrowserContext } from "playwright";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Served, serveFake } from "../unit/serve/serve-harness.ts";
import { type DemoPage, pagePerTest } from "./demo-harness.ts";

const KEY = "a-key-of-my-own";

/** The page with a server that answers in the place of the device: no GPU, no weights. */
describe("demo page with a server", () => {
  let url: string;
  let context: BrowserContext;
  let demo: DemoPage;
  let served: Served;

  pagePerTest((page) => {
    ({ url, context, demo } = page);
  });
  beforeEach(async () => {
    served = await serveFake({ key: KEY, origins: [new URL(url).origin] });
    served.fake.answer = "An answer from afar. ".repeat(50);
    await demo.page.goto(url);
    await demo.at("server-box").locator("summary").click();
    await demo.at("server-mode").selectOption("only-in-cloud");
    await demo.at("server-url").fill(served.base);
    await demo.at("server-model").fill("fake");
    await demo.at("server-key").fill(KEY);
    await demo.at("server-key").blur();
  });
  afterEach(() => served.close());

  const kept = (): Promise<string> =>
    demo.page.evaluate(() => JSON.stringify(Object.entries(localStorage)));

  it("is answered by it, says so, and goes on with the chat there", async () => {
    // Nothing is offered that will not be loaded.
    expect(await demo.at("load-facts").count()).toBe(0);
    expect(await demo.text(demo.at("load"))).toBe("Use the server");
    await demo.load();
    expect(await demo.text(demo.at("source"))).toBe("server");
    expect(await demo.text(demo.at("change-model"))).toBe("fake");
    // What a slider for this cache would say is true of nothing.
    expect(await demo.at("budget").count()).toBe(0);
    await demo.at("elsewhere").waitFor();
    await demo.ask("Who are you?");
    expect(await demo.text(demo.answer)).toContain("An answer from afar.");
    await demo.ask("And now?");
    expect(await demo.at("message-assistant").count()).toBe(2);
    // The second was read on from the first.
    expect(new Set(served.fake.log.map((line) => line.split(" ").at(-1))).size).toBe(1);
    const folder = process.env.SCREENSHOTS;
    if (folder) await pictures(folder);
  });

  it("shows what the model thinks, folded away once it answers, and sends what is set of answers", async () => {
    const sent: Record<string, unknown>[] = [];
    const delta = (delta: object, finish_reason: string | null = null): string =>
      `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
    await context.route(`${served.base}/chat/completions`, async (route) => {
      if (route.request().method() === "POST") sent.push(route.request().postDataJSON());
      await route.fulfill({
        headers: {
          "access-control-allow-origin": "*",
          "access-control-allow-headers": "*",
          "content-type": "text/event-stream",
        },
        body: `${delta({ reasoning_content: "Who asks, and why?" })}${delta({ content: "A server." })}${delta({}, "stop")}data: [DONE]\n\n`,
      });
    });
    await demo.load();
    await demo.at("temperature").fill("0.2");
    await demo.at("temperature").blur();
    await demo.at("system").fill("Be brief.");
    await demo.at("system").blur();
    await demo.at("composer").fill("Who are you?");
    await demo.at("send").click();
    await demo.at("copy").waitFor();
    expect(sent[0]).toMatchObject({
      temperature: 0.2,
      messages: [{ role: "system", content: "Be brief." }, { role: "user" }],
    });
    const thought = demo.at("thought");
    expect(await demo.text(demo.answer)).toContain("A server.");
    expect(await thought.getAttribute("open")).toBe(null);
    expect(await thought.getByText("Who asks").isVisible()).toBe(false);
    await thought.locator("summary").click();
    expect(await thought.getByText("Who asks").isVisible()).toBe(true);
    // Figures of a cache that is not here say nothing.
    expect(await demo.at("pairs-kept").count()).toBe(0);
    expect(await demo.at("window").count()).toBe(0);
    // Until the archive has it.
    await demo.page.waitForTimeout(800);
    await demo.page.reload();
    await expect.poll(() => demo.at("thought").count()).toBe(1);
    const folder = process.env.SCREENSHOTS;
    if (folder) await demo.page.screenshot({ path: `${folder}/thought.png` });
  });

  it("keeps the key where the user says alone, and in no export", async () => {
    await demo.load();
    await demo.ask("Who are you?");
    expect(await kept()).toContain(served.base);
    expect(await kept()).not.toContain(KEY);
    const [download] = await Promise.all([
      demo.page.waitForEvent("download"),
      demo.at("export-all").click(),
    ]);
    const file = await readFile(await download.path(), "utf8");
    expect(file).toContain("Who are you?");
    expect(file).not.toContain(KEY);
    await demo.page.reload();
    expect(await demo.at("server-url").inputValue()).toBe(served.base);
    expect(await demo.at("server-key").inputValue()).toBe("");
    await demo.at("server-key").fill(KEY);
    await demo.at("server-keep-key").check();
    expect(await kept()).toContain(KEY);
    await demo.at("server-keep-key").uncheck();
    expect(await kept()).not.toContain(KEY);
  });

  it("no badge and nothing sent where only this device may answer", async () => {
    await demo.at("server-mode").selectOption("only-on-device");
    await demo.page.goto(`${url}?engine=fake&rate=150`);
    await demo.load();
    await demo.ask("Hello");
    expect(await demo.at("source").count()).toBe(0);
    expect(served.fake.log).toEqual([]);
  });

  /** For a person to look at: SCREENSHOTS names a folder. */
  async function pictures(folder: string): Promise<void> {
    for (const colorScheme of ["light", "dark"] as const)
      for (const [name, width, height] of [
        ["desktop", 1280, 800],
        ["phone", 390, 844],
      ] as const) {
        await demo.page.emulateMedia({ colorScheme });
        await demo.page.setViewportSize({ width, height });
        await demo.page.screenshot({ path: `${folder}/chat-${name}-${colorScheme}.png` });
        const other = await context.newPage();
        await other.emulateMedia({ colorScheme });
        await other.setViewportSize({ width, height });
        await other.goto(url);
        await other.getByTestId("server-mode").waitFor();
        await other.screenshot({
          path: `${folder}/load-${name}-${colorScheme}.png`,
          fullPage: true,
        });
        await other.close();
      }
  }
});
