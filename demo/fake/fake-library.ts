import type { Engine, EngineOptions, StoredModel } from "../../src/index.ts";
import { createFakeEngine } from "./fake-engine.ts";
import { WEIGHT_BYTES } from "./fake-load.ts";

/** What has been loaded from a name or an address, kept for as long as the tab is open. */
const KEY = "fake-stored";

type Kept = Record<string, { bytes: number; lastUsed: string }>;

const read = (): Kept => JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
const write = (kept: Kept): void => sessionStorage.setItem(KEY, JSON.stringify(kept));

export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { model, onProgress } = options;
  const source = typeof model === "string" ? model : undefined;
  const keep = (bytes: number): void => {
    if (source !== undefined)
      write({ ...read(), [source]: { bytes, lastUsed: new Date().toISOString() } });
  };
  const engine = await createFakeEngine(
    {
      ...options,
      onProgress: (progress) => {
        if (progress.stage === "download") keep(Math.round(progress.loaded));
        onProgress?.(progress);
      },
    },
    source !== undefined && read()[source]?.bytes === WEIGHT_BYTES,
  );
  keep(WEIGHT_BYTES);
  return engine;
}

export async function listModels(): Promise<StoredModel[]> {
  return Object.entries(read()).map(([source, { bytes, lastUsed }]) => ({
    name: source.split("/").at(-1)!,
    source,
    bytes,
    verified: !source.includes("/"),
    lastUsed: new Date(lastUsed),
    complete: bytes === WEIGHT_BYTES,
  }));
}

export async function removeModel(source: unknown): Promise<boolean> {
  const { [String(source)]: removed, ...rest } = read();
  write(rest);
  return removed !== undefined;
}
