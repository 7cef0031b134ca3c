import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ERROR_CODES } from "../../src/errors.ts";

/** What the documents promise of the repository: links, paths, lengths, an entry for every error code. */

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Every Markdown file of the repository, by its path from the root. */
const documents = readdirSync(root, { withFileTypes: true })
  .filter(({ name }) => !["node_modules", "dist", ".git", ".cache"].includes(name))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(root, entry.name), { recursive: true, encoding: "utf8" }).map((name) =>
          join(entry.name, name),
        )
      : [entry.name],
  )
  .filter((path) => path.endsWith(".md") && !/^tests\/output\/|node_modules\//.test(path))
  .sort();

const withoutCode = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, "");

/** The anchor that GitHub and TypeDoc make of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

const anchors = (path: string): string[] =>
  [...withoutCode(read(path)).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading!));

/** Links of a document that lead nowhere. */
function deadLinks(path: string): string[] {
  const text = withoutCode(read(path));
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)|\bsrc="([^"]+)"/g)].map(
    ([, link, source]) => (link ?? source)!,
  );
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [file, anchor] = target.split("#", 2) as [string, string | undefined];
    const to = file === "" ? path : relative(root, join(root, dirname(path), file));
    if (!existsSync(join(root, to))) return true;
    return anchor !== undefined && !(to.endsWith(".md") && anchors(to).includes(anchor));
  });
}

/** Files and folders of the repository that a document names in code and that do not exist. */
function missingPaths(path: string): string[] {
  const named = [
    ...withoutCode(read(path)).matchAll(
      /`((?:src|shaders|workers|calibrate|demo|tests|public)\/[\w./-]+)`/g,
    ),
  ];
  // NAME and STORAGE stand for any name; tests/output is made by tests.
  return named
    .map(([, name]) => name!)
    .filter((name) => !/[A-Z]{4}|^tests\/output/.test(name) && !existsSync(join(root, name)));
}

describe("documents", () => {
  test.each(documents)("%s: links lead somewhere, and the paths it names exist", (path) => {
    expect({ deadLinks: deadLinks(path), missingPaths: missingPaths(path) }).toEqual({
      deadLinks: [],
      missingPaths: [],
    });
  });

  test.each([
    ["ARCHITECTURE.md", 150],
    ["README.md", 130],
  ])("%s can be read in minutes: at most %i lines", (path, most) => {
    expect(read(path).trimEnd().split("\n").length).toBeLessThanOrEqual(most);
  });

  test("tests/README.md maps promises to tests that exist", () => {
    const [, map] = read("tests/README.md").split("## Promise to test");
    const names = [...map!.matchAll(/\b(?:unit|kernels|model|e2e|firefox|embed)\/[\w/-]*/g)].map(
      ([name]) => name,
    );
    expect(names.length).toBeGreaterThan(40);
    const missing = names.filter((name) =>
      name.endsWith("/")
        ? !existsSync(join(root, "tests", name))
        : !existsSync(join(root, "tests", `${name}.test.ts`)),
    );
    expect(missing).toEqual([]);
  });

  test("the docs site can be made: every public name has a docstring, every link a page", () => {
    const typedoc = join(root, "node_modules/typedoc/bin/typedoc");
    const options = ["--options", join(root, "demo/guide/typedoc.config.mjs"), "--emit", "none"];
    const { status, stdout, stderr } = spawnSync(process.execPath, [typedoc, ...options], {
      encoding: "utf8",
    });
    expect(status, `${stdout}${stderr}`).toBe(0);
  }, 240_000);

  test("troubleshooting has an entry for every error code: what it means and what to do", () => {
    const [, ...entries] = read("demo/guide/troubleshooting.md").split(/^## /m);
    const codes = entries
      .map((entry) => /^`(\w+)`\n\n([\s\S]+)$/.exec(entry))
      .filter((match) => match !== null);
    expect(codes.map(([, code]) => code).sort()).toEqual([...ERROR_CODES].sort());
    for (const [, code, text] of codes) {
      expect(text, code).toContain("**What it means.**");
      expect(text, code).toContain("**What to do.**");
    }
  });
});
