import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Locator, Page } from "playwright";
import { build, type UserConfig } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type StaticServer, serveStatic } from "../../src/node/static-server.ts";
import { launchChromium } from "../chromium.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const DEFAULT_MODEL = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

/** Path of the default model's file. */
export const defaultModel = (): string =>
  process.env.WINNOW_MODEL ?? `${root}.cache/${DEFAULT_MODEL}`;

/** Builds the page into tests/output/NAME, and returns that folder. */
export async function buildPage(name: string, config: UserConfig = {}): Promise<string> {
  const outDir = `${root}tests/output/${name}`;
  await build({
    ...config,
    configFile: `${root}vite.config.ts`,
    mode: "demo",
    logLevel: "error",
    build: { outDir, emptyOutDir: true, ...config.build },
  });
  return outDir;
}

/** The page as `npm start` serves it, with the default model beside it. */
export async function serveBuiltPage(): Promise<StaticServer> {
  const outDir = await buildPage("demo-site");
  return serveStatic({ "/": outDir, [`/${DEFAULT_MODEL}`]: defaultModel() }, 0);
}

/**
 * The page with the stand-in engine at `?engine=fake`, which else only the development server has, built into
 * tests/output/NAME: a browser that is new to the page asks that server for hundreds of modules in each test.
 */
export async function servePage(name = "stand-in-site"): Promise<StaticServer> {
  const outDir = await buildPage(name, {
    define: { "import.meta.env.DEV": "true" },
    build: { minify: false },
  });
  return serveStatic({ "/": outDir }, 0);
}

/** What a user does on the page. `problems` collects console warnings and errors, violations of the CSP among them. */
export class DemoPage {
  readonly page: Page;
  readonly problems: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.problems.push(error.message));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.problems.push(message.text());
    });
  }

  at(testId: string): Locator {
    return this.page.getByTestId(testId);
  }

  get answer(): Locator {
    return this.at("message-assistant").last();
  }

  /** Text of an element, with runs of white space as one space. */
  async text(element: Locator): Promise<string> {
    return ((await element.textContent()) ?? "").replace(/\s+/g, " ").trim();
  }

  /** Presses Load and waits for the chat; throws what the page says where loading fails. */
  async load(): Promise<void> {
    await this.at("load").click();
    const failed = this.at("load-error");
    const over = this.at("composer").or(failed);
    await over.waitFor({ timeout: 120_000 }).catch(async () => {
      const stage = await this.text(this.at("load-progress"));
      throw new Error(`the model does not load; the page says: ${stage} ${this.problems.join()}`);
    });
    if ((await failed.count()) > 0) throw new Error(await this.text(failed));
  }

  async send(text: string): Promise<void> {
    await this.at("composer").fill(text);
    await this.at("composer").press("Enter");
    await this.at("stop").waitFor();
  }

  /** Until the answer under way is over. */
  async settled(timeout = 60_000): Promise<void> {
    await this.at("send").waitFor({ timeout });
  }

  async ask(text: string, timeout?: number): Promise<void> {
    await this.send(text);
    await this.settled(timeout);
  }

  /** Until the answer has at least `length` characters; throws what the page says where it fails. */
  async streamed(length: number, timeout = 60_000): Promise<void> {
    await this.page.waitForFunction(
      ([element, least]) =>
        (element?.querySelector(".prose")?.textContent ?? "").trim().length >= least ||
        element?.getAttribute("data-status") === "failed",
      [await this.answer.elementHandle(), length] as const,
      { timeout },
    );
    const failed = this.answer.getByTestId("message-error");
    if ((await failed.count()) > 0) throw new Error(await this.text(failed));
  }

  /** Moves the slider to a step, as a drag does. */
  async budgetStep(step: number): Promise<void> {
    await this.at("budget").evaluate((element, value) => {
      (element as HTMLInputElement).value = String(value);
      element.dispatchEvent(new Event("input", { bubbles: true }));
    }, step);
  }

  async count(testId: string, name = "count"): Promise<number> {
    return Number(await this.at(testId).getAttribute(`data-${name}`));
  }
}

/** A page of a test, and where it came from. */
interface OpenPage {
  readonly url: string;
  readonly context: BrowserContext;
  readonly demo: DemoPage;
}

/**
 * For the suite around it: the page with the stand-in engine in one browser, and for each test a page of its own, which `take` is
 * given. A test fails where its page wrote warnings or errors to the console.
 */
export function pagePerTest(take: (page: OpenPage) => void): void {
  let server: StaticServer;
  let browser: Browser;
  let context: BrowserContext;
  let demo: DemoPage;

  beforeAll(async () => {
    server = await servePage();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });
  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    demo = new DemoPage(await context.newPage());
    take({ url: server.url, context, demo });
  });
  afterEach(async () => {
    await context.close();
    expect(demo.problems).toEqual([]);
  });
}
