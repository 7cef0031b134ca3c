import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stripShader } from "./strip.mjs";

const shaders = fileURLToPath(new URL("..", import.meta.url));
const IMPORT = /^\/\/: import ([\w/]+)\n/gm;

/**
 * Makes a module of a .wgsl file: a list of WGSL texts, those that it imports first and its own last. `//: import lib/rope`
 * imports shaders/lib/rope.wgsl with all that it imports. A kernel that is joined from several shaders holds a text that
 * they share once (src/gpu/kernel.ts).
 * @param {{ strip?: boolean }} [options] `strip`: leave out comments and spaces. Default true.
 * @returns {import("vite").Plugin}
 */
export function wgslModules({ strip = true } = {}) {
  return {
    name: "winnow:wgsl",
    enforce: "pre",
    load(id) {
      if (!id.endsWith(".wgsl")) return;
      const code = readFileSync(id, "utf8");
      const names = [...code.matchAll(IMPORT)].map(([, name]) => name);
      const own = code.replace(IMPORT, "");
      return [
        ...names.map((name, i) => `import i${i} from ${JSON.stringify(`${shaders}${name}.wgsl`)};`),
        `const own = ${JSON.stringify(strip ? stripShader(own) : own)};`,
        `export default [...new Set([${names.map((_, i) => `...i${i}, `).join("")}own])];`,
      ].join("\n");
    },
  };
}
