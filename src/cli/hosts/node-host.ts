import { spawnSync } from "node:child_process";
import { parseModel } from "../../formats/parse-model.ts";
import { nodeGpu, requireAdapter } from "../../node/dawn.ts";
import { checkModelName, resolveNodeModel } from "../../node/model-files.ts";
import { openInNode } from "../../node/open-in-node.ts";
import { mayHaveVulkanDriver, swiftShaderEnvironment } from "../../node/vulkan.ts";
import { createGgufTokenizer } from "../../text/gguf-tokenizer.ts";
import type { CommandResult, Report, TextCommand } from "../command.ts";
import type { Job, JobHooks } from "../job.ts";
import { findEngineCommand } from "../registry.ts";

/** Set for the second try, so that there is no third. */
const RETRY_MARK = "WINNOW_SWIFTSHADER";

/** Runs a job on Dawn in this process. */
export async function runInNode(job: Job, hooks: JobHooks): Promise<CommandResult> {
  await checkModelName(job.model);
  await findAdapter();
  const { engine, sha256, close } = await openInNode(undefined, false)(
    {
      model: job.model,
      cache: job.cache,
      // What is measured here must not depend on what the machine was doing at the time.
      tuning: "off",
      ...(job.filters === undefined ? {} : { filters: job.filters }),
    },
    ({ stage, loaded, total }) => hooks.report(stage, loaded, total),
    hooks.signal,
  );
  try {
    const before = engine.info().notices;
    for (const notice of before) console.error(`winnow: ${notice}`);
    const command = findEngineCommand(job.command)!;
    const result = await command.run(job.input, { engine, modelSha256: sha256, ...hooks });
    for (const notice of engine.info().notices.slice(before.length))
      console.error(`winnow: ${notice}`);
    return result;
  } finally {
    await close();
  }
}

/** Runs a command that needs the tokenizer alone: no GPU is asked for. */
export async function runText(
  command: TextCommand<unknown>,
  input: unknown,
  model: string,
  report: Report,
): Promise<CommandResult> {
  const resolved = await resolveNodeModel(model, ({ stage, loaded, total }) =>
    report(stage, loaded, total),
  );
  try {
    const { metadata } = await parseModel(resolved.source);
    return await command.runText(input, createGgufTokenizer(metadata));
  } finally {
    await resolved.close();
  }
}

/**
 * Without a Vulkan driver, but with a Chromium and its SwiftShader, the command starts anew with
 * that driver: the loader reads its environment only when a process begins.
 */
async function findAdapter(): Promise<void> {
  if (mayHaveVulkanDriver() && (await (await nodeGpu()).requestAdapter())) return;
  const environment = process.env[RETRY_MARK] ? undefined : swiftShaderEnvironment();
  if (!environment) return requireAdapter(await nodeGpu());
  console.error(
    `winnow: no Vulkan driver here; using SwiftShader (${environment.VK_ICD_FILENAMES})`,
  );
  const { status } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    env: { ...process.env, ...environment, [RETRY_MARK]: "1" },
    stdio: "inherit",
  });
  process.exit(status ?? 1);
}
