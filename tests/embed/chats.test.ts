import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium } from "../chromium.ts";
import { prepareApp } from "./harness/app.ts";
import { host, type Site } from "./harness/host.ts";
import { packWithTiny } from "./harness/package.ts";
import { watch } from "./harness/visit.ts";

describe("chats of other libraries over the packed package", () => {
  let browser: Browser;
  let site: Site;
  beforeAll(async () => {
    const app = await prepareApp("use-chat", packWithTiny());
    await app.run("vite", "build");
    site = await host(`${app.dir}/dist`, { files: { "/model.gguf": app.packed.model } });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    site?.stop();
  });

  it("useChat with DirectChatTransport in React: two turns, the second out of the cache", async () => {
    const page = await browser.newPage();
    const problems = watch(page);
    await page.goto(site.url);
    const ask = async (text: string, answers: number): Promise<number> => {
      await page.getByLabel("Message").fill(text);
      await page.getByRole("button", { name: "Send" }).click();
      const answer = page.locator("p.assistant[data-cached]").nth(answers - 1);
      await answer.waitFor({ timeout: 300_000 });
      expect(await answer.textContent()).not.toBe("");
      return Number(await answer.getAttribute("data-cached"));
    };
    expect(await ask("Say in one sentence what a cache is good for.", 1)).toBe(0);
    expect(await ask("And a budget?", 2)).toBeGreaterThan(10);
    expect(await page.locator("p.user").allTextContents()).toHaveLength(2);
    expect(await page.locator("main").getAttribute("data-status")).toBe("ready");
    expect(problems).toEqual([]);
  });
});
