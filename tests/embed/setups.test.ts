import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, describe, it } from "vitest";
import { CHROMIUM_FLAGS, findChromium } from "../../src/node/chromium.ts";
import { prepareApp } from "./harness/app.ts";
import { itInFull } from "./harness/full.ts";
import { type Packed, packWithDefault, packWithTiny } from "./harness/package.ts";
import { expectAnswers, visit } from "./harness/visit.ts";
import { SETUPS } from "./setups.ts";

describe("README's snippet in a new app, with the packed package", () => {
  let browser: Browser;
  let packed: Packed;
  beforeAll(async () => {
    packed = process.env.WINNOW_EMBED === "default" ? packWithDefault() : packWithTiny();
    const executablePath = await findChromium();
    browser = await chromium.launch({
      args: CHROMIUM_FLAGS,
      ...(executablePath ? { executablePath } : {}),
    });
  });
  afterAll(() => browser?.close());

  for (const setup of SETUPS) {
    (setup.full ? itInFull : it)(setup.name, async () => {
      const served = await setup.serve(await prepareApp(setup.app, packed));
      try {
        expectAnswers(await visit(browser, served.url));
        await setup.more?.(served.url);
      } finally {
        served.stop();
      }
    });
  }
});
