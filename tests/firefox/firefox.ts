import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";

/** Where Debian, Fedora, snap and Mozilla's own installers put it. */
const USUAL_PATHS = [
  "/usr/bin/firefox",
  "/usr/bin/firefox-esr",
  "/usr/lib/firefox/firefox",
  "/opt/firefox/firefox",
  "/snap/bin/firefox",
  "/Applications/Firefox.app/Contents/MacOS/firefox",
  "C:\\Program Files\\Mozilla Firefox\\firefox.exe",
];

/** WebGPU is off by default on Linux, and refused on Mesa's software adapter. */
const PREFERENCES = {
  "dom.webgpu.enabled": true,
  "dom.webgpu.workers.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
};

/** FIREFOX_PATH, else the first of the usual paths that exists; undefined where there is none. */
export function findFirefox(): string | undefined {
  return process.env.FIREFOX_PATH || USUAL_PATHS.find((path) => existsSync(path));
}

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
