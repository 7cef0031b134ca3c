import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type StaticServer, serveStatic } from "../../src/node/static-server.ts";
import { launchChromium } from "../chromium.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { buildPage, DemoPage } from "./demo-harness.ts";

const MODEL = fileURLToPath(new URL("../output/offline-model/tiny.gguf", import.meta.url));
const SLOW = 240_000;

/** The built page without a network, and what it does when there is a newer one: the real engine, a tiny model. */
describe("the page without a network", () => {
  let folder: string;
  let server: StaticServer;
  let browser: Browser;
  let demo: DemoPage;

  beforeAll(async () => {
    mkdirSync(fileURLToPath(new URL("../output/offline-model", import.meta.url)), {
      recursive: true,
    });
    writeFileSync(MODEL, tinyModel("f32"));
    folder = await buildPage("offline-site");
    server = await serve(0);
    browser = await launchChromium();
    demo = new DemoPage(await browser.newPage());
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });
  const serve = (port: number): Promise<StaticServer> =>
    serveStatic({ "/": folder, "/tiny.gguf": MODEL }, port);

  it("is installable: a manifest with icons, and a service worker that has all of the page", async () => {
    await demo.page.goto(server.url);
    const icons = await demo.page.evaluate(async () => {
      const link = document.querySelector<HTMLLinkElement>("link[rel=manifest]");
      const manifest = await (await fetch(link!.href)).json();
      const fetched = await Promise.all(
        manifest.icons.map(
          async ({ src }: { src: string }) => (await fetch(new URL(src, link!.href))).ok,
        ),
      );
      return { name: manifest.short_name, display: manifest.display, fetched };
    });
    expect(icons).toEqual({ name: "Winnow", display: "standalone", fetched: [true, true, true] });
    await demo.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  });

  it("loads with no server, and a stored model answers in a chat that goes on", async () => {
    await demo.page.getByText("Use a model of your own").click();
    await demo.at("model-url").fill(`${server.url}tiny.gguf`);
    await demo.at("model-url").press("Enter");
    await demo.at("composer").waitFor({ timeout: SLOW });
    await demo.ask("abc", SLOW);
    // What was read goes into a file, and from it into a chat of its own: the engine's own format.
    const seen = await demo.count("tokens-seen");
    const [download] = await Promise.all([
      demo.page.waitForEvent("download"),
      demo.at("save-context").click(),
    ]);
    const buffer = readFileSync(await download.path());
    const mimeType = "application/octet-stream";
    await demo.at("documents").setInputFiles({ name: "mine.winnow", mimeType, buffer });
    await demo.page.getByText("“mine” begins a chat").waitFor({ timeout: SLOW });
    await expect.poll(() => demo.count("tokens-seen")).toBe(seen);
    expect(await demo.at("open-chat").count()).toBe(2);
    expect(await demo.at("message-assistant").count()).toBe(1);
    await demo.page.waitForTimeout(800);
    server.close();
    await demo.page.reload();
    await demo.at("message-assistant").waitFor();
    await demo.at("stored-models").locator("summary").click();
    await demo.at("load-stored").click();
    await demo.at("composer").waitFor({ timeout: SLOW });
    await demo.ask("def", SLOW);
    expect(await demo.answer.getAttribute("data-status")).toBe("done");
    expect(await demo.at("message-user").count()).toBe(2);
  });

  it("serves a new page as soon as there is one, and says that it is there", async () => {
    const next = fileURLToPath(new URL("../output/offline-site-next", import.meta.url));
    cpSync(folder, next, { recursive: true });
    const index = `${next}/index.html`;
    writeFileSync(index, readFileSync(index, "utf8").replace("<title>", "<title>New "));
    const worker = `${next}/sw.js`;
    writeFileSync(
      worker,
      readFileSync(worker, "utf8").replace(/(CACHE = `\$\{PREFIX\})\w+/, "$1next"),
    );
    folder = next;
    server = await serve(server.port);
    await demo.page.reload();
    expect(await demo.page.title()).toMatch(/^New /);
    await demo.page.getByText("There is a new version of this page.").waitFor({ timeout: SLOW });
    await demo.at("stored-models").locator("summary").click();
    await demo.at("load-stored").click();
    await demo.at("composer").waitFor({ timeout: SLOW });
    // It waits for the answer, and what is written meanwhile is there afterwards.
    await demo.send("ghi");
    await demo.at("composer").fill("not sent yet");
    await Promise.all([
      demo.page.waitForEvent("load", { timeout: SLOW }),
      demo.at("notice-action").click(),
    ]);
    await demo.at("message-assistant").nth(2).waitFor();
    expect(await demo.answer.getAttribute("data-status")).toBe("done");
    await demo.at("load").waitFor();
    expect(await demo.at("notice").count()).toBe(0);
    expect(await demo.at("message-user").count()).toBe(3);
    await demo.at("stored-models").locator("summary").click();
    await demo.at("load-stored").click();
    await demo.at("composer").waitFor({ timeout: SLOW });
    expect(await demo.at("composer").inputValue()).toBe("not sent yet");
  });
});
