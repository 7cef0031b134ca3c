/** llama.cpp, as wllama has it in WebAssembly, on the files that tests/model/parity/converted.test.ts gives to Winnow. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { serveStatic } from "../../src/node/static-server.ts";
import { launchChromium } from "../chromium.ts";
import { CONVERTED } from "../reference/tiny-model/families.ts";

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const FIXTURES = path("../model/fixtures");

it.each(CONVERTED)("%s: 64 greedy tokens are PyTorch's", async (name) => {
  const { text, answer, tokens } = JSON.parse(
    readFileSync(`${FIXTURES}/converted-${name}.json`, "utf8"),
  ) as { text: string; answer: string; tokens: number[] };
  const server = await serveStatic(
    { "/wllama": path("../../node_modules/@wllama/wllama/esm"), "/fixtures": FIXTURES },
    0,
  );
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}fixtures/converted-${name}.json`);
    // A text, since what this test's own imports become is not known to the page.
    const found = await page.evaluate(`(async () => {
      const { Wllama } = await import("/wllama/index.min.js");
      const wllama = new Wllama({ default: location.origin + "/wllama/wasm/wllama.wasm" });
      const model = location.origin + "/fixtures/converted-${name}.gguf";
      await wllama.loadModelFromUrl(model, { n_ctx: 512, n_parallel: 1, n_gpu_layers: 0 });
      const { choices, usage } = await wllama.createCompletion({
        prompt: ${JSON.stringify(text)},
        max_tokens: ${tokens.length},
        temperature: 0,
        ignore_eos: true,
        stream: false,
      });
      return { answer: choices[0].text, count: usage.completion_tokens };
    })()`);
    expect(found).toEqual({ answer, count: tokens.length });
  } finally {
    await browser.close();
    server.close();
  }
});
