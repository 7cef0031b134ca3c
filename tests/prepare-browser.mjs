import { loadTypeScript } from "../demo/load-typescript.mjs";

/**
 * A Chromium to test in: CHROMIUM_PATH, Playwright's own, the system's; else Playwright's download;
 * else, as root on Debian, apt's.
 * @param {(command: string, args: string[]) => Promise<number>} run
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
  if (process.platform === "linux" && process.getuid?.() === 0) {
    console.log("trying apt-get install chromium");
    await run("apt-get", ["update", "-q"]);
    await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", "chromium"]);
  }
  const installed = await findChromium();
  if (installed) return installed;
  throw new Error(
    "No Chromium found or installable. Install one, or set CHROMIUM_PATH to its binary.",
  );
}
