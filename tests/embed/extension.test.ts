import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright";
import { expect, it } from "vitest";
import { CHROMIUM_FLAGS } from "../../src/node/chromium.ts";
import { chromiumOptions } from "../chromium.ts";
import { prepareApp } from "./harness/app.ts";
import { host } from "./harness/host.ts";
import { packWithTiny } from "./harness/package.ts";
import { expectAnswers, resultOf, watch } from "./harness/visit.ts";

it("a page of an extension (MV3) answers under the rules that Chromium sets it", async () => {
  const app = await prepareApp("extension", packWithTiny());
  const profile = mkdtempSync(join(tmpdir(), "winnow-extension-"));
  const site = await host(app.dir, {
    files: { "/model.gguf": app.packed.model },
    headers: { "access-control-allow-origin": "*" },
  });
  const context = await chromium.launchPersistentContext(profile, {
    ...(await chromiumOptions([
      ...CHROMIUM_FLAGS,
      "--headless=new",
      `--disable-extensions-except=${app.dir}`,
      `--load-extension=${app.dir}`,
      "--disable-features=DisableLoadExtensionCommandLineSwitch",
    ])),
    ignoreDefaultArgs: ["--disable-extensions", "--headless"],
  });
  try {
    const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
    const page = await context.newPage();
    const problems = watch(page);
    await page.goto(new URL(`panel.html?model=${site.url}model.gguf`, worker.url()).href);
    expectAnswers(await resultOf(page));
    expect(problems).toEqual([]);
  } finally {
    await context.close();
    site.stop();
    rmSync(profile, { recursive: true, force: true });
  }
});
