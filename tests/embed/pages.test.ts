import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium } from "../chromium.ts";
import { type App, prepareApp } from "./harness/app.ts";
import { itInFull } from "./harness/full.ts";
import { host, type Site } from "./harness/host.ts";
import { packWithTiny } from "./harness/package.ts";
import { type Answers, expectAnswers, resultOf, visit } from "./harness/visit.ts";

describe("the packed package in pages without a bundler", () => {
  let browser: Browser;
  let app: App;
  const sites: Site[] = [];

  beforeAll(async () => {
    app = await prepareApp("plain", packWithTiny());
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    for (const site of sites) site.stop();
  });

  async function open(
    files: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Site> {
    const site = await host(app.dir, {
      files: { "/model.gguf": app.packed.model, ...files },
      headers,
      strict: true,
    });
    sites.push(site);
    return site;
  }

  /** The error of a page that may say in its console what its own rules forbid. */
  async function failure(url: string): Promise<Answers> {
    const page = await browser.newPage();
    try {
      await page.goto(url);
      return await resultOf(page);
    } finally {
      await page.close();
    }
  }

  const csp = (rules: string) => ({ "content-security-policy": rules });

  it("dist from another origin, all of it: only the package's files are asked for there", async () => {
    const cdn = await open({}, { "access-control-allow-origin": "*" });
    const page = join(app.dir, "elsewhere-filled.html");
    const html = readFileSync(join(app.dir, "elsewhere.html"), "utf8");
    writeFileSync(page, html.replace("CDN/", cdn.url));
    const site = await open({ "/": page });
    expectAnswers(await visit(browser, site.url));
    expect(site.asked).toEqual(["/", "/main.js", "/run.js", "/model.gguf"]);
    expect(cdn.asked.filter((path) => !path.startsWith("/node_modules/winnow-llm/dist/"))).toEqual(
      [],
    );
  });

  it("dist from another origin, for a page that may not make blob workers: says what to set", async () => {
    const cdn = await open({}, { "access-control-allow-origin": "*" });
    const page = join(app.dir, "elsewhere-filled.html");
    const html = readFileSync(join(app.dir, "elsewhere.html"), "utf8");
    writeFileSync(page, html.replace("CDN/", cdn.url));
    const site = await open({ "/": page }, csp("worker-src 'self'"));
    const error = await failure(site.url);
    expect(error).toMatchObject({ code: "no_worker", hint: expect.stringContaining("blob:") });
  });

  it.each([
    ["default-src 'self'; script-src 'self'; worker-src 'self'"],
    ["default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:"],
    ["default-src 'self'; img-src data:; require-trusted-types-for 'script'; trusted-types winnow"],
  ])("Content-Security-Policy: %s", async (rules) => {
    const site = await open(
      { "/": join(app.dir, "strict.html") },
      csp(rules.replace("; worker-src", "; img-src data:; worker-src")),
    );
    expectAnswers(await visit(browser, site.url));
  });

  it.each([
    ["worker-src 'none'", "worker-src"],
    ["require-trusted-types-for 'script'; trusted-types 'none'", "trusted-types winnow"],
  ])("Content-Security-Policy: %s is named in the error's hint", async (rules, hint) => {
    const site = await open({ "/": join(app.dir, "strict.html") }, csp(rules));
    const error = await failure(site.url);
    expect(error).toMatchObject({ code: "no_worker", hint: expect.stringContaining(hint) });
  });

  itInFull("a sandboxed page, which has no origin, gets an error of this package", async () => {
    const headers = { ...csp("sandbox allow-scripts"), "access-control-allow-origin": "*" };
    const site = await open({ "/": join(app.dir, "strict.html") }, headers);
    expect(await failure(site.url)).toMatchObject({
      failed: expect.stringMatching(/^WinnowError/),
    });
  });

  itInFull("an engine in a SharedWorker", async () => {
    const site = await open({ "/": join(app.dir, "shared-worker.html") });
    expectAnswers(besideStorage(await visit(browser, site.url)));
  });

  it("an engine in a service worker that imports winnow-llm/service-worker", async () => {
    const site = await open({ "/": join(app.dir, "service-worker.html") });
    expectAnswers(besideStorage(await visit(browser, `${site.url}?script=in-service-worker.js`)));
  });

  it("what is loaded later elsewhere is there in a service worker", async () => {
    const site = await open({ "/": join(app.dir, "service-worker.html") });
    const address = `${site.url}?script=in-service-worker.js&ask=later`;
    expect(await visit(browser, address)).toEqual({
      text: "text_completion",
      called: "weather",
      refused: "invalid_argument",
      saved: true,
      away: "in_cloud",
      stored: true,
    });
  });

  it("a service worker that does not import it is told to", async () => {
    const site = await open({ "/": join(app.dir, "service-worker.html") });
    const error = await failure(`${site.url}?script=in-worker.js`);
    expect(error).toMatchObject({
      code: "no_worker",
      hint: expect.stringContaining('import "winnow-llm/service-worker"'),
    });
  });

  it("says what is missing where the browser has no WebGPU, before the model is asked for", async () => {
    const plain = await launchChromium([
      "--no-sandbox",
      "--disable-gpu",
      "--disable-features=WebGPU",
    ]);
    try {
      const site = await open();
      const page = await plain.newPage();
      await page.goto(site.url);
      const error = await resultOf(page);
      expect(error).toMatchObject({ code: expect.stringMatching(/^no_(webgpu|adapter)$/) });
      expect(site.asked).not.toContain("/model.gguf");
    } finally {
      await plain.close();
    }
  });
});

/** Only dedicated workers can write the browser's storage: elsewhere a notice says that the model is kept in memory. */
function besideStorage(answers: Answers): Answers {
  const notices = answers.notices ?? [];
  expect(notices).toEqual([expect.stringContaining("dedicated worker")]);
  return { ...answers, notices: [] };
}
