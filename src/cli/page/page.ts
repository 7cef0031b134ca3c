import { openEngine } from "../../api/worker/open-engine.ts";
import { asWinnowError } from "../../errors.ts";
import { HttpSource } from "../../fetch/http-source.ts";
import { fromBase64, toBase64 } from "../../formats/base64.ts";
import { findEngineCommand } from "../engine-commands.ts";
import { inFlags } from "../flags.ts";
import type { PageJob, PageOutcome } from "./page-protocol.ts";

const abortion = new AbortController();
globalThis.winnowAbort = () => abortion.abort();

globalThis.winnowRun = async (job: PageJob): Promise<PageOutcome> => {
  try {
    return { ok: true, result: await run(job) };
  } catch (thrown) {
    return { ok: false, error: asWinnowError(thrown).toWire() };
  }
};

async function run(job: PageJob): Promise<Extract<PageOutcome, { ok: true }>["result"]> {
  const { cache, name, sha256 } = job;
  const command = findEngineCommand(job.command)!;
  const { engine, close } = await openEngine({
    gpu: navigator.gpu,
    model: (await command.ownModel?.(job.input)?.()) ?? {
      source: await HttpSource.open(job.modelUrl!),
      name,
      // The command line has hashed the file already.
      sha256,
      verified: async () => ({ sha256 }),
    },
    // What is measured here must not depend on what the machine was doing at the time.
    options: { cache, tuning: "off" },
    filters: job.filters === undefined ? undefined : fromBase64(job.filters),
    tokenizer: undefined,
    openFile: (address) => HttpSource.open(address),
    onProgress: ({ stage, loaded, total }) => void winnowReport(stage, loaded, total),
    signal: abortion.signal,
  });
  try {
    const before = engine.info().notices;
    for (const notice of before) console.log(`winnow: ${inFlags(notice)}`);
    const {
      json,
      text,
      files = {},
    } = await command.run(job.input, {
      engine,
      modelSha256: sha256,
      report: (label, done, total) => void winnowReport(label, done, total),
      append: winnowAppend,
      signal: abortion.signal,
    });
    for (const notice of engine.info().notices.slice(before.length))
      console.log(`winnow: ${inFlags(notice)}`);
    const packed = Object.entries(files).map(([path, bytes]) => [path, toBase64(bytes)]);
    return { json, text, files: Object.fromEntries(packed) };
  } finally {
    await close();
  }
}
