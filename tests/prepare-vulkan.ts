import { spawnSync } from "node:child_process";
import { swiftShaderEnvironment, type VulkanEnvironment } from "../src/node/vulkan.ts";

/** Asked in a process of its own: the Vulkan loader reads the environment once. */
const PROBE = `
import { create, globals } from "webgpu";
Object.assign(globalThis, globals);
const adapter = await create([]).requestAdapter();
if (!adapter) process.exit(3);
console.log(adapter.info.description || adapter.info.device || adapter.info.vendor);
process.exit(0);`;

/** Mesa on the processor: takes several times as long as SwiftShader to compile a kernel. */
const LAVAPIPE = /llvmpipe/i;

/**
 * Makes sure that Dawn finds an adapter in processes started from here on, with the SwiftShader
 * beside `browser` where there is no GPU, unless the environment names a driver. Returns the adapter's name; throws where none works.
 */
export function prepareVulkan(browser: string): string {
  const present = probe();
  const chosen = process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES;
  if (present && (chosen || !LAVAPIPE.test(present))) return present;
  const environment = swiftShaderEnvironment(browser);
  const software = environment && probe(environment);
  if (software) {
    Object.assign(process.env, environment);
    return software;
  }
  if (present) return present;
  throw new Error(
    "No WebGPU adapter for Node: install a Vulkan driver (Mesa 24 or newer) or a Chromium with SwiftShader.",
  );
}

function probe(environment: Partial<VulkanEnvironment> = {}): string | undefined {
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", PROBE], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, ...environment },
  });
  return status === 0 ? stdout.trim() || "unnamed adapter" : undefined;
}
