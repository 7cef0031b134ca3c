import type { Page } from "playwright";
import { WinnowError } from "../../errors.ts";
import { CHROMIUM_FLAGS, findChromium } from "../../node/chromium.ts";
import { packageFile, readGivenFilters, readOwnFilters } from "../../node/filter-files.ts";
import { resolveNodeModel } from "../../node/model-files.ts";
import { serveStatic } from "../../node/static-server.ts";
import type { CommandResult } from "../command.ts";
import { type Job, type JobHooks, reportTo } from "../job.ts";
import type { PageJob, PageOutcome } from "../page/page-protocol.ts";

/** Runs a job in headless Chromium: the same command code, with the engine in a page. */
export async function runInChromium(
  job: Job,
  { report, append, signal }: JobHooks,
): Promise<CommandResult> {
  const script = packageFile("dist/cli-page.js");
  if (!script)
    throw new WinnowError("internal", "dist/cli-page.js is missing", {
      hint: "Run `npm run build`.",
    });
  const model = job.model === undefined ? undefined : await findModel(job.model, job.filters);
  const files = { "/dist/": packageFile("dist")!, ...(model && { "/model.gguf": model.path }) };
  const server = await serveStatic(files, 0);
  try {
    return await withPage(async (page) => {
      await page.exposeFunction("winnowReport", report);
      await page.exposeFunction("winnowAppend", append);
      await page.route(server.url, (route) =>
        route.fulfill({ contentType: "text/html", body: "<!doctype html><title>winnow</title>" }),
      );
      await page.goto(server.url);
      await page.addScriptTag({ url: `${server.url}dist/cli-page.js`, type: "module" });
      await page.waitForFunction(() => "winnowRun" in globalThis);
      const pageJob: PageJob = {
        command: job.command,
        input: job.input,
        cache: job.cache,
        modelUrl: model && `${server.url}model.gguf`,
        name: model?.name ?? "",
        sha256: model?.sha256 ?? "",
        ...(model?.filters && { filters: Buffer.from(model.filters).toString("base64") }),
      };
      const abort = (): void => void page.evaluate(() => globalThis.winnowAbort());
      signal.addEventListener("abort", abort);
      const outcome = await page.evaluate((sent) => globalThis.winnowRun(sent), pageJob);
      return unpack(outcome);
    });
  } finally {
    server.close();
  }

  /** A file with the model, its hash and its filters. */
  async function findModel(name: string, given: string | undefined) {
    const found = await resolveNodeModel(name, reportTo(report), signal);
    const filters = (await readGivenFilters(given)) ?? (await readOwnFilters(found.entry));
    const { sha256 } = await found.verified();
    await found.close();
    const path = await found.path();
    if (path !== undefined) return { path, name: found.name, sha256, filters };
    throw new WinnowError("invalid_argument", `${name}: Chromium takes a model of one file`, {
      hint: "Use --host node.",
    });
  }
}

async function withPage<T>(use: (page: Page) => Promise<T>): Promise<T> {
  const { chromium } = await import("playwright").catch((cause: unknown) => {
    throw new WinnowError("no_webgpu", "--host chromium needs the playwright package", {
      hint: "npm i playwright",
      cause,
    });
  });
  const executablePath = await findChromium();
  if (!executablePath) {
    throw new WinnowError("no_webgpu", "no Chromium was found", {
      hint: "Install one (`npx playwright install chromium`), or set CHROMIUM_PATH.",
    });
  }
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage();
    page.on("console", (message) => console.error(message.text()));
    // A page that crashes must end the command, not hang it.
    const crashed = new Promise<never>((_resolve, reject) => {
      page.on("crash", () => reject(new WinnowError("device_lost", "the page crashed")));
    });
    return await Promise.race([use(page), crashed]);
  } finally {
    await browser.close();
  }
}

function unpack(outcome: PageOutcome): CommandResult {
  if (!outcome.ok) throw WinnowError.fromWire(outcome.error);
  const { json, text, files } = outcome.result;
  const decoded = Object.entries(files).map(([path, base64]) => [
    path,
    Buffer.from(base64, "base64"),
  ]);
  return { json, text, files: Object.fromEntries(decoded) };
}
