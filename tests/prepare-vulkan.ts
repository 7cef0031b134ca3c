import { spawnSync } from "node:child_process";
import { swiftShaderEnvironment } from "../src/node/vulkan.ts";

/** Asked in a process of its own: the Vulkan loader reads the environment once. */
const PROBE = `
import { create, globals } from "webgpu";
Object.assign(globalThis, globals);
const adapter = await create([]).requestAdapter();
if (!adapter) process.exit(3);
console.log(adapter.info.description || adapter.info.device || adapter.info.vendor);
process.exit(0);`;

/**
 * Makes sure that Dawn finds an adapter in processes started from here on, with the SwiftShader
 * beside `browser` where there is no other. Returns the adapter's name; throws where none works.
 */
export function prepareVulkan(browser: string): string {
  const present = probe();
  if (present) return present;
  const environment = swiftShaderEnvironment(browser);
  Object.assign(process.env, environment);
  const software = environment && probe();
  if (software) return software;
  throw new Error(
    "No WebGPU adapter for Node: install a Vulkan driver (Mesa 24 or newer) or a Chromium with SwiftShader.",
  );
}

function probe(): string | undefined {
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", PROBE], {
    encoding: "utf8",
    timeout: 60_000,
  });
  return status === 0 ? stdout.trim() || "unnamed adapter" : undefined;
}
