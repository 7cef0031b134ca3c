import type { BenchEngine, EngineUrls } from "./bench-engine.ts";
import { countWebGpu } from "./count-webgpu.ts";
import { TransformersJsEngine } from "./transformers-js.ts";
import { WinnowEngine } from "./winnow.ts";
import { WllamaEngine } from "./wllama.ts";

countWebGpu();

const ENGINES: Record<string, (urls: EngineUrls) => BenchEngine> = {
  winnow: (urls) => new WinnowEngine(urls),
  "transformers.js": () => new TransformersJsEngine(),
  wllama: (urls) => new WllamaEngine(urls),
};

globalThis.openBenchEngine = async (name, urls) => {
  globalThis.benchEngine = ENGINES[name]!(urls);
};
