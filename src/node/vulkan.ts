import { existsSync, readdirSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

/**
 * Dawn finds GPUs through Vulkan. Chromium ships a software driver, SwiftShader, that works for
 * any process, but the loader reads these variables when the process starts.
 */
export interface VulkanEnvironment {
  VK_ICD_FILENAMES: string;
  LD_LIBRARY_PATH?: string;
}

const MANIFEST = "vk_swiftshader_icd.json";
const FOLDERS = [
  "/usr/lib/chromium",
  "/usr/lib/chromium-browser",
  "/usr/lib64/chromium-browser",
  "/opt/google/chrome",
];

const DRIVER_FOLDERS = [
  "/etc/vulkan/icd.d",
  "/usr/share/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
];

/** Whether the Vulkan loader of Linux could find any driver; other systems bring their own. */
export function mayHaveVulkanDriver(): boolean {
  if (process.platform !== "linux") return true;
  if (process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) return true;
  return DRIVER_FOLDERS.some((folder) => existsSync(folder) && readdirSync(folder).length > 0);
}

/** The SwiftShader beside `browser` or beside an installed Chromium; undefined where there is none. */
export function swiftShaderEnvironment(browser?: string): VulkanEnvironment | undefined {
  const beside = browser && existsSync(browser) ? [dirname(realpathSync(browser))] : [];
  for (const folder of [...beside, ...FOLDERS, ...playwrightFolders()]) {
    const manifest = join(folder, MANIFEST);
    if (!existsSync(manifest)) continue;
    // Chromium brings the loader too, for machines without one.
    if (!existsSync(join(folder, "libvulkan.so.1"))) return { VK_ICD_FILENAMES: manifest };
    const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter);
    return { VK_ICD_FILENAMES: manifest, LD_LIBRARY_PATH: libraries };
  }
  return undefined;
}

function playwrightFolders(): string[] {
  const root = process.env.PLAYWRIGHT_BROWSERS_PATH || join(homedir(), ".cache/ms-playwright");
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => name.startsWith("chromium"))
    .flatMap((name) => readdirSync(join(root, name)).map((inner) => join(root, name, inner)));
}
