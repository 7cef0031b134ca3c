import { WinnowError } from "../../errors.ts";
import type { WorkerPlace } from "./find-worker.ts";

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}
let policy: ReturnType<TrustedTypes["createPolicy"]> | undefined;

const OWN_WORKER =
  'Or make the worker yourself: createEngine({ worker: () => new Worker(URL of "winnow-llm/worker", { type: "module" }) }).';

/** Starts the engine's worker. Throws no_worker where the page's rules forbid it; `hint`: for a script that does not load. */
export function startWorker(place: Exclude<WorkerPlace, "none">): { worker: Worker; hint: string } {
  const foreign = place !== "bundler" && globalThis.origin !== undefined && place.origin !== origin;
  try {
    if (place === "bundler") {
      // What bundlers look for: vite.config.ts writes this expression anew for the package.
      const worker = new Worker(new URL("../../../workers/engine.worker.ts", import.meta.url), {
        type: "module",
        name: "winnow",
      });
      return { worker, hint: hintFor("its own") };
    }
    // A worker's script must be of the page's origin, but what it imports need not be.
    const script = foreign ? blobUrl(`import ${JSON.stringify(place.href)};`) : place.href;
    const worker = new Worker(trusted(script), { type: "module", name: "winnow" });
    return { worker, hint: hintFor(foreign ? place.href : "its own") };
  } catch (cause) {
    const message = `the engine's worker could not be started: ${(cause as Error).message}`;
    throw new WinnowError("no_worker", message, { hint: hintOf(cause), cause });
  }
}

const hintFor = (script: string): string =>
  script === "its own"
    ? `Check that the site serves the worker's script, and that its Content-Security-Policy allows it (worker-src 'self'). ${OWN_WORKER}`
    : `${script} must be served with CORS (Access-Control-Allow-Origin), and a Content-Security-Policy must allow it: worker-src blob:, and script-src with its origin. ${OWN_WORKER}`;

function hintOf(cause: unknown): string {
  if (/TrustedScriptURL/.test(String(cause)))
    return `Allow the policy by which Winnow names its own script: Content-Security-Policy: trusted-types winnow. ${OWN_WORKER}`;
  return `The script must be of the page's own origin (a sandboxed frame has one with allow-same-origin alone). ${OWN_WORKER}`;
}

const blobUrl = (code: string): string =>
  URL.createObjectURL(new Blob([code], { type: "text/javascript" }));

/** Pages may require that addresses of scripts come from a policy that they allow by its name. */
function trusted(address: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  try {
    policy ??= trustedTypes?.createPolicy("winnow", { createScriptURL: (url) => url });
  } catch {
    // Not allowed, which is no harm where it is not required.
  }
  return policy?.createScriptURL(address) ?? address;
}
