import { defineBrowserProvider } from "@vitest/browser";
import type { Browser } from "puppeteer-core";

/** Runs vitest's browser mode in Firefox: opens its page, and says on the terminal what the page's console says. */
export const firefox = defineBrowserProvider({
  name: "firefox",
  supportedBrowser: ["firefox"],
  providerFactory: () => {
    let browser: Browser | undefined;
    return {
      name: "firefox",
      supportsParallelism: false,
      getCommandsContext: () => ({}),
      async openPage(_session, url) {
        // When it is needed: other suites read this file too.
        const { launchFirefox } = await import("./firefox.ts");
        browser ??= await launchFirefox();
        const page = await browser.newPage();
        await page.goto(url);
      },
      close: async () => browser?.close(),
    };
  },
});
