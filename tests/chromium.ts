import { type Browser, chromium, type LaunchOptions } from "playwright";
import { CHROMIUM_FLAGS, findChromium } from "../src/node/chromium.ts";

/** How tests and benches start the Chromium that is found, by default with WebGPU on the processor. */
export async function chromiumOptions(
  args: readonly string[] = CHROMIUM_FLAGS,
): Promise<LaunchOptions> {
  const executablePath = await findChromium();
  return { args: [...args], ...(executablePath ? { executablePath } : {}) };
}

export const launchChromium = async (args?: readonly string[]): Promise<Browser> =>
  chromium.launch(await chromiumOptions(args));
