import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, it } from "vitest";
import { launchChromium } from "../chromium.ts";
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
    browser = await launchChromium();
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
