import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { App } from "./harness/app.ts";
import { host } from "./harness/host.ts";

/** Somewhere to open the app at. */
export interface Served {
  url: string;
  stop(): void;
}

export interface Setup {
  name: string;
  /** A folder of apps/. */
  app: string;
  /** Only under WINNOW_FULL=1. */
  full?: boolean;
  serve(app: App): Promise<Served>;
  /** What else holds of it. */
  more?(url: string): Promise<void>;
}

/** The model as a file of the site. */
function intoPublic(app: App): void {
  mkdirSync(join(app.dir, "public"), { recursive: true });
  symlinkSync(app.packed.model, join(app.dir, "public/model.gguf"));
}

const built = (app: App, folder: string): Promise<Served> =>
  host(join(app.dir, folder), { files: { "/model.gguf": app.packed.model } });

/** What a bundler leaves in dist, under the app's own index.html. */
const besideIndex = (app: App): Promise<Served> =>
  host(join(app.dir, "dist"), {
    files: { "/": join(app.dir, "index.html"), "/model.gguf": app.packed.model },
  });

const vite = (version: number, full: boolean): Setup[] => [
  {
    name: `Vite ${version}, build`,
    app: `vite-${version}`,
    full,
    async serve(app) {
      await app.run("vite", "build");
      return built(app, "dist");
    },
  },
  {
    name: `Vite ${version}, dev server`,
    app: `vite-${version}`,
    full,
    async serve(app) {
      intoPublic(app);
      return app.serve("vite", "--port", "PORT", "--strictPort");
    },
  },
  {
    name: `Vite ${version}, preview of a build`,
    app: `vite-${version}`,
    full: true,
    async serve(app) {
      intoPublic(app);
      await app.run("vite", "build");
      return app.serve("vite", "preview", "--port", "PORT", "--strictPort");
    },
  },
];

export const SETUPS: readonly Setup[] = [
  ...vite(8, false),
  ...vite(7, true),
  ...vite(6, true),
  ...vite(5, true),
  {
    name: "webpack 5, build",
    app: "webpack",
    async serve(app) {
      await app.run("webpack", "--mode", "production");
      return besideIndex(app);
    },
  },
  {
    name: "webpack 5, dev server",
    app: "webpack",
    full: true,
    async serve(app) {
      intoPublic(app);
      symlinkSync(join(app.dir, "index.html"), join(app.dir, "public/index.html"));
      return app.serve("webpack", "serve", "--mode", "development", "--port", "PORT");
    },
  },
  {
    name: "esbuild, with code splitting",
    app: "esbuild",
    async serve(app) {
      await app.run(
        "esbuild",
        "main.js",
        "--bundle",
        "--format=esm",
        "--splitting",
        "--minify",
        "--outdir=dist",
      );
      return besideIndex(app);
    },
  },
  {
    name: "Rollup",
    app: "rollup",
    full: true,
    async serve(app) {
      await app.run(
        "rollup",
        "main.js",
        "--format",
        "es",
        "--dir",
        "dist",
        "--plugin",
        "node-resolve",
      );
      return besideIndex(app);
    },
  },
  {
    name: "Parcel, build",
    app: "parcel",
    full: true,
    async serve(app) {
      await app.run("parcel", "build", "index.html", "--dist-dir", "dist");
      return built(app, "dist");
    },
  },
  {
    name: "Next, client component, build and start",
    app: "next",
    async serve(app) {
      intoPublic(app);
      await app.run("next", "build");
      return app.serve("next", "start", "--port", "PORT");
    },
    async more(url) {
      const page = await (await fetch(`${url}server`)).text();
      expect(page, "what a server component is told").toMatch(
        /WinnowError no_webgpu: In Node import createEngine from .{0,10}winnow-llm\/node/,
      );
    },
  },
  {
    name: "Next, client component, dev server",
    app: "next",
    full: true,
    async serve(app) {
      intoPublic(app);
      return app.serve("next", "dev", "--port", "PORT");
    },
  },
  {
    name: "Next, client component, build by webpack",
    app: "next",
    full: true,
    async serve(app) {
      intoPublic(app);
      await app.run("next", "build", "--webpack");
      return app.serve("next", "start", "--port", "PORT");
    },
  },
  {
    name: "React in StrictMode",
    app: "react",
    full: true,
    async serve(app) {
      intoPublic(app);
      return app.serve("vite", "--port", "PORT", "--strictPort");
    },
  },
  {
    name: "no bundler",
    app: "plain",
    async serve(app) {
      return built(app, ".");
    },
  },
];
