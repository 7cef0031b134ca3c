import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const APPS = fileURLToPath(new URL("../apps", import.meta.url));
/** Installed apps stay here between runs. */
export const OUTPUT = join(ROOT, "tests/output/embed");
