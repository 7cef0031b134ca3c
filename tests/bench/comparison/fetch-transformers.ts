import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const VERSION = "4.3.1";

/**
 * Folder of node_modules with transformers.js, which npm puts into `folder` where it is not there yet. It is 450 MB with
 * ONNX Runtime, so only a bench that runs it has it. Its install scripts are left out: they fetch what Node alone needs.
 * Throws Error where npm cannot get it.
 */
export async function fetchTransformers(folder: string): Promise<string> {
  const modules = join(folder, "node_modules");
  if (existsSync(join(modules, "@huggingface/transformers/dist/transformers.web.min.js")))
    return modules;
  console.log(`getting transformers.js ${VERSION} into ${folder}...`);
  mkdirSync(folder, { recursive: true });
  const status = await new Promise<number | null>((resolve, reject) => {
    const args = ["install", "--prefix", folder, "--no-save", "--ignore-scripts"];
    spawn("npm", [...args, "--no-audit", "--no-fund", `@huggingface/transformers@${VERSION}`], {
      stdio: ["ignore", "inherit", "inherit"],
      shell: process.platform === "win32",
    })
      .on("error", reject)
      .on("exit", resolve);
  });
  if (status !== 0)
    throw new Error(`npm could not get transformers.js ${VERSION} (exit ${status})`);
  return modules;
}
