import { giveUpModel, openEngine, type ReadableModel } from "../../api/worker/open-engine.ts";
import type { OpenedEngine } from "../../api/worker/opened-engine.ts";
import { defined } from "../../defined.ts";
import { NodeFileSource } from "../../formats/node-source.ts";
import { parseModel } from "../../formats/parse-model.ts";
import { nodeGpu, requireAdapter } from "../../node/dawn.ts";
import { resolveNodeModel } from "../../node/model-files.ts";
import { openInNode } from "../../node/open-in-node.ts";
import { ProgressBar } from "../../node/progress-bar.ts";
import { createTokenizer } from "../../text/create-tokenizer.ts";
import type {
  CommandResult,
  FlagValues,
  Report,
  ServeContext,
  ServerCommand,
  TextCommand,
} from "../command.ts";
import { findEngineCommand } from "../engine-commands.ts";
import { inFlags } from "../flags.ts";
import { type Job, type JobHooks, reportTo } from "../job.ts";
import { tryOtherDriver } from "./dawn-process.ts";
import { stopSignals } from "./stop-signals.ts";

/** Runs a job on Dawn in this process. */
export async function runInNode(job: Job, hooks: JobHooks): Promise<CommandResult> {
  await findAdapter();
  const command = findEngineCommand(job.command)!;
  const { engine, sha256, close } = await open(job, hooks, command.ownModel?.(job.input));
  try {
    const before = engine.info().notices;
    for (const notice of before) console.error(`winnow: ${inFlags(notice)}`);
    const result = await command.run(job.input, { engine, modelSha256: sha256, ...hooks });
    for (const notice of engine.info().notices.slice(before.length))
      console.error(`winnow: ${inFlags(notice)}`);
    return result;
  } finally {
    await close();
  }
}

/** The engine of a job, with its model or one that the command makes. */
async function open(
  job: Job,
  { report, signal }: JobHooks,
  ownModel: (() => Promise<ReadableModel>) | undefined,
): Promise<OpenedEngine> {
  // What is measured here must not depend on what the machine was doing at the time.
  const options = { cache: job.cache, tuning: "off" } as const;
  const onProgress = reportTo(report);
  if (!ownModel)
    return openInNode(undefined, false)(
      { ...options, model: job.model!, ...defined({ filters: job.filters }) },
      onProgress,
      signal,
    );
  return openEngine({
    gpu: await nodeGpu(),
    model: await ownModel(),
    options,
    filters: undefined,
    tokenizer: undefined,
    openFile: (path) => NodeFileSource.open(path),
    onProgress,
    signal,
  });
}

/** Runs a command that needs the tokenizer alone: no GPU is asked for. */
export async function runText(
  command: TextCommand<unknown>,
  input: unknown,
  model: string,
  report: Report,
): Promise<CommandResult> {
  const resolved = await resolveNodeModel(model, reportTo(report));
  try {
    const { metadata } = await parseModel(resolved.source);
    const result = await command.runText(input, await createTokenizer(metadata));
    await resolved.close();
    return result;
  } catch (error) {
    await giveUpModel(resolved, error);
    throw error;
  }
}

/** Runs what serves until the user ends it; the exit status is then 0. */
export async function runServer(
  command: ServerCommand,
  flags: FlagValues,
  { ready, ...given }: Pick<ServeContext, "model" | "cache" | "filters" | "ready">,
): Promise<number> {
  await findAdapter();
  const { end, endNow, forget } = stopSignals();
  const bar = new ProgressBar();
  try {
    await command.serve(flags, {
      ...given,
      report: bar.update.bind(bar),
      ready: (result) => {
        bar.end();
        return ready(result);
      },
      end,
      endNow,
    });
  } catch (error) {
    // Ended before it was loaded.
    if (!end.aborted) throw error;
  } finally {
    bar.end();
    forget();
  }
  return 0;
}

/** Throws no_adapter, or begins anew with the other driver, where Dawn offers none. */
async function findAdapter(): Promise<void> {
  const gpu = await nodeGpu();
  if (await gpu.requestAdapter()) return;
  tryOtherDriver();
  await requireAdapter(gpu);
}
