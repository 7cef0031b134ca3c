import { WinnowError } from "../../errors.ts";
import type { EngineOptions, ExternalTokenizer } from "../types.ts";
import { connectLocal } from "./connect-local.ts";
import { connectWorker } from "./connect-worker.ts";
import type { Connection } from "./connection.ts";
import { findWorker, loadEngineCode } from "./find-worker.ts";
import { startWorker } from "./start-worker.ts";

/** A way to the engine, and what the user should know of it. */
export interface Connected {
  connection: Connection;
  notices: string[];
}

const ONE_SCRIPT =
  "The engine runs in the page's own thread: the app was bundled into one script, so there is none for a worker. " +
  'Split the code (esbuild: --format=esm --splitting), or give createEngine a worker that runs "winnow-llm/worker".';

/** The engine in a worker; in this thread where a tokenizer is given, which is code and cannot cross, or without workers. */
export async function connect({ tokenizer, worker }: EngineOptions): Promise<Connected> {
  if (tokenizer) return { connection: await connectHere(tokenizer), notices: [] };
  if (worker) return { connection: connectGiven(worker), notices: [] };
  if (typeof Worker === "undefined") {
    if (!globalThis.navigator?.gpu) throw withoutWorkers();
    return { connection: await connectHere(), notices: [] };
  }
  const place = await findWorker();
  if (place === "none") return { connection: await connectHere(), notices: [ONE_SCRIPT] };
  const { worker: own, hint } = startWorker(place);
  return { connection: connectWorker(own, hint, () => own.terminate()), notices: [] };
}

/** A Worker stays its owner's; one that a function makes for this engine ends with it. */
function connectGiven(given: NonNullable<EngineOptions["worker"]>): Connection {
  const hint = 'The worker given to createEngine must run "winnow-llm/worker".';
  if (typeof given !== "function") return connectWorker(given, hint, () => {});
  try {
    const own = given();
    return connectWorker(own, hint, () => own.terminate());
  } catch (cause) {
    const message = `worker: the function failed: ${(cause as Error).message}`;
    throw new WinnowError("no_worker", message, { hint, cause });
  }
}

async function connectHere(tokenizer?: ExternalTokenizer): Promise<Connection> {
  if ("ServiceWorkerGlobalScope" in globalThis)
    throw new WinnowError("no_worker", "a service worker cannot import the engine's code later", {
      hint: 'Write `import "winnow-llm/service-worker";` beside the import of createEngine.',
    });
  return connectLocal((await loadEngineCode()).engineHere(tokenizer));
}

function withoutWorkers(): WinnowError {
  const inNode = "process" in globalThis && !("window" in globalThis);
  return new WinnowError("no_webgpu", "there is no WebGPU here, nor workers", {
    hint: inNode
      ? 'In Node import createEngine from "winnow-llm/node". A page that is rendered on a server calls it in the browser alone (in useEffect, onMount or the like).'
      : "Call createEngine in a browser with WebGPU: Chrome, Edge, Safari 26, Firefox 141 or newer.",
  });
}
