import { assume, asWinnowError, invalidArgument } from "../errors.ts";
import {
  type CacheOptions,
  DEFAULTS,
  LEAST,
  MOST,
  PROTECTED,
  type Protected,
} from "./cache-options.ts";
import { isPolicy, POLICY_NAMES, type PolicyName, policyOf } from "./policies/index.ts";

/** A cache request with every part decided and checked. */
export interface CacheSettings {
  /** Pairs kept a kv head, or "full". */
  readonly budget: number | "full";
  readonly policy: PolicyName;
  /** Most recent tokens never evicted. */
  readonly window: number;
  /** First tokens never evicted. */
  readonly sinks: number;
  /** The first so many layers keep every pair; the budget is that of the others. */
  readonly wholeLayers: number;
  /** What stays beside the sinks and the window. */
  readonly protect: Protected;
  /** Whether long prompts are read twice. */
  readonly reread: boolean;
}

/** Slots a head may hold when nothing is ever evicted. */
export const UNLIMITED = 0x7fffffff;

/** Whether prompts may be read twice under these settings. */
export const mayReread = ({
  policy,
  wholeLayers,
}: Pick<CacheSettings, "policy" | "wholeLayers">): boolean =>
  policyOf(policy).headBudgets === true && wholeLayers === 0;

const count = (name: keyof typeof LEAST, value: number): number => {
  const holds = Number.isInteger(value) && value >= LEAST[name] && value <= MOST;
  assume(holds, () => `cache.${name} is ${String(value)}`);
  return value;
};

/**
 * Decides budget, policy, window, sinks and whole layers, of a model with so many `layers` where that is known. Each
 * setting is in its range (`LEAST`, `MOST`), else that is internal: `checkCacheOptions` explains ranges to users. A
 * window that was not asked for shrinks with a small budget; one that was asked for and does not fit is an error, as
 * is window + sinks >= budget.
 */
export function resolveCacheSettings(
  request: CacheOptions,
  layers = Number.POSITIVE_INFINITY,
): CacheSettings {
  const policy = request.policy ?? DEFAULTS.policy;
  assume(request.bytes === undefined, () => "cache.bytes is not decided yet");
  if (!isPolicy(policy))
    throw invalidArgument(
      "cache.policy",
      `must be one of ${POLICY_NAMES.join(", ")}, not ${JSON.stringify(policy)}`,
    );
  const {
    evicts = true,
    window: usual = DEFAULTS.window,
    windowShare: share = 2,
  } = policyOf(policy);
  const sinks = count("sinks", request.sinks ?? DEFAULTS.sinks);
  const wholeLayers = count("wholeLayers", request.wholeLayers ?? DEFAULTS.wholeLayers);
  if (wholeLayers > layers)
    throw invalidArgument(
      "cache.wholeLayers",
      `must be at most ${layers}, the layers of the model, got ${wholeLayers}`,
    );
  const protect = request.protect ?? DEFAULTS.protect;
  assume(PROTECTED.includes(protect), () => `cache.protect is ${String(protect)}`);
  const reread = request.reread ?? DEFAULTS.reread;
  if (reread && !mayReread({ policy, wholeLayers }))
    throw invalidArgument("cache.reread", 'goes with the policy "winnow" and no whole layers');
  const asked = request.budget ?? DEFAULTS.budget;
  if (asked === "full" || !evicts) {
    if (asked !== "full") count("budget", asked);
    return {
      budget: "full",
      policy,
      window: count("window", request.window ?? usual),
      sinks,
      wholeLayers,
      protect,
      reread,
    };
  }
  const budget = count("budget", asked);
  const window = count(
    "window",
    request.window ?? Math.max(LEAST.window, Math.min(usual, Math.floor(budget / share))),
  );
  if (window + sinks >= budget) {
    throw invalidArgument(
      "cache.budget",
      `${budget} pairs leave no room beside a window of ${window} and ${sinks} sinks`,
      `Use a budget above ${window + sinks}, or a smaller window.`,
    );
  }
  return { budget, policy, window, sinks, wholeLayers, protect, reread };
}

/** Throws invalid_argument where the options cannot stand together, whatever the model. */
export function checkSettings({ bytes, ...asked }: CacheOptions): void {
  // How many pairs the bytes hold is known once the model is.
  resolveCacheSettings(bytes === undefined ? asked : { ...asked, budget: MOST });
}

/** What `resolveCacheSettings` gives, or undefined where window and sinks leave no room, or there are fewer layers than are to be kept whole. */
export function possibleSettings(
  request: CacheOptions,
  layers?: number,
): CacheSettings | undefined {
  try {
    return resolveCacheSettings(request, layers);
  } catch (error) {
    if (asWinnowError(error).code === "invalid_argument") return undefined;
    throw error;
  }
}

/** Slots a kv head of a compressed layer may hold. */
export const capacityOf = (settings: CacheSettings): number =>
  settings.budget === "full" ? UNLIMITED : settings.budget;

/** Whether a chat goes on past the trained length: where something has no budget, every token keeps a position of its own. */
export const endless = ({ budget, wholeLayers }: CacheSettings): boolean =>
  budget !== "full" && wholeLayers === 0;
