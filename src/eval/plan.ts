import { checkCacheOptions } from "../api/checks/check-cache.ts";
import { isPolicy, POLICY_NAMES, type PolicyName, policyOf } from "../cache/policies/index.ts";
import { defined } from "../defined.ts";
import { invalidArgument } from "../errors.ts";
import { questionsOf } from "./tasks/index.ts";
import {
  type Arm,
  type ArmName,
  type Ask,
  type Cell,
  CHAT_TASKS,
  cacheOf,
  type EvalOptions,
  type EvalText,
  PROMPT_TASKS,
  type PromptCell,
  type PromptTask,
  type TextCell,
} from "./types.ts";

/** A text as token ids. */
export interface Tokenised extends EvalText {
  readonly tokens: readonly number[];
}

export const isPromptTask = (task: string): task is PromptTask =>
  (PROMPT_TASKS as readonly string[]).includes(task);

/** The uncompressed run that every score is compared with. */
const ceiling = ({ kv }: EvalOptions): Arm => ({ policy: "full", budget: "full", kv });

/** Something that is run: its length in tokens, the flag that says it, and the positions that the model was trained for. */
interface Extent {
  readonly tokens: number;
  readonly flag: "--tokens" | "--lengths";
  readonly trained: number;
}

/**
 * The ceiling, then every policy under every budget; past the trained length there is no ceiling. Throws
 * invalid_argument for a window that does not fit, and where nothing that is asked for goes on past the trained length.
 */
function armsOf(
  options: EvalOptions,
  budgets: readonly number[],
  { tokens, flag, trained }: Extent,
): Arm[] {
  const { policies, sinks, wholeLayers, protect, kv } = options;
  const arms = policies
    .map(parseArm)
    .filter(({ policy }) => policyOf(policy).evicts !== false)
    .flatMap(({ policy, window = options.window, reread }) =>
      [...budgets]
        .sort((a, b) => a - b)
        .map((budget): Arm => {
          const asked = {
            policy,
            budget,
            kv,
            ...defined({ window, sinks }),
            ...(wholeLayers ? { wholeLayers } : {}),
            ...defined({ protect, reread }),
          };
          checkCacheOptions(cacheOf(asked));
          return asked;
        }),
    );
  if (tokens <= trained) return [ceiling(options), ...arms];
  if (arms.length > 0 && !wholeLayers) return arms;
  throw invalidArgument(
    flag,
    `${tokens} are more than the model's ${trained} positions, where what keeps everything ends`,
    wholeLayers ? "Leave --whole-layers out." : "Name --policies that have a budget.",
  );
}

interface Passage {
  readonly text: string;
  readonly sha256: string;
  readonly passage: number;
  readonly offset: number;
  readonly tokens: number;
}

/**
 * Passages spread over the texts in turns; those of one text are the beginnings of equal parts of it.
 * Throws invalid_argument where a text is too short.
 */
export function passagesOf(
  { passages, tokens }: Pick<EvalOptions, "passages" | "tokens">,
  texts: readonly Tokenised[],
): Passage[] {
  if (texts.length === 0) throw invalidArgument("--text", "is required for tasks over passages");
  return Array.from({ length: passages }, (_, passage) => {
    const which = passage % texts.length;
    const { name, sha256, tokens: ids } = texts[which]!;
    const share = Math.ceil((passages - which) / texts.length);
    const part = Math.floor(ids.length / share);
    if (part < tokens)
      throw invalidArgument(
        "--text",
        `${name} has ${ids.length} tokens; ${share} passages of ${tokens} need ${share * tokens}`,
        "Give more or longer texts, or ask for fewer --passages or --tokens.",
      );
    return {
      text: name,
      sha256,
      passage,
      offset: Math.floor(passage / texts.length) * part,
      tokens,
    };
  });
}

/**
 * Every cell that the options ask for, those that run together beside each other. `bos`: passages begin with the
 * model's first token. `trained`: the model's positions. Throws invalid_argument.
 */
export function planCells(
  options: EvalOptions,
  texts: readonly Tokenised[],
  hay: string,
  { bos = false, trained = Number.POSITIVE_INFINITY }: { bos?: boolean; trained?: number } = {},
): Cell[] {
  const { tasks, budgets, tokens } = options;
  const agreement = tasks.includes("agreement");
  const mass = tasks.includes("mass");
  if ((agreement || mass) && tokens > trained)
    throw invalidArgument(
      "--tokens",
      `${tokens} are more than the model's ${trained} positions, where the uncompressed run ends that agreement and mass compare with`,
      "Leave them out of --tasks: ppl and stream go on under a budget.",
    );
  const wantsText = tasks.some((task) => !isPromptTask(task));
  const passages = wantsText ? passagesOf(options, texts) : [];
  const arms = wantsText ? armsOf(options, budgets, { tokens, flag: "--tokens", trained }) : [];
  return [
    ...passages.flatMap((passage) =>
      arms.map(
        (arm): TextCell => ({
          kind: "text",
          ...passage,
          ...(bos && { bos }),
          agreement,
          ...(mass && { mass }),
          arm,
        }),
      ),
    ),
    ...tasks.filter(isPromptTask).flatMap((task) => promptCells(options, task, hay, trained)),
  ];
}

function promptCells(
  options: EvalOptions,
  task: PromptTask,
  hay: string,
  trained: number,
): PromptCell[] {
  const { lengths, ratios, depths, asks, trials, seed } = options;
  const cells: PromptCell[] = [];
  const places: readonly (number | undefined)[] = task === "needle" ? depths : [undefined];
  // Trials that read the same stand beside each other.
  const together = questionsOf(task);
  const each = (length: number, ask: Ask, depth: number | undefined, first: number): void => {
    const budgets = [...new Set(ratios.map((ratio) => Math.round(length / ratio)))];
    const last = Math.min(first + together, trials);
    for (const arm of armsOf(options, budgets, { tokens: length, flag: "--lengths", trained }))
      for (let trial = first; trial < last; trial += 1)
        cells.push({
          kind: "prompt",
          task,
          length,
          ...defined({ depth }),
          ask,
          trial,
          seed,
          hay,
          arm,
        });
  };
  const isChat = CHAT_TASKS.some((name) => name === task);
  for (const length of lengths)
    for (const ask of isChat ? (["after"] as const) : asks)
      for (const depth of places)
        for (let first = 0; first < trials; first += together) each(length, ask, depth, first);
  return cells;
}

/** What an arm's name says. */
export function parseArm(name: ArmName): {
  policy: PolicyName;
  window?: number;
  reread?: true;
} {
  const [first, window] = name.split("@") as [string, string?];
  const policy = first.replace(/\+reread$/, "") as PolicyName;
  return {
    policy,
    ...(window === undefined ? {} : { window: Number(window) }),
    ...(policy === first ? {} : { reread: true }),
  };
}

/** Throws invalid_argument for a name that is no policy, and for a window that is no whole number. */
export function checkPolicies(names: readonly string[]): ArmName[] {
  return names.map((name) => {
    const { policy, window } = parseArm(name as ArmName);
    if (!isPolicy(policy))
      throw invalidArgument(
        "--policies",
        `unknown policy "${policy}"`,
        `Use some of ${POLICY_NAMES.join(", ")}, or all; q-filters@32 is one with a window of 32, winnow+reread reads prompts twice.`,
      );
    if (window !== undefined && !(Number.isInteger(window) && window >= 1))
      throw invalidArgument("--policies", `"${name}": the window must be a whole number from 1 on`);
    return name as ArmName;
  });
}
