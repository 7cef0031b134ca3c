import { fileURLToPath } from "node:url";
import { build, type Rolldown } from "vite";
import { type Site, servePackage } from "../firefox/site.ts";

const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Clients</title>
<script type="module">
import * as ai from "./ai.js";
import * as aiSdk from "./dist/ai-sdk.js";
import * as promptApi from "./dist/prompt-api.js";
Object.assign(window, { clients: { ai, aiSdk, promptApi } });
</script>`;

/** A worker with the polyfill's global, which answers what it is asked. */
const WORKER = `import "./dist/prompt-api-polyfill.js";
import { polyfill } from "./dist/prompt-api.js";
const fromImport = typeof LanguageModel;
onmessage = async ({ data: { model, text } }) => {
  polyfill({ model, replace: true });
  const session = await LanguageModel.create({ initialPrompts: [{ role: "system", content: "Say little." }] });
  const answer = await session.prompt(text, { responseConstraint: /(yes|no)/ });
  postMessage({ fromImport, answer, usage: session.contextUsage });
  await LanguageModel.unload();
};`;

/** A page without a bundler at /clients.html, which has the package's clients in its window, and the AI SDK in one file. */
export async function serveClients(model: Uint8Array): Promise<Site> {
  const site = await servePackage(model);
  const files = {
    "/clients.html": ["text/html", PAGE],
    "/worker.js": ["text/javascript", WORKER],
    "/ai.js": ["text/javascript", await aiInOneFile()],
  } as const;
  for (const [path, [type, text]] of Object.entries(files))
    site.answers.set(path, (_request, response) => {
      response.setHeader("content-type", type);
      response.end(text);
    });
  return site;
}

async function aiInOneFile(): Promise<string> {
  const entry = fileURLToPath(new URL("ai.ts", import.meta.url));
  const [built] = (await build({
    configFile: false,
    logLevel: "silent",
    define: { "process.env.NODE_ENV": '"production"' },
    build: { write: false, minify: true, lib: { entry, formats: ["es"], fileName: "ai" } },
  })) as Rolldown.RolldownOutput[];
  return built!.output[0].code;
}
