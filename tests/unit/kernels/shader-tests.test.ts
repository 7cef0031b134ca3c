import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const exists = (path: string): boolean => existsSync(`${root}/${path}`);

/** Kernels by room; snippets (lib, weights) are tested with the kernels that import them. */
const kernels = readdirSync(`${root}/shaders`, { recursive: true, encoding: "utf8" }).filter(
  (path) => path.endsWith(".wgsl") && !/^lib\/|\/(lib|weights)\//.test(path),
);

it.each(kernels)(
  "%s has a CPU twin and a kernel test of its name, or says where it is tested",
  (path) => {
    const name = path.replace(".wgsl", "").replaceAll("_", "-");
    const head = readFileSync(`${root}/shaders/${path}`, "utf8");
    const [, elsewhere] = /^\/\/ Tested in (\S+)\.$/m.exec(head) ?? [];
    if (elsewhere !== undefined)
      return expect(exists(`tests/${elsewhere}.test.ts`), elsewhere).toBe(true);
    const twin = `tests/reference/twins/${name}.ts`;
    expect(exists(twin), twin).toBe(true);
    expect(exists(`tests/kernels/${name}.test.ts`), `tests/kernels/${name}.test.ts`).toBe(true);
  },
);

it("finds the kernels", () => {
  expect(kernels.length).toBeGreaterThan(30);
});
