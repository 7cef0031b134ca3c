import puppeteer, { type Browser } from "puppeteer-core";
import { findFirefox } from "./find-firefox.ts";

/** WebGPU is off by default on Linux, and refused on Mesa's software adapter. */
const PREFERENCES = {
  "dom.webgpu.enabled": true,
  "dom.webgpu.workers.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
};

/** A headless Firefox with WebGPU and a profile of its own. */
export async function launchFirefox(preferences: Record<string, unknown> = {}): Promise<Browser> {
  const executablePath = findFirefox();
  if (executablePath === undefined)
    throw new Error("No Firefox here: install one, or set FIREFOX_PATH.");
  // lavapipe is the adapter to test on: SwiftShader's driver, which VK_ICD_FILENAMES may name, is for Dawn.
  const { VK_ICD_FILENAMES: _, VK_DRIVER_FILES: __, ...env } = process.env;
  return puppeteer.launch({
    browser: "firefox",
    executablePath,
    headless: true,
    env,
    protocolTimeout: 600_000,
    extraPrefsFirefox: { ...PREFERENCES, ...preferences },
  });
}
