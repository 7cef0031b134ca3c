import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Plugin, parseAst } from "vite";
import { minifyShader, shortNames } from "./minify.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Ships shaders as `minifyShader` makes them. */
export function minifyShaders(): Plugin {
  let names: ReadonlyMap<string, string> | undefined;
  return {
    name: "winnow:minify-shaders",
    enforce: "pre",
    load(id) {
      if (!id.endsWith(".wgsl?raw")) return;
      names ??= shortNames(allShaders(), wordsOfKernels());
      const code = readFileSync(id.slice(0, -"?raw".length), "utf8");
      return `export default ${JSON.stringify(minifyShader(code, names))}`;
    },
  };
}

const read = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => readFileSync(join(root, folder, name), "utf8"));

/** Every shader of the repository, in a fixed order: builds agree on the names. */
export const allShaders = (): string[] => read("shaders", ".wgsl");

/** Words in the strings of files that have to do with shaders, and names of constants, which become WGSL's. */
export function wordsOfKernels(): Set<string> {
  const words = new Set<string>();
  const add = (text: string, pattern: RegExp): void => {
    for (const [word] of text.matchAll(pattern)) words.add(word);
  };
  for (const code of read("src", ".ts").filter((text) => /wgsl/i.test(text))) {
    for (const text of literals(parseAst(code, { lang: "ts" }))) add(text, /[A-Za-z_]\w*/g);
    add(code, /\b[A-Z][A-Z0-9_]+\b/g);
  }
  return words;
}

/** The strings and the fixed parts of templates anywhere in a syntax tree. */
function literals(node: unknown): string[] {
  if (typeof node !== "object" || node === null) return [];
  const { type, value } = node as { type?: string; value?: unknown };
  if (type === "Literal") return typeof value === "string" ? [value] : [];
  if (type === "TemplateElement") return [(value as { raw: string }).raw];
  return Object.values(node).flatMap(literals);
}
