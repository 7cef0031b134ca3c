import { WinnowError } from "../errors.ts";
import { easeWaits } from "./dawn-waits.ts";

const DRIVER_HINT =
  "Dawn needs a Vulkan driver: a GPU's own, Mesa 24 or newer (lavapipe runs on the CPU), or the " +
  "SwiftShader that ships with Chromium: set VK_ICD_FILENAMES to its vk_swiftshader_icd.json and " +
  "LD_LIBRARY_PATH to its folder before the process starts.";

/** Dawn's GPU object must outlive every object made from it. */
let dawn: GPU | undefined;

/** WebGPU in Node through the `webgpu` package. Throws no_webgpu where it is not installed. */
export async function nodeGpu(): Promise<GPU> {
  if (dawn) return dawn;
  try {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    easeWaits(GPUQueue, GPUBuffer);
    dawn = quietly(create([]));
    return dawn;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const missing = code === "ERR_MODULE_NOT_FOUND" && /'webgpu'/.test(message);
    throw new WinnowError(
      "no_webgpu",
      missing
        ? "winnow-llm/node needs the package webgpu, which is not installed"
        : `the package webgpu, WebGPU for Node, could not be loaded: ${message}`,
      {
        hint: missing
          ? "Run `npm install webgpu` (for a single command: `npx -p winnow-llm -p webgpu winnow ...`)."
          : "It needs glibc 2.31 or newer, macOS or Windows, and the binary that its install brings (`npm install webgpu`).",
        cause,
      },
    );
  }
}

/**
 * Vulkan drivers look for a Wayland display while adapters are asked for, which happens within the call, and complain on
 * stderr where XDG_RUNTIME_DIR is not set. Nothing is drawn here: they are given a display that is not there.
 */
function quietly(gpu: GPU): GPU {
  const ask = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = (options) => {
    const { XDG_RUNTIME_DIR, WAYLAND_DISPLAY } = process.env;
    if (process.platform !== "linux" || XDG_RUNTIME_DIR || WAYLAND_DISPLAY) return ask(options);
    process.env.WAYLAND_DISPLAY = "/nonexistent/wayland";
    try {
      return ask(options);
    } finally {
      delete process.env.WAYLAND_DISPLAY;
    }
  };
  return gpu;
}

/** Throws no_adapter, with how to get a driver, where Dawn offers no adapter. */
export async function requireAdapter(gpu: GPU): Promise<void> {
  if (await gpu.requestAdapter()) return;
  throw new WinnowError("no_adapter", "WebGPU found no adapter on this machine", {
    hint: DRIVER_HINT,
  });
}
