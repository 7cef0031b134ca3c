import { readdirSync } from "node:fs";
import { loadTypeScript } from "../demo/load-typescript.mjs";

/** @typedef {(command: string, args: string[]) => Promise<number>} Run */

/**
 * A Chromium to test in: CHROMIUM_PATH, Playwright's own, the system's; else Playwright's download;
 * else, as root on Debian, apt's.
 * @param {Run} run
 * @returns {Promise<string>}
 */
export async function prepareBrowser(run) {
  const { findChromium } = await loadTypeScript("src/node/chromium.ts");
  const found = await findChromium();
  if (found) return found;
  console.log("no Chromium here: trying Playwright's download");
  await run("npx", ["playwright", "install", "chromium"]);
  const own = await findChromium();
  if (own) return own;
  await installPackages(run, ["chromium"]);
  const installed = await findChromium();
  if (installed) return installed;
  throw new Error(
    "No Chromium found or installable. Install one, or set CHROMIUM_PATH to its binary.",
  );
}

/**
 * A Firefox to test in, with a Vulkan driver for it: FIREFOX_PATH, the usual places, else, as root on Debian, apt's.
 * Undefined where there is none.
 * @param {Run} run
 * @returns {Promise<string | undefined>}
 */
export async function prepareFirefox(run) {
  const { findFirefox } = await loadTypeScript("tests/firefox/find-firefox.ts");
  const missing = [
    ...(findFirefox() ? [] : ["firefox-esr"]),
    ...(process.platform !== "linux" || hasVulkanDriver() ? [] : ["mesa-vulkan-drivers"]),
  ];
  if (missing.length > 0) await installPackages(run, missing);
  return findFirefox();
}

function hasVulkanDriver() {
  try {
    return readdirSync("/usr/share/vulkan/icd.d").length > 0;
  } catch {
    return false;
  }
}

/** As root on Debian. @param {Run} run @param {string[]} packages */
async function installPackages(run, packages) {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return;
  console.log(`trying apt-get install ${packages.join(" ")}`);
  await run("apt-get", ["update", "-q"]);
  await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...packages]);
}
