import { invalidArgument, WinnowError } from "../../errors.ts";
import { evaluate } from "../../eval/evaluate.ts";
import { keepLines, readKept } from "../../eval/kept.ts";
import { engineModel } from "../../eval/model.ts";
import { isPromptTask } from "../../eval/plan.ts";
import { htmlReport } from "../../eval/report/html-report.ts";
import { type EvalReport, SCHEMA } from "../../eval/report/report.ts";
import { resultsOf } from "../../eval/report/results.ts";
import { streamsOf } from "../../eval/report/streams.ts";
import { markdownTables } from "../../eval/report/table.ts";
import type { EvalOptions, EvalText } from "../../eval/types.ts";
import { sha256Of } from "../../fetch/sha256.ts";
import type { Command, CommandFiles, CommandResult, FlagValues } from "../command.ts";
import {
  EVAL_FLAGS,
  EVAL_USAGE,
  type EvalFlags,
  policiesFor,
  readEvalFlags,
} from "../eval-flags.ts";
import { isSet, optional } from "../flags.ts";

interface Input extends EvalFlags {
  texts: EvalText[];
  out: string;
  host: string;
  command: string;
  version: string;
  /** Contents of the cells that an earlier run kept. */
  kept: string;
}

/** Policies against each other on tasks people know, in one report. */
export const evalCommand: Command<Input> = {
  name: "eval",
  summary:
    "evaluate eviction policies: perplexity, long streams, agreement, retained attention, needles, RULER-like tasks",
  usage: EVAL_USAGE,
  flags: EVAL_FLAGS,
  listFlag: "text",
  cacheDefaults: { policy: "full" },
  abortable: true,
  async withoutModel(flags, files) {
    const path = optional(flags, "table");
    if (path === undefined) return undefined;
    const report = parseReport(path, await files.readText("table", path));
    return { json: { ...report }, text: markdownTables(report) };
  },
  async read(flags, files) {
    const options = readEvalFlags(flags);
    const out = optional(flags, "out") ?? "winnow-eval";
    const texts = await readTexts(flags, files);
    return {
      ...options,
      texts,
      out,
      host: optional(flags, "host") ?? "node",
      command: files.commandLine,
      version: await files.version(),
      kept: flags.fresh ? "" : await files.readIfThere("out", `${out}/cells.jsonl`),
    };
  },
  async run(input, { engine, modelSha256, report, append, signal }) {
    const { texts, out, host, command, version } = input;
    const filters = await engine.filtersSha256();
    const { policies, notices } = policiesFor(input, (name, reread) => engine.lacks(name, reread));
    const options = { ...input.options, policies };
    const provenance = { version, modelSha256, filtersSha256: filters ?? "" };
    const keep = keepLines((text) => append(`${out}/cells.jsonl`, text));
    let finished = 0;
    const done = await evaluate(engineModel(engine), options, texts, provenance, {
      kept: readKept(input.kept),
      keep: async (cell) => {
        await keep(cell);
        finished += 1;
      },
      note: (line) => console.error(`winnow: ${line}`),
      report,
      signal,
    }).catch((error: unknown) => {
      throw stopped(error, finished, out);
    });
    const from = options.from ?? Math.min(...options.budgets);
    const { model, adapter } = engine.info();
    const result: EvalReport = {
      schema: SCHEMA,
      date: new Date().toISOString(),
      command,
      provenance,
      model: { name: model.name, architecture: model.architecture, parameters: model.parameters },
      adapter: { description: adapter.description },
      host,
      options,
      from,
      texts: texts.map(({ name, sha256 }) => ({ name, sha256 })),
      cells: done.cells.length,
      seconds: done.cells.reduce((sum, { seconds }) => sum + seconds, 0),
      ...resultsOf(done.cells, from),
      ...(options.tasks.includes("stream") && { streams: streamsOf(done.cells, options.bin) }),
      notices: [...notices, ...lengthNotices(options, engine.contextLength)],
    };
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    return {
      json: { ...result },
      text: `${markdownTables(result)}\n\n${out}/report.html and ${out}/report.json are written`,
      files: {
        [`${out}/report.json`]: bytes(`${JSON.stringify(result, null, 1)}\n`),
        [`${out}/report.html`]: bytes(htmlReport(result)),
      },
    } satisfies CommandResult;
  },
};

async function readTexts(flags: FlagValues, files: CommandFiles): Promise<EvalText[]> {
  const paths = (flags.text ?? []) as string[];
  const names = paths.map((path) => path.split("/").at(-1)!);
  const texts: string[] = [];
  for (const path of paths) texts.push(await files.readText("text", path));
  const named = async (name: string, text: string): Promise<EvalText> => ({
    name,
    sha256: await sha256Of(text),
    text,
  });
  if (isSet(flags, "join") && texts.length > 1)
    return [await named(`${names[0]} to ${names.at(-1)}`, texts.join("\n\n"))];
  return Promise.all(texts.map((text, i) => named(names[i]!, text)));
}

function parseReport(path: string, text: string): EvalReport {
  try {
    const report = JSON.parse(text) as Partial<EvalReport> | null;
    if (report?.schema === SCHEMA && Array.isArray(report.rows)) return report as EvalReport;
  } catch {
    // Said below.
  }
  throw invalidArgument("--table", `${path} is no report of this version of winnow eval`);
}

/** What is left out where something is longer than the model's positions. */
function lengthNotices({ tasks, tokens, lengths }: EvalOptions, trained: number): string[] {
  const asked = [
    ...(tasks.every(isPromptTask) ? [] : [tokens]),
    ...(tasks.some(isPromptTask) ? lengths : []),
  ];
  if (asked.every((length) => length <= trained)) return [];
  return [
    `What is longer than the model's ${trained} positions has no uncompressed run beside it: such a run ends there.`,
  ];
}

/** An abort, in words of what was kept. */
function stopped(error: unknown, cells: number, out: string): unknown {
  if (!(error instanceof WinnowError) || error.code !== "aborted") return error;
  return new WinnowError("aborted", `stopped; ${cells} cells of this run are kept in ${out}`, {
    hint: "The same command goes on from there.",
  });
}
