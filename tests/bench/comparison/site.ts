import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { type Mounts, type StaticServer, serveStatic } from "../../../src/node/static-server.ts";
import { fetchTransformers } from "./fetch-transformers.ts";
import { type BenchOptions, runsTransformers } from "./options.ts";

/** What the page imports by name; transformers.js leaves ONNX Runtime to the bundler. */
const IMPORTS = {
  "onnxruntime-web/webgpu": "/ort/ort.webgpu.bundle.min.mjs",
  "onnxruntime-common": "/ort-common/index.js",
};

export interface Site {
  server: StaticServer;
  /** The file that an address of the site is served from; undefined for what is no code of an engine. */
  codeFile(address: string): string | undefined;
}

/**
 * Builds the page into `folder` and serves it with the engines and their models. Throws Error where dist is missing,
 * or where transformers.js takes part and cannot be had.
 */
export async function openSite(
  root: string,
  folder: string,
  options: BenchOptions & { model: string },
): Promise<Site> {
  const dist = join(root, "dist");
  if (!existsSync(join(dist, "engine.worker.js")))
    throw new Error("dist/ is missing: run `npm run build` first");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await build({
    configFile: false,
    root,
    logLevel: "error",
    publicDir: false,
    build: {
      outDir: join(folder, "page"),
      target: "es2022",
      lib: {
        entry: {
          page: join(root, "tests/bench/page/page.ts"),
          "count-worker": join(root, "tests/bench/page/count-worker.ts"),
        },
        formats: ["es"],
      },
      rolldownOptions: { output: { entryFileNames: "[name].js", chunkFileNames: "[name].js" } },
    },
  });
  const map = JSON.stringify({ imports: IMPORTS });
  writeFileSync(
    join(folder, "page/index.html"),
    `<!doctype html><title>bench</title><script type="importmap">${map}</script>` +
      `<script type="module" src="/page.js"></script>`,
  );
  // Winnow's worker counts its calls of WebGPU: its first import wraps the prototypes.
  cpSync(dist, join(folder, "dist"), {
    recursive: true,
    filter: (path) => !path.startsWith(join(dist, "demo")) && !path.startsWith(join(dist, "types")),
  });
  const worker = join(folder, "dist/engine.worker.js");
  writeFileSync(worker, `import "/count-worker.js";\n${readFileSync(worker, "utf8")}`);
  const modules = join(root, "node_modules");
  const transformers = runsTransformers(options)
    ? await fetchTransformers(join(root, ".cache/bench/transformers"))
    : undefined;
  const engines: Mounts = {
    "/winnow/dist/": join(folder, "dist"),
    ...(transformers && {
      "/transformers/": join(transformers, "@huggingface/transformers/dist"),
      "/ort/": join(transformers, "onnxruntime-web/dist"),
      "/ort-common/": join(transformers, "onnxruntime-common/dist/esm"),
    }),
    "/wllama/": join(modules, "@wllama/wllama/esm"),
  };
  const server = await serveStatic(
    {
      "/": join(folder, "page"),
      ...engines,
      "/winnow/public/": join(root, "public"),
      "/onnx/model/": options.onnx,
      "/model.gguf": options.model,
    },
    0,
  );
  return {
    server,
    codeFile(address) {
      const { pathname } = new URL(address);
      const mount = Object.keys(engines).find((prefix) => pathname.startsWith(prefix));
      return mount && join(engines[mount]!, pathname.slice(mount.length));
    },
  };
}

/** Bytes of a file, gzipped. */
export const gzipBytes = (path: string): number =>
  gzipSync(readFileSync(path), { level: 9 }).length;
