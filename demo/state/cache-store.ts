import type {
  CacheOptions,
  CacheUsage,
  Engine,
  EngineInfo,
  MemoryReport,
  PolicyName,
  Retention,
} from "../../src/api/types.ts";
import { asWinnowError, type WinnowError } from "../../src/errors.ts";
import { type CacheSettings, DEFAULT_SETTINGS } from "./cache-settings.ts";
import { type KvSample, thin } from "./kv-history.ts";
import { Rate } from "./rate.ts";
import { Store } from "./store.ts";

const FIGURES_EVERY_MS = 250;
const RETENTION_EVERY_MS = 1000;
const DEBOUNCE_MS = 180;

/** What the cache holds, and the settings the user asked for. Polls while an answer streams. */
export class CacheStore extends Store {
  usage: CacheUsage | null = null;
  memory: MemoryReport | null = null;
  /** Notices in it change with the policy. */
  info: EngineInfo | null = null;
  retention: Retention | null = null;
  history: readonly KvSample[] = [];
  /** Tokens a second just now; null outside an answer. */
  liveRate: number | null = null;
  error: WinnowError | null = null;
  /** Settings that would grant what was refused, or null. */
  remedy: CacheOptions | null = null;
  /** The last settings the engine accepted. */
  accepted: CacheSettings = DEFAULT_SETTINGS;
  #engine: Engine | null = null;
  #wanted: CacheOptions | null = null;
  #inFlight: CacheOptions | null = null;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;
  #readingRetention = false;
  #retentionDue = 0;
  readonly #rate = new Rate(3000);
  #evicting: { budget: number; policy: PolicyName } = { budget: 512, policy: "winnow" };

  /** What the controls show: what was asked for while it is on its way, else what is true. */
  get shown(): CacheSettings {
    return { ...this.accepted, ...this.#inFlight, ...this.#wanted };
  }

  attach(engine: Engine | null): void {
    this.#engine = engine;
    this.#wanted = this.#inFlight = null;
    this.retention = this.usage = this.memory = this.info = null;
    this.history = [];
    this.error = this.remedy = null;
    this.watch(false);
    if (engine !== null) this.refresh();
  }

  /** Asks for settings soon: a slider may ask many times a second. "full" is one thing in budget and policy. */
  request(change: CacheOptions): void {
    const next: CacheOptions = { ...change };
    if (change.budget === "full" || change.policy === "full") {
      next.budget = next.policy = "full";
    } else if (this.shown.policy === "full" || this.shown.budget === "full") {
      if (change.budget !== undefined) next.policy = change.policy ?? this.#evicting.policy;
      if (change.policy !== undefined) next.budget = change.budget ?? this.#evicting.budget;
    }
    this.#wanted = { ...this.#wanted, ...next };
    this.error = this.remedy = null;
    clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => void this.#apply(), DEBOUNCE_MS);
    this.changed();
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
    this.usage = this.#engine.cache.usage();
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
    const asked = this.#wanted;
    this.#inFlight = asked;
    this.#wanted = null;
    try {
      const usage = await engine.cache.configure(asked);
      this.accepted = { ...this.accepted, ...asked };
      this.#sync(usage);
    } catch (thrown) {
      this.error = asWinnowError(thrown);
      this.remedy = remedyFor({ ...this.accepted, ...asked });
    }
    this.#inFlight = null;
    if (this.#engine !== engine) return;
    this.refresh();
    if (this.#wanted !== null) await this.#apply();
  }

  /** The engine's word wins over ours. */
  #sync({ budget, policy, wholeLayers }: CacheUsage): void {
    this.accepted = { ...this.accepted, budget, policy, wholeLayers };
    if (budget !== "full" && policy !== "full") this.#evicting = { budget, policy };
  }

  async #readRetention(): Promise<void> {
    const engine = this.#engine;
    if (this.#readingRetention || engine === null) return;
    this.#readingRetention = true;
    const begin = performance.now();
    try {
      const retention = await engine.cache.retention();
      if (this.#engine === engine) this.retention = retention;
    } catch {
      // The strip is an extra: the next reading may succeed, and the answer goes on.
    }
    const end = performance.now();
    this.#retentionDue = end + Math.max(RETENTION_EVERY_MS, 8 * (end - begin));
    this.#readingRetention = false;
    this.changed();
  }
}

/** A budget that its protected tokens fill up works with a smaller window: half of what is left. */
function remedyFor({ budget, policy, window, sinks }: CacheSettings): CacheOptions | null {
  if (budget === "full" || window + sinks < budget || budget - sinks < 4) return null;
  return { budget, policy, sinks, window: Math.floor((budget - sinks) / 2) };
}
