import { createHash } from "node:crypto";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import {
  defineConfig,
  type Plugin,
  type TestProjectConfiguration,
  type ViteUserConfig,
} from "vitest/config";
import { wgslModules } from "./shaders/build/vite-plugin.mjs";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The worker's code in one file, and in chunks for pages without a bundler. */
const ONE_FILE = "worker.js";
/** All of the package in one file. */
const WHOLE_FILE = "service-worker.js";
const WORKER_FILE = "engine.worker.js";

/**
 * How bundlers find the worker. webpack, Turbopack and Parcel know the literal `new Worker(new URL("./file",
 * import.meta.url))`, which Vite replaces by expressions of its own making: so it is written here. In an app Vite looks
 * for the literal by its letters: spelled with parentheses and its comment it is left alone, and Vite takes the worker's
 * code for what it also is, a module that is imported later (src/api/page/find-worker.ts).
 */
function workerForBundlers(): Plugin {
  const source = at("workers/engine.worker.ts");
  const viteForm =
    /new Worker\([^{}]*?engine\.worker\.js[^{}]*?,\s*(?=\{\s*type:\s*["'`]module["'`])/g;
  const literal = `new (Worker)(new URL(/* @vite-ignore */ "./${ONE_FILE}", import.meta.url), `;
  return {
    name: "winnow:worker-for-bundlers",
    enforce: "pre",
    async resolveId(id, importer) {
      if (!importer || !id.endsWith("/engine.worker.ts")) return;
      const found = await this.resolve(id, importer, { skipSelf: true });
      return found?.id === source ? { id: `./${ONE_FILE}`, external: true } : found;
    },
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type !== "chunk" || !file.code.includes("new Worker(")) continue;
          file.code = file.code
            .replace(viteForm, literal)
            .replaceAll("PACKAGE_FILE", JSON.stringify(file.fileName));
          if (!file.code.includes(literal) || !file.code.includes(JSON.stringify(file.fileName)))
            this.error(`${file.fileName}: the worker's address is not as it should be`);
        }
      },
    },
  };
}

/** dist/precache.json: what a page without a bundler may ask for, for a service worker that keeps it. */
function precacheList(): Plugin {
  return {
    name: "winnow:precache-list",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const files = new Set<string>();
        const reach = (name: string): void => {
          const file = bundle[name];
          if (files.has(name) || file?.type !== "chunk") return;
          files.add(name);
          for (const next of [...file.imports, ...file.dynamicImports]) reach(next);
        };
        reach("index.js");
        // The worker's files are assets to the page's build.
        for (const { type, fileName } of Object.values(bundle))
          if (type === "asset" && fileName.endsWith(".js")) files.add(fileName);
        const source = `${JSON.stringify([...files, ONE_FILE].sort(), undefined, 2)}\n`;
        this.emitFile({ type: "asset", fileName: "precache.json", source });
      },
    },
  };
}

/** What a service worker need not keep from the start: what few visitors use. */
const KEPT_WHEN_USED = /\.bcmap$|(^|\/)(pdf|docx)[-.]/;

/** sw.js of the chat page: demo/offline/service-worker.js with the list of the files that it keeps. */
function offlinePage(): Plugin {
  return {
    name: "winnow:offline-page",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const built = Object.keys(bundle).filter((name) => !KEPT_WHEN_USED.test(name));
        const files = ["./", ...built.filter((name) => name !== "index.html"), ...publicFiles()];
        const hash = createHash("sha256");
        for (const name of Object.keys(bundle).sort()) {
          const file = bundle[name]!;
          hash.update(name).update(file.type === "chunk" ? file.code : file.source);
        }
        for (const name of publicFiles())
          hash.update(name).update(readFileSync(at(`public/${name}`)));
        const script = readFileSync(at("demo/offline/service-worker.js"), "utf8")
          .replace("VERSION", hash.digest("hex").slice(0, 16))
          .replace('["FILES"]', JSON.stringify(files));
        this.emitFile({ type: "asset", fileName: "sw.js", source: script });
      },
    },
  };
}

/** Names of the files in public/. */
const publicFiles = (): string[] =>
  readdirSync(at("public"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(at("public"), join(entry.parentPath, entry.name)).replaceAll("\\", "/"),
    );

interface ModuleGraph {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

/**
 * What `entry` imports, but for what it imports when it is needed, in one chunk `name` that is not the entry's own:
 * later chunks share code with it, and one that imported the worker's file would run it twice under an app's dev
 * server, where the worker has another address.
 */
function inOneChunk(name: string, entry: string) {
  const inChunk = (id: string, graph: ModuleGraph): boolean => {
    const seen = new Set<string>();
    const reach = (module: string): void => {
      if (seen.has(module)) return;
      seen.add(module);
      graph.getModuleInfo(module)?.importedIds.forEach(reach);
    };
    graph.getModuleInfo(at(entry))?.importedIds.forEach(reach);
    return seen.has(id);
  };
  return {
    groups: [
      {
        name: (id: string, graph: ModuleGraph) => (inChunk(id, graph) ? name : null),
        debugName: name,
      },
    ],
  };
}

/** A build prints no notes on how long it took, nor on modules that one page loads later and another at once. */
const checks = { bundlerTimings: false, ineffectiveDynamicImport: false };

const workerOutput: ViteUserConfig["worker"] = {
  format: "es",
  plugins: () => [wgslModules()],
  rolldownOptions: {
    checks,
    output: {
      entryFileNames: WORKER_FILE,
      chunkFileNames: "[name].js",
      codeSplitting: inOneChunk("core", "workers/engine.worker.ts"),
    },
  },
};

/** npm links dist/cli.js once and expects it to stay a program when it is built again. */
function executableCli(): Plugin {
  return {
    name: "winnow:executable-cli",
    closeBundle: () => chmodSync(at("dist/cli.js"), 0o755),
  };
}

/** dist/index.js with its worker beside it, and the page that `winnow --host chromium` runs. */
const browserLibrary: ViteUserConfig = {
  base: "./",
  publicDir: false,
  plugins: [workerForBundlers(), precacheList(), wgslModules()],
  worker: workerOutput,
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    license: { fileName: "third-party-licenses.md" },
    lib: {
      entry: {
        index: at("src/index.ts"),
        "ai-sdk": at("src/ai-sdk.ts"),
        "prompt-api": at("src/prompt-api.ts"),
        "prompt-api-polyfill": at("src/prompt-api-polyfill.ts"),
        "cli-page": at("src/cli/page/page.ts"),
      },
      formats: ["es"],
    },
    rolldownOptions: {
      checks,
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name]-[hash].js",
        minify: true,
        codeSplitting: inOneChunk("page", "src/index.ts"),
      },
    },
  },
};

/** A file of dist that imports nothing, so that whatever bundles an app leaves it whole. */
const oneFile = (entry: string, fileName: string): ViteUserConfig => ({
  publicDir: false,
  plugins: [wgslModules()],
  build: {
    outDir: "dist",
    emptyOutDir: false,
    target: "es2022",
    lib: { entry: at(entry), formats: ["es"], fileName: () => fileName },
    rolldownOptions: { output: { minify: true, codeSplitting: false } },
  },
});

/** dist/node.js and dist/cli.js, complete but for the GPU and the browser. */
const nodeLibrary: ViteUserConfig = {
  publicDir: false,
  plugins: [executableCli(), wgslModules()],
  ssr: { noExternal: true, external: ["webgpu", "playwright"] },
  build: {
    outDir: "dist",
    emptyOutDir: false,
    target: "node20",
    ssr: true,
    minify: false,
    rolldownOptions: {
      checks,
      input: { node: at("src/node.ts"), cli: at("src/cli/main.ts") },
      output: {
        format: "es",
        entryFileNames: "[name].js",
        chunkFileNames: "node-[name]-[hash].js",
      },
    },
  },
};

/** The chat page as a static site under any path. */
const demoSite: ViteUserConfig = {
  root: at("demo"),
  base: "./",
  publicDir: at("public"),
  plugins: [wgslModules(), offlinePage()],
  // CommonJS, which the development server bundles before it serves it.
  optimizeDeps: { include: ["mammoth"] },
  worker: { format: "es", plugins: () => [wgslModules()], rolldownOptions: { checks } },
  build: {
    outDir: at("dist/demo"),
    emptyOutDir: true,
    target: "es2022",
    rolldownOptions: { checks },
  },
};

/** Engines that `createEngine` makes in Node share the devices of tests/shared-gpu.ts, and what is compiled on them. */
const sharedDevices: Plugin = {
  name: "winnow:shared-devices",
  enforce: "pre",
  resolveId: (id, importer) =>
    id === "webgpu" && importer?.endsWith("/src/node/dawn.ts")
      ? at("tests/shared-webgpu.ts")
      : undefined,
};

/** Suites that share a GPU run one file at a time; without `isolate` in one process, which keeps what was compiled. */
const suite = (
  name: string,
  folder: string,
  seconds: number,
  alone: boolean,
  {
    isolate = true,
    strip = true,
    plugins = [],
  }: { isolate?: boolean; strip?: boolean; plugins?: Plugin[] } = {},
): TestProjectConfiguration => ({
  plugins: [wgslModules({ strip }), ...plugins],
  test: {
    name,
    include: [`tests/${folder}/*.test.ts`],
    environment: "node",
    pool: "forks",
    setupFiles: alone ? [at("tests/setup-gpu.ts")] : [],
    fileParallelism: !alone,
    isolate,
    testTimeout: seconds * 1000,
    hookTimeout: seconds * 1000,
    // A page may be slow to show what it will show, where others use the machine.
    expect: { poll: { timeout: 15_000 } },
  },
});

const tests: ViteUserConfig = {
  test: {
    projects: [
      // Every kernel as it is shipped; the suite of models runs them as they are written.
      suite("unit", "unit/**", 60, false),
      suite("kernels", "kernels/**", 120, true),
      suite("model", "model/**", 400, true, {
        isolate: false,
        strip: false,
        plugins: [sharedDevices],
      }),
      suite("e2e", "e2e", 400, true),
      suite("firefox", "firefox", 400, true),
      "tests/firefox/vitest.config.ts",
      suite("embed", "embed", 400, true),
    ],
  },
};

export default defineConfig(({ mode, command }) => {
  // What is built is for users, whatever the process that builds it is for: packages and `import.meta.env` go by this.
  if (command === "build") process.env.NODE_ENV = "production";
  if (mode === "browser") return browserLibrary;
  if (mode === "worker") return oneFile("workers/engine.worker.ts", ONE_FILE);
  if (mode === "service-worker") return oneFile("workers/service-worker.ts", WHOLE_FILE);
  if (mode === "node") return nodeLibrary;
  if (mode === "demo") return demoSite;
  return { ...demoSite, ...tests, root: mode === "test" ? at(".") : at("demo") };
});
