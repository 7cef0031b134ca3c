// npm run docs: the guide and the API reference as a site in dist/docs.
import { join } from "node:path";
import { Converter } from "typedoc";

const root = join(import.meta.dirname, "../..");
const PAGES = [
  "install",
  "embed",
  "schemas",
  "tools",
  "clients",
  "budgets",
  "policies",
  "models",
  "persistence",
  "chats",
  "serve",
  "remote",
  "deploy",
  "troubleshooting",
].map((page) => `demo/guide/${page}.md`);
const RESULTS = ["src/eval/RESULTS.md", "tests/bench/RESULTS.md"];

/** A page is called by its first heading. @param {import("typedoc").Application} app */
function nameByHeading(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const [first] = document.content;
    const [, heading] = /^# (.+)$/m.exec(first?.text ?? "") ?? [];
    if (heading) document.name = heading;
  });
}

/** @type {import("typedoc").TypeDocOptions} */
export default {
  name: "Winnow",
  tsconfig: join(root, "tsconfig.json"),
  entryPoints: ["index", "node", "ai-sdk", "prompt-api"].map((name) =>
    join(root, `src/${name}.ts`),
  ),
  readme: join(root, "demo/guide/index.md"),
  projectDocuments: [...PAGES, ...RESULTS].map((path) => join(root, path)),
  // npm run check finds type errors.
  skipErrorChecking: true,
  plugin: [nameByHeading],
  out: join(root, "dist/docs"),
  excludeInternal: true,
  excludePrivate: true,
  hideGenerator: true,
  githubPages: false,
  disableGit: true,
  disableSources: true,
  includeVersion: true,
  treatWarningsAsErrors: true,
  navigation: { includeCategories: true },
  validation: { notExported: true, invalidLink: true, notDocumented: true },
};
