import type {
  CacheOptions,
  CacheUsage,
  Engine,
  EngineInfo,
  MemoryReport,
  PolicyName,
  Retention,
} from "../../src/api/types.ts";
import { type CacheSettings, mayReread, resolveCacheSettings } from "../../src/cache/budget.ts";
import { DEFAULTS } from "../../src/cache/cache-options.ts";
import { asWinnowError, type WinnowError } from "../../src/errors.ts";
import { type KvSample, thin } from "./kv-history.ts";
import { Rate } from "./rate.ts";
import { Store } from "./store.ts";

const FIGURES_EVERY_MS = 250;
const RETENTION_EVERY_MS = 1000;
const DEBOUNCE_MS = 180;

/** What the engine did not take. */
export interface Refusal {
  asked: CacheOptions;
  error: WinnowError;
  /** Settings that would grant what was asked for, or null. */
  remedy: CacheOptions | null;
}

/** What the cache holds, and the settings the user asked for. Polls while an answer streams. */
export class CacheStore extends Store {
  usage: CacheUsage | null = null;
  memory: MemoryReport | null = null;
  /** Notices in it change with the policy. */
  info: EngineInfo | null = null;
  retention: Retention | null = null;
  history: readonly KvSample[] = [];
  /** Tokens per second just now; null outside an answer. */
  liveRate: number | null = null;
  refusal: Refusal | null = null;
  /** What is in force, as the engine says. */
  #settings: CacheSettings = resolveCacheSettings({});
  /** What the user chose for this engine. What nobody chose is not sent: it stays the policy's own. */
  #chosen: CacheOptions = {};
  #engine: Engine | null = null;
  /** The chat that is shown, by its name in the engine. */
  #conversation = "";
  #wanted: CacheOptions | null = null;
  #inFlight: CacheOptions | null = null;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;
  #readingRetention = false;
  #retentionDue = 0;
  readonly #rate = new Rate(3000);
  /** The last budget that evicted, to come back to from "full". */
  #budget: number = DEFAULTS.budget;
  /** The last policy that was asked for and evicts. Another may stand in for it, until its calibration is there. */
  #policy: PolicyName = DEFAULTS.policy;

  /** What the controls show: what was asked for while it is on its way, else what is true. */
  get shown(): CacheSettings {
    return { ...this.#settings, ...this.#inFlight, ...this.#wanted };
  }

  /** What the user chose for this chat. */
  get chosen(): CacheOptions {
    return this.#chosen;
  }

  attach(engine: Engine | null): void {
    this.#engine = engine;
    this.open(this.#conversation, this.#chosen);
  }

  /** Shows another chat, whose settings are put in force. */
  open(conversation: string, chosen: CacheOptions): void {
    clearTimeout(this.#debounce);
    this.#conversation = conversation;
    this.#wanted = this.#inFlight = null;
    this.#chosen = chosen;
    this.#budget = DEFAULTS.budget;
    this.#policy = evicting(chosen.policy) ?? DEFAULTS.policy;
    this.retention = this.usage = this.memory = this.info = null;
    this.history = [];
    this.refusal = null;
    this.watch(false);
    if (this.#engine !== null && Object.keys(chosen).length > 0) {
      this.#wanted = chosen;
      void this.#apply();
    }
    this.refresh();
    this.changed();
  }

  /** Asks for settings soon: a slider may ask many times a second. "full" is one thing in budget and policy. */
  request(change: CacheOptions): void {
    const next: CacheOptions = { ...change };
    if (change.budget === "full" || change.policy === "full") {
      next.budget = next.policy = "full";
    } else if (this.shown.policy === "full" || this.shown.budget === "full") {
      if (change.budget !== undefined) next.policy = change.policy ?? this.#policy;
      if (change.policy !== undefined) next.budget = change.budget ?? this.#budget;
    }
    if (this.shown.reread && !mayReread({ ...this.shown, ...next })) next.reread = false;
    this.#wanted = { ...this.#wanted, ...next };
    this.refusal = null;
    clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => void this.#apply(), DEBOUNCE_MS);
    this.changed();
  }

  /** Has long prompts of this chat read twice from now on, unless the user chose otherwise or the policy has no use for it. */
  readTwice(): void {
    const chosen = { ...this.#chosen, ...this.#wanted }.reread;
    if (this.shown.reread || chosen !== undefined || !mayReread(this.shown)) return;
    this.#wanted = { ...this.#wanted, reread: true };
    clearTimeout(this.#debounce);
    // At once: the question is on its way.
    void this.#apply();
  }

  /** Starts and ends the polling of an answer. */
  watch(answering: boolean): void {
    clearInterval(this.#poll);
    this.startRate();
    if (answering) this.#poll = setInterval(() => this.refresh(true), FIGURES_EVERY_MS);
  }

  /** Called at the first token: what went before was the prompt. */
  startRate(): void {
    this.#rate.clear();
    this.liveRate = null;
  }

  /** Reads the figures, and the retention where a second has passed or none is being answered. */
  refresh(answering = false): void {
    if (this.#engine === null) return;
    try {
      this.usage = this.#engine.cache.usage({ conversation: this.#conversation });
    } catch {
      // This device was lost for good, and a server answers.
      this.attach(null);
      return;
    }
    this.memory = this.#engine.memory();
    this.#sync(this.usage);
    this.history = thin(this.history, this.usage);
    const now = performance.now();
    if (answering) {
      this.#rate.add(this.usage.tokensSeen, now);
      this.liveRate = this.#rate.perSecond();
    }
    if (!answering) this.info = this.#engine.info();
    if (!answering || now >= this.#retentionDue) void this.#readRetention();
    this.changed();
  }

  async #apply(): Promise<void> {
    if (this.#inFlight !== null || this.#wanted === null || this.#engine === null) return;
    const engine = this.#engine;
    const conversation = this.#conversation;
    const asked = this.#wanted;
    this.#inFlight = asked;
    this.#wanted = null;
    const error = await engine.cache
      .configure(asked, { conversation })
      .then(() => null, asWinnowError);
    // Another engine and another chat have their own settings.
    if (this.#engine !== engine || this.#conversation !== conversation) return;
    this.#inFlight = null;
    if (error === null) this.#chose(asked);
    else this.refusal = { asked, error, remedy: remedyFor({ ...this.#chosen, ...asked }) };
    this.refresh();
    if (this.#wanted !== null) await this.#apply();
  }

  #chose(asked: CacheOptions): void {
    this.#chosen = { ...this.#chosen, ...asked };
    this.#policy = evicting(asked.policy) ?? this.#policy;
  }

  #sync({ budget, policy, window, sinks, wholeLayers, protect, reread }: CacheUsage): void {
    this.#settings = { budget, policy, window, sinks, wholeLayers, protect, reread };
    if (budget !== "full") this.#budget = budget;
  }

  async #readRetention(): Promise<void> {
    const engine = this.#engine;
    const conversation = this.#conversation;
    if (this.#readingRetention || engine === null) return;
    this.#readingRetention = true;
    const begin = performance.now();
    try {
      const retention = await engine.cache.retention({ conversation });
      if (this.#engine === engine && this.#conversation === conversation)
        this.retention = retention;
    } catch {
      // The strip is an extra: the next reading may succeed, and the answer goes on.
    }
    const end = performance.now();
    this.#retentionDue = end + Math.max(RETENTION_EVERY_MS, 8 * (end - begin));
    this.#readingRetention = false;
    // Another chat may have been opened meanwhile.
    if (this.#conversation !== conversation) return this.#readRetention();
    this.changed();
  }
}

const evicting = (policy: PolicyName | undefined): PolicyName | undefined =>
  policy === "full" ? undefined : policy;

/** Where protected tokens fill the budget, a smaller window works: half of what the first tokens leave. */
function remedyFor(asked: CacheOptions): CacheOptions | null {
  const { budget = DEFAULTS.budget, sinks = DEFAULTS.sinks } = asked;
  if (budget === "full" || fits(asked)) return null;
  const smaller = { ...asked, budget, window: Math.floor((budget - sinks) / 2) };
  return fits(smaller) ? smaller : null;
}

function fits(asked: CacheOptions): boolean {
  try {
    resolveCacheSettings(asked);
    return true;
  } catch {
    return false;
  }
}
