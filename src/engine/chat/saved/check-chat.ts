/** What a saved chat says, checked against the engine that shall go on with it. */
import type { CacheSettings } from "../../../cache/budget.ts";
import { decideSettings } from "../../../cache/byte-budget.ts";
import type { CacheOptions } from "../../../cache/cache-options.ts";
import { calibrationHash } from "../../../cache/calibration-hash.ts";
import { capacitiesAfter, headsDiffer } from "../../../cache/sequence/head-capacities.ts";
import type { SequenceBooks, SequenceState } from "../../../cache/sequence/sequence-books.ts";
import { asWinnowError } from "../../../errors.ts";
import { windowOf } from "../../../kernels/pages/cache-shape.ts";
import { foldStride, ropePosition } from "../../../kernels/pages/fold.ts";
import type { ChatMessage } from "../../../text/types.ts";
import type { EngineCore } from "../../core.ts";
import { checkBudget } from "../../memory/excess.ts";
import { type ChatFile, shown } from "./chat-file.ts";
import { FORMAT, type ModelIdentity, shapeOf, VERSION } from "./chat-record.ts";

/** Positions are u32. */
const MOST_TOKENS = 2 ** 31;
const OTHER_MODEL = "Load it into an engine with the model that it was saved with.";

/** Throws bad_cache_file unless the file is of this format, and of this model. */
export function checkModel(core: EngineCore, file: ChatFile, model: ModelIdentity): void {
  if (file.metadata.get("format") !== FORMAT)
    file.fail("format", "is no saved chat", "Choose a file that was made by cache.save.");
  const version = file.text("version");
  if (version !== VERSION)
    file.fail(
      "version",
      `found ${version}, this version of Winnow reads ${VERSION}`,
      "Save the chat again with this version, or load it with the one that made it.",
    );
  const sha256 = file.text("model_sha256");
  if (sha256 !== model.sha256)
    file.fail(
      "model_sha256",
      `the chat is of ${file.text("model_name")}, ${sha256 || "unknown"}, the engine has ${model.name}, ${model.sha256 || "unknown"}`,
      OTHER_MODEL,
    );
  const shape = fieldsOf(file, "shape");
  for (const [name, expected] of Object.entries(shapeOf(core)))
    if (!isSame(shape[name], expected))
      file.fail(
        `shape.${name}`,
        `found ${shown(shape[name])}, the model has ${JSON.stringify(expected)}`,
        OTHER_MODEL,
      );
  const storage = file.text("storage");
  if (storage !== core.storage)
    file.fail(
      "storage",
      `its pages are ${storage}, the engine's ${core.storage}`,
      `Make the engine with cache.kv: "${storage}".`,
    );
}

const isSame = (found: unknown, expected: number | readonly number[]): boolean =>
  typeof expected === "number"
    ? found === expected
    : Array.isArray(found) &&
      found.length === expected.length &&
      expected.every((value, i) => found[i] === value);

/** The books, without the counts, and the settings that were asked for. Throws bad_cache_file, out_of_memory. */
export async function checkBooks(
  core: EngineCore,
  file: ChatFile,
): Promise<{ books: SequenceState; asked: CacheOptions }> {
  const given = fieldsOf(file, "sequence");
  const settings = settingsOf(core, file, given.settings);
  await checkCalibration(core, file, settings);
  checkBudget(core, settings);
  const { contextLength } = core.config;
  const [seen, folds] = [given.seen as number, given.folds as number];
  if (!Number.isSafeInteger(seen) || seen < 1 || seen > MOST_TOKENS)
    file.fail("sequence.seen", `found ${shown(seen)} tokens`);
  const stride = foldStride(contextLength);
  const isCount = Number.isSafeInteger(folds) && folds >= 0 && folds <= Math.ceil(seen / stride);
  if (!isCount || ropePosition(seen, folds, stride) > contextLength)
    file.fail(
      "sequence.folds",
      `positions folded ${shown(folds)} times, for ${seen} tokens and ${contextLength} positions`,
    );
  const system = given.system as number;
  if (!Number.isSafeInteger(system) || system < 0 || system > MOST_TOKENS)
    file.fail("sequence.system", `found ${shown(system)} tokens`);
  const divided = headsDiffer(core.state.pool.shape, settings, seen);
  if (given.divided !== divided)
    file.fail("sequence.divided", `found ${shown(given.divided)} where ${divided} belongs`);
  // Checked with the counts.
  const evicted = given.evicted as number;
  return {
    books: { settings, divided, folds, system, seen, evicted },
    asked: askedOf(core, file, settings),
  };
}

/** Counts [L][G] of a file. Throws bad_cache_file where a head cannot hold so many, or they do not agree with the books. */
export function checkCounts(
  core: EngineCore,
  file: ChatFile,
  books: SequenceState,
  words: Uint32Array,
): SequenceBooks {
  const { pool } = core.state;
  const { kvHeads } = pool.shape;
  const { settings, seen } = books;
  let evicted = 0;
  const counts = capacitiesAfter(pool, settings, seen).map((capacities, layer) => {
    const ring = windowOf(pool.shape, layer) > 0;
    return capacities.map((capacity, g) => {
      const count = words[layer * kvHeads + g]!;
      const most = Math.min(capacity, seen);
      if (count > most || count < (ring ? most : 1))
        file.fail(
          "counts",
          `layer ${layer}, kv head ${g}: ${count} pairs where ${ring ? "" : "1 to "}${most} belong`,
        );
      if (!ring) evicted += seen - count;
      return count;
    });
  });
  if (books.evicted !== evicted)
    file.fail("sequence.evicted", `found ${shown(books.evicted)}, the counts tell ${evicted}`);
  return { ...books, counts };
}

/** Throws bad_cache_file where a token is none of the model's. */
export function checkTokens(core: EngineCore, file: ChatFile, tokens: Uint32Array): number[] {
  const { vocabulary } = core.config;
  const wrong = tokens.findIndex((token) => token >= vocabulary);
  if (wrong >= 0) file.fail("tokens", `[${wrong}] is ${tokens[wrong]}, of ${vocabulary} tokens`);
  return Array.from(tokens);
}

/** Throws bad_cache_file where a sum is no number, or is of more pairs than were seen. */
export function checkRemainders(
  file: ChatFile,
  words: Uint32Array,
  each: number,
  seen: number,
): void {
  const sums = checkNumbers(file, "remainders", words);
  for (let at = 0; at < sums.length; at += each)
    if (!(sums[at]! >= 0 && sums[at]! <= seen))
      file.fail("remainders", `[${at}]: ${sums[at]} pairs dropped of ${seen} tokens seen`);
}

/** The words as f32. Throws bad_cache_file where one is no number. */
export function checkNumbers(file: ChatFile, field: string, words: Uint32Array): Float32Array {
  const values = new Float32Array(words.buffer, words.byteOffset, words.length);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) file.fail(field, `[${wrong}] is ${values[wrong]}`);
  return values;
}

/** What was said, if the file tells. Throws bad_cache_file. */
export function checkMessages(file: ChatFile): ChatMessage[] | undefined {
  if (!file.metadata.has("messages")) return undefined;
  const messages = file.json("messages");
  if (!Array.isArray(messages)) return file.fail("messages", "is no list");
  return messages.map((message: unknown, i) => {
    const { role, content, ...rest } = (message ?? {}) as Partial<ChatMessage>;
    if (!isRole(role) || typeof content !== "string")
      return file.fail(`messages[${i}]`, "is no message with a role and a content");
    if (rest.tool_calls !== undefined && !isCalls(rest.tool_calls))
      return file.fail(`messages[${i}].tool_calls`, "are no calls of tools");
    const texts = TEXTS.filter((name) => typeof rest[name] === "string");
    return {
      role,
      content,
      ...Object.fromEntries(texts.map((name) => [name, rest[name]])),
      ...(rest.tool_calls && { tool_calls: rest.tool_calls }),
    };
  });
}

/** What messages may say beside their content. */
const TEXTS = ["reasoning_content", "tool_call_id", "name"] as const;

const isCalls = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.every(
    (call) =>
      typeof call?.id === "string" &&
      typeof call.function?.name === "string" &&
      typeof call.function.arguments === "object",
  );

const ROLES: readonly unknown[] = ["system", "user", "assistant", "tool"];
const isRole = (role: unknown): role is ChatMessage["role"] => ROLES.includes(role);

function fieldsOf(file: ChatFile, name: string): Record<string, unknown> {
  const value = file.json(name);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return file.fail(name, "is no object");
  return value as Record<string, unknown>;
}

/** The settings in force, each of them said. */
function settingsOf(core: EngineCore, file: ChatFile, given: unknown): CacheSettings {
  let settings: CacheSettings;
  try {
    settings = decideSettings(core.state.pool, { ...(given as CacheOptions) });
  } catch (error) {
    return file.fail("sequence.settings", asWinnowError(error).message);
  }
  if (same(settings, given)) return settings;
  return file.fail("sequence.settings", "are not those that the engine makes of them");
}

/** What was asked for, where it means these settings here too; else the settings. */
function askedOf(core: EngineCore, file: ChatFile, settings: CacheSettings): CacheOptions {
  const given = fieldsOf(file, "asked");
  const named = SETTINGS.filter((name) => given[name] !== undefined);
  // Another policy may have stepped in for the one that was asked for.
  const { policy } = settings;
  const asked = { ...Object.fromEntries(named.map((name) => [name, given[name]])), policy };
  try {
    return same(decideSettings(core.state.pool, asked), settings) ? asked : settings;
  } catch {
    return settings;
  }
}

const SETTINGS = [
  "budget",
  "bytes",
  "window",
  "sinks",
  "wholeLayers",
  "protect",
  "reread",
] as const;

/** Files from before long prompts could be read twice do not say that theirs were not. */
const same = (settings: CacheSettings, given: unknown): boolean =>
  Object.entries(settings).every(
    ([name, value]) => ((given as Record<string, unknown> | null)?.[name] ?? false) === value,
  );

async function checkCalibration(
  core: EngineCore,
  file: ChatFile,
  settings: CacheSettings,
): Promise<void> {
  const { policy, reread } = settings;
  const missing = core.lacks(policy, reread);
  if (missing.length > 0)
    file.fail(
      "sequence.settings.policy",
      `${policy} needs the model's calibration, which the engine lacks (${missing.join(", ")})`,
      "Load it with the filters that it was saved with: createEngine({ filters }).",
    );
  const found = file.text("calibration_sha256");
  const expected = await calibrationHash(settings, core.model.calibration);
  if (found !== expected)
    file.fail(
      "calibration_sha256",
      `${policy} was calibrated otherwise: found ${found || "none"}, the engine has ${expected || "none"}`,
      "Load it with the filters that it was saved with: createEngine({ filters }).",
    );
}
