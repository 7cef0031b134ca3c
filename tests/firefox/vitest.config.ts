import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { wgslModules } from "../../shaders/build/vite-plugin.mjs";
import { firefox } from "./provider.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Kernels whose numbers are checked there too, against the twins that Dawn's are checked against. */
const NUMBERS = [
  "attention/attention-decode",
  "pages/evict-select",
  "pages/kv-write",
  "sampling/sample",
].map((name) => `tests/kernels/${name}.test.ts`);

/** Tests that run inside Firefox: its compiler of shaders, naga, is another than Dawn's. */
export default defineConfig({
  plugins: [wgslModules()],
  resolve: { alias: { webgpu: at("webgpu.ts") } },
  test: {
    name: "firefox-kernels",
    root: at("../.."),
    include: ["tests/firefox/shaders/*.test.ts", ...NUMBERS],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    fileParallelism: false,
    browser: {
      enabled: true,
      provider: firefox,
      headless: true,
      ui: false,
      screenshotFailures: false,
      instances: [{ browser: "firefox" }],
    },
  },
});
