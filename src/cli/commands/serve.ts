import { defined } from "../../defined.ts";
import { invalidArgument } from "../../errors.ts";
import { createEngine } from "../../node.ts";
import type { FlagValues, ServerCommand } from "../command.ts";
import { CACHE_FLAGS, CACHE_USAGE, inFlags, optional, wholeNumber } from "../flags.ts";
import { reportTo } from "../job.ts";
import { isLoopback } from "../serve/access.ts";
import { ModelServer, type ServeOptions } from "../serve/server.ts";

const HOST = "127.0.0.1";
const PORT = 8080;
const PARALLEL = 4;
/** Where a key may stand that other users of the machine shall not see in a list of processes. */
const KEY_VARIABLE = "WINNOW_KEY";

/** Conversations whose cache is kept for each request that is answered at once. */
const KEPT_EACH = 8;
/** Requests that may wait for each. */
const WAITING_EACH = 16;
const BODY_BYTES = 16 * 2 ** 20;
const STALL_MS = 30_000;
/** What is being answered when the server is stopped may go on so long. */
const GRACE_MS = 5000;

export const serve: ServerCommand = {
  name: "serve",
  summary: "answer requests of OpenAI's API over HTTP, until it is stopped",
  usage: `[--port ${PORT}] [--host ${HOST}] [--key KEY] [--cors ORIGIN...] [--parallel ${PARALLEL}] [--timeout 600] ${CACHE_USAGE}`,
  flags: {
    port: "string",
    host: "string",
    key: "string",
    cors: "string",
    parallel: "string",
    timeout: "string",
    ...CACHE_FLAGS,
  },
  listFlag: "cors",
  check: (flags) => void optionsOf(flags),
  async serve(flags, { model, cache, filters, report, ready, end, endNow }) {
    const options = optionsOf(flags);
    const engine = await createEngine({
      model,
      cache,
      ...defined({ filters }),
      onProgress: reportTo(report),
      signal: end,
    });
    try {
      for (const notice of engine.info().notices) console.error(`winnow: ${inFlags(notice)}`);
      const server = await ModelServer.open(engine, options);
      const { name } = engine.info().model;
      await ready({
        json: { url: `${server.url}/v1`, model: name, pid: process.pid },
        text: `${name} answers on ${server.url}/v1 (Ctrl-C stops it)`,
      });
      await fired(end);
      endNow.addEventListener("abort", () => server.abortAll());
      await server.stop(GRACE_MS);
    } finally {
      await engine.close();
    }
  },
};

const fired = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

function optionsOf(flags: FlagValues): ServeOptions {
  const host = optional(flags, "host") ?? HOST;
  const key = optional(flags, "key") ?? process.env[KEY_VARIABLE];
  if (key === "") throw invalidArgument("--key", "is empty");
  if (key === undefined && !isLoopback(host))
    throw invalidArgument(
      "--host",
      `${host} can be reached from other machines, so a key is needed`,
      `Name one with --key, or in the variable ${KEY_VARIABLE}.`,
    );
  const parallel = wholeNumber(flags, "parallel", { min: 1, max: 64, fallback: PARALLEL });
  return {
    host,
    port: wholeNumber(flags, "port", { min: 0, max: 65_535, fallback: PORT }),
    key,
    origins: ((flags.cors ?? []) as string[]).map(originOf),
    parallel,
    conversations: KEPT_EACH * parallel,
    waiting: WAITING_EACH * parallel,
    bodyLimit: BODY_BYTES,
    timeoutMs: wholeNumber(flags, "timeout", { min: 1, max: 86_400, fallback: 600 }) * 1000,
    stallMs: STALL_MS,
    report: (line) => console.error(`winnow: ${line}`),
  };
}

/** An origin as browsers write it, or "*". */
function originOf(text: string): string {
  if (text === "*") return text;
  const plain = text.replace(/\/$/, "");
  if (/^[a-z][a-z\d+.-]*:\/\/[^/]+$/i.test(plain)) return plain.toLowerCase();
  throw invalidArgument(
    "--cors",
    `must be "*" or an origin such as https://app.example, not "${text}"`,
  );
}
