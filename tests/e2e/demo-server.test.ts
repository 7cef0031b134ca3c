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
