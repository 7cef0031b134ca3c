import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, it } from "vitest";
import { serveClients } from "../clients/clients-site.ts";
import { expectAiSdk, expectInWorker, expectPromptApi } from "../clients/expectations.ts";
import { askByAiSdk, askByPromptApi, askInWorker } from "../clients/scenarios.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import type { Site } from "./site.ts";

describe("the package's clients in Firefox, with a tiny model", () => {
  let site: Site;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    site = await serveClients(tinyModel("f32"));
    browser = await launchFirefox();
    page = await browser.newPage();
    await page.goto(`${site.url}clients.html`);
    await page.waitForFunction(() => "clients" in window);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  it("winnow-llm/ai-sdk: streams, objects, aborts, and what the cache has", async () => {
    expectAiSdk(await page.evaluate(askByAiSdk));
  });

  it("winnow-llm/prompt-api in a page", async () => {
    expectPromptApi(await page.evaluate(askByPromptApi));
  });

  it("winnow-llm/prompt-api/polyfill in a worker", async () => {
    expectInWorker(await page.evaluate(askInWorker));
  });
});
