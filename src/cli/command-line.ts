import { access, appendFile, constants, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { asWinnowError, invalidArgument, WinnowError } from "../errors.ts";
import { DEFAULT_MODEL } from "../fetch/resolve/model-registry.ts";
import { listStored, removeStored } from "../fetch/stored-models.ts";
import { diskStore } from "../node/cache-folder.ts";
import { packageFile } from "../node/filter-files.ts";
import { checkModelName } from "../node/model-files.ts";
import { ProgressBar } from "../node/progress-bar.ts";
import type { CommandFiles, CommandResult, FlagValues } from "./command.ts";
import { cacheFlags, inFlags, isSet, oneOf, optional } from "./flags.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { runInChromium } from "./hosts/chromium-host.ts";
import { runWithDawn, startsDawn } from "./hosts/dawn-process.ts";
import { runInNode, runServer, runText } from "./hosts/node-host.ts";
import { stopSignals } from "./hosts/stop-signals.ts";
import type { Job } from "./job.ts";
import { parseFlags } from "./parse.ts";
import { type AnyCommand, COMMANDS, findCommand } from "./registry.ts";

/** Runs `winnow ARGS` and returns its exit status: 0, or 1 with one line on stderr. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  try {
    if (name === undefined || name === "--help" || name === "-h" || name === "help") {
      await write(name === undefined ? process.stderr : process.stdout, `${generalHelp()}\n`);
      return name === undefined ? 1 : 0;
    }
    if (name === "--version") {
      await write(process.stdout, `${await version()}\n`);
      return 0;
    }
    const command = findCommand(name);
    if (!command) {
      const known = COMMANDS.map((one) => one.name).join(", ");
      throw invalidArgument(name, `is no command; there are ${known}`);
    }
    return await runOne(command, parseFlags(command, rest), args);
  } catch (thrown) {
    const { message, hint } = asWinnowError(thrown);
    const line = `winnow: ${inFlags(message)}${hint ? ` (${hint})` : ""}`;
    await write(process.stderr, `${line.replace(/\s*\n\s*/g, " ")}\n`);
    return 1;
  }
}

async function runOne(
  command: AnyCommand,
  flags: FlagValues,
  args: readonly string[],
): Promise<number> {
  if (isSet(flags, "help")) {
    await write(process.stdout, `${commandHelp(command)}\n`);
    return 0;
  }
  const files: CommandFiles = {
    readText,
    readBytes,
    readIfThere,
    checkWritable,
    version,
    listModels: () => listStored(diskStore()),
    removeModel: (source) => removeStored(source, diskStore()),
    commandLine: ["winnow", ...args].map(quoted).join(" "),
  };
  if ("answer" in command) return finish(await command.answer(flags, files), flags);
  const ready = "withoutModel" in command && (await command.withoutModel?.(flags, files));
  if (ready) return finish(ready, flags);
  const model = optional(flags, "model") ?? DEFAULT_MODEL;
  const cache = cacheFlags(flags, "cacheDefaults" in command ? (command.cacheDefaults ?? {}) : {});
  const filters = optional(flags, "filters");
  if ("serve" in command) {
    command.check(flags);
    await checkModelName(model);
    if (startsDawn()) return runWithDawn(args, { verbose: isSet(flags, "verbose") });
    return runServer(command, flags, {
      model,
      cache,
      filters,
      ready: (result) => print(result, flags),
    });
  }
  const host = oneOf(flags, "host", ["node", "chromium"], "node");
  const input = await command.read(flags, files);
  const own = "ownModel" in command && command.ownModel?.(input) !== undefined;
  if (!own) await checkModelName(model);
  if (!("runText" in command) && host === "node" && startsDawn())
    return runWithDawn(args, { verbose: isSet(flags, "verbose") });
  const bar = new ProgressBar();
  const report = bar.update.bind(bar);
  const stop = "abortable" in command && command.abortable ? stopSignals() : undefined;
  stop?.endNow.addEventListener("abort", () => process.exit(1));
  let result: CommandResult;
  try {
    if ("runText" in command) result = await runText(command, input, model, report);
    else {
      const job: Job = {
        command: command.name,
        input,
        model: own ? undefined : model,
        cache,
        filters,
      };
      result = await (host === "chromium" ? runInChromium : runInNode)(job, {
        report,
        append,
        signal: stop?.end ?? new AbortController().signal,
      });
    }
  } finally {
    stop?.forget();
    bar.end();
  }
  return finish(result, flags);
}

async function finish(result: CommandResult, flags: FlagValues): Promise<number> {
  for (const [path, bytes] of Object.entries(result.files ?? {})) await writeOut(path, bytes);
  await print(result, flags);
  return 0;
}

const print = ({ json, text }: CommandResult, flags: FlagValues): Promise<void> =>
  write(process.stdout, `${isSet(flags, "json") ? JSON.stringify(json) : text}\n`);

const readText = async (flag: string, path: string): Promise<string> =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readBytes(flag, path));

async function readBytes(flag: string, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw invalidArgument(`--${flag}`, `${path} could not be read (${(cause as Error).message})`);
  }
}

async function readIfThere(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw invalidArgument(`--${flag}`, `${path} could not be read (${(cause as Error).message})`);
  }
}

async function append(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await appendFile(path, text);
  } catch (cause) {
    throw invalidArgument("--out", `${path} could not be written (${(cause as Error).message})`);
  }
}

async function checkWritable(flag: string, path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) throw new Error("it is a folder");
    await access(found ? path : dirname(path), constants.W_OK);
  } catch (cause) {
    throw invalidArgument(
      `--${flag}`,
      `${path} could not be written (${(cause as Error).message})`,
    );
  }
}

/** An argument as a shell takes it. */
const quoted = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;

async function writeOut(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes);
  } catch (cause) {
    throw invalidArgument(path, `could not be written (${(cause as Error).message})`);
  }
}

/** Waits until the text is out: the process ends right after. */
const write = (stream: NodeJS.WriteStream, text: string): Promise<void> =>
  new Promise((resolve) => stream.write(text, () => resolve()));

async function version(): Promise<string> {
  const path = packageFile("package.json");
  if (!path) throw new WinnowError("internal", "package.json is missing");
  return JSON.parse(await readFile(path, "utf8")).version;
}
