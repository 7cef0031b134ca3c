import { PROTECTED } from "../cache/cache-options.ts";
import { POLICY_NAMES, type PolicyName } from "../cache/policies/index.ts";
import { invalidArgument } from "../errors.ts";
import { checkPolicies, parseArm } from "../eval/plan.ts";
import { PRESETS, type PresetName } from "../eval/presets.ts";
import {
  type ArmName,
  type Ask,
  CHAT_TASKS,
  type EvalOptions,
  MASS_EVERY,
  massPosition,
  RULER_TASKS,
  TASKS,
  type TaskName,
  TEXT_TASKS,
} from "../eval/types.ts";
import { KV_STORAGES } from "../kernels/pages/page-format.ts";
import type { FlagValues } from "./command.ts";
import { isSet, oneOf, optional, wholeNumber } from "./flags.ts";

/** The flags of `winnow eval` and what they say. */

export const EVAL_FLAGS = {
  preset: "string",
  tasks: "string",
  policies: "string",
  budgets: "string",
  ratios: "string",
  lengths: "string",
  depths: "string",
  ask: "string",
  text: "string",
  tokens: "string",
  passages: "string",
  bin: "string",
  join: "boolean",
  trials: "string",
  seed: "string",
  window: "string",
  sinks: "string",
  "whole-layers": "string",
  protect: "string",
  kv: "string",
  from: "string",
  lanes: "string",
  filters: "string",
  out: "string",
  fresh: "boolean",
  table: "string",
} as const;

export const EVAL_USAGE =
  "[--preset quick|policies|stream|full] [--text FILE...] [--join] [--tasks ppl,stream,agreement,mass,needle,ruler,chats|all]" +
  " [--policies a,b@W,winnow+reread|all] [--budgets 64,128] [--ratios 2,4] [--lengths 512,1024] [--depths 0,0.5,1]" +
  " [--ask in|after|both] [--tokens N] [--passages N] [--bin 1024] [--trials N] [--seed N] [--window W] [--sinks S] [--whole-layers N]" +
  " [--protect system|none] [--kv f16|q8|f32] [--from POSITION] [--lanes 16] [--filters F.safetensors] [--out DIR] [--fresh]" +
  " | --table DIR/report.json";

export interface EvalFlags {
  options: Omit<EvalOptions, "policies">;
  /** Undefined: all that there are. */
  policies: ArmName[] | undefined;
}

/** Throws invalid_argument naming the flag. */
export function readEvalFlags(flags: FlagValues): EvalFlags {
  const name = oneOf(flags, "preset", Object.keys(PRESETS) as PresetName[], "quick");
  const { policies, ...preset }: EvalOptions = PRESETS[name];
  const named = optional(flags, "policies");
  const whole = (
    flag: "tokens" | "passages" | "bin" | "trials" | "seed" | "lanes",
    min: number,
  ): number =>
    wholeNumber(flags, flag, {
      min,
      max: flag === "lanes" ? 128 : 1 << 24,
      fallback: preset[flag],
    });
  const part = <K extends string>(flag: K, min: number): { [key in K]?: number } =>
    isSet(flags, flag)
      ? ({ [flag]: wholeNumber(flags, flag, { min }) } as { [key in K]: number })
      : {};
  const tokens = whole("tokens", 2);
  const options = {
    tasks: readTasks(flags, preset.tasks),
    budgets: numbers(flags, "budgets", preset.budgets, 1, 1 << 24, true),
    ratios: numbers(flags, "ratios", preset.ratios, 1, 4096, false),
    lengths: numbers(flags, "lengths", preset.lengths, 64, 1 << 24, true),
    depths: numbers(flags, "depths", preset.depths, 0, 1, false),
    asks: readAsks(flags, preset.asks),
    tokens,
    passages: whole("passages", 1),
    bin: whole("bin", 1),
    trials: whole("trials", 1),
    seed: whole("seed", 0),
    ...part("window", 1),
    ...part("sinks", 0),
    ...(isSet(flags, "whole-layers") && {
      wholeLayers: wholeNumber(flags, "whole-layers", { min: 0 }),
    }),
    ...(isSet(flags, "protect") && {
      protect: oneOf(flags, "protect", PROTECTED, "system"),
    }),
    kv: oneOf(flags, "kv", KV_STORAGES, preset.kv),
    ...part("from", 0),
    lanes: whole("lanes", 1),
  };
  const from = options.from ?? Math.min(...options.budgets);
  const overText = options.tasks.some((task) => (TEXT_TASKS as readonly string[]).includes(task));
  if (overText && from >= tokens - 1)
    throw invalidArgument(
      "--from",
      `losses from position ${from} on: passages of ${tokens} tokens have none`,
      "Use more --tokens, smaller --budgets, or --from.",
    );
  const measured = Math.floor((tokens - 1) / MASS_EVERY);
  if (options.tasks.includes("mass") && (measured === 0 || massPosition(measured - 1) < from))
    throw invalidArgument(
      "--from",
      `retained attention is measured at every ${MASS_EVERY}th position: passages of ${tokens} tokens have none from ${from} on`,
      "Use more --tokens, smaller --budgets, --from, or leave mass out of --tasks.",
    );
  if (named === "all") return { options, policies: undefined };
  if (named !== undefined) return { options, policies: checkPolicies(words(named)) };
  return { options, policies: policies === POLICY_NAMES ? undefined : [...policies] };
}

const MAKE_ONE = "Make one with `npx winnow-llm calibrate` and name it by --filters";

/**
 * The policies to run. Of all of them, those whose calibration the model `lacks` are left out, with a notice;
 * asked for by name they are an error (invalid_argument).
 */
export function policiesFor(
  { policies }: EvalFlags,
  lacks: (name: PolicyName, reread?: boolean) => readonly string[],
): { policies: ArmName[]; notices: string[] } {
  const needs = (name: PolicyName): boolean => lacks(name).length > 0;
  if (policies) {
    const missing = (arm: ArmName): readonly string[] => {
      const { policy, reread } = parseArm(arm);
      return lacks(policy, reread);
    };
    const lacking = policies.find((arm) => missing(arm).length > 0);
    if (lacking === undefined) return { policies, notices: [] };
    throw invalidArgument(
      "--policies",
      `${lacking} needs this model's calibration (missing: ${missing(lacking).join(", ")})`,
      `${MAKE_ONE}, or leave ${lacking} out.`,
    );
  }
  const lacking = POLICY_NAMES.filter(needs);
  return {
    policies: POLICY_NAMES.filter((name) => !needs(name)),
    notices:
      lacking.length === 0
        ? []
        : [
            `${lacking.join(", ")}: left out, since this model has no calibration for them. ${MAKE_ONE}.`,
          ],
  };
}

const words = (text: string): string[] => text.split(",").map((part) => part.trim());

function readTasks(flags: FlagValues, fallback: readonly TaskName[]): TaskName[] {
  const text = optional(flags, "tasks");
  if (text === undefined) return [...fallback];
  if (text === "all") return [...TASKS];
  const named = words(text).flatMap((name): TaskName[] => {
    if (name === "ruler") return [...RULER_TASKS];
    if (name === "chats") return [...CHAT_TASKS];
    if ((TASKS as readonly string[]).includes(name)) return [name as TaskName];
    throw invalidArgument(
      "--tasks",
      `unknown task "${name}"`,
      `Use some of ${TASKS.join(", ")}, ruler, chats, or all.`,
    );
  });
  return [...new Set(named)];
}

function readAsks(flags: FlagValues, fallback: readonly Ask[]): Ask[] {
  if (!isSet(flags, "ask")) return [...fallback];
  const ask = oneOf(flags, "ask", ["in", "after", "both"], "both");
  return ask === "both" ? ["in", "after"] : [ask];
}

/** Numbers with commas between, each once. */
function numbers(
  flags: FlagValues,
  name: string,
  fallback: readonly number[],
  min: number,
  max: number,
  whole: boolean,
): number[] {
  const text = optional(flags, name);
  if (text === undefined) return [...fallback];
  const values = words(text).map((part) => (part === "" ? Number.NaN : Number(part)));
  if (values.some((value) => !(value >= min && value <= max) || (whole && value % 1 !== 0)))
    throw invalidArgument(
      `--${name}`,
      `must be ${whole ? "whole numbers" : "numbers"} from ${min} to ${max} with commas between, not "${text}"`,
    );
  return [...new Set(values)];
}
