import type { CacheSettings } from "../cache/budget.ts";
import { decideSettings, mostBytes } from "../cache/byte-budget.ts";
import { type CacheOptions, DEFAULTS } from "../cache/cache-options.ts";
import type { Calibration } from "../cache/filters-file.ts";
import { missingNeeds, possiblePolicy } from "../cache/head-knowledge.ts";
import { isPolicy, type PolicyName } from "../cache/policies/index.ts";
import type { Need } from "../cache/policies/policy.ts";
import { invalidArgument, loadLater, type WinnowError } from "../errors.ts";
import { type Footprint, misfit } from "../gpu/memory.ts";
import { globalLayers } from "../kernels/pages/cache-shape.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import type { ModelConfig } from "../model/config.ts";
import { draftsPossible } from "../model/draft-rows.ts";
import type { Tokenizer } from "../text/types.ts";
import type { CacheHolders } from "./cache-holders.ts";
import type { Speculative } from "./chat/generate-options.ts";
import type { DeviceHost } from "./device-host.ts";
import { blockBytes, modelCacheBytes } from "./memory/footprint.ts";
import { OncePerPool } from "./once-per-pool.ts";
import type { DraftPlace, Drafts } from "./speculation/drafts.ts";
import type { Speculation } from "./speculation/speculation.ts";
import type { StepCosts } from "./speculation/step-costs.ts";
import type { DeviceState, DeviceStateInputs } from "./state.ts";

/** Words for the calibration that a policy may need. */
const NEED_NAMES: Readonly<Record<Need, string>> = {
  filters: "filters",
  queryMean: "the mean query",
  queryAbs: "the queries' lengths",
  queryCovariance: "the queries' covariance",
  ageFit: "the fit of age",
  scoreFit: "the fitted score",
};

/** What conversations share: the model, the tokenizer, the device and what there is to say. */
export class EngineCore {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Things the user should know. */
  readonly notices: string[] = [];
  readonly host: DeviceHost;
  /** Chats that are in the cache; a new one that begins like one of them may share its pages. */
  readonly holders: CacheHolders;
  /** Once `prepareGuesses` has loaded it. */
  guessing:
    | (typeof import("./speculation/guessing.ts") & { readonly costs: StepCosts })
    | undefined;
  /** The user named the storage of pages, so it stays. */
  private readonly storageChosen: boolean;
  /** Settings of requests and their bytes, which are asked for at every token, as they are on one device. */
  private readonly decided = new OncePerPool<CacheOptions, CacheSettings>();
  private readonly bounds = new OncePerPool<CacheSettings, number | "full">();
  /** The notices that a calibration may make untrue. */
  private readonly lackNotices = new Set<string>();

  constructor(
    host: DeviceHost,
    holders: CacheHolders,
    tokenizer: Tokenizer,
    storageChosen: boolean,
  ) {
    this.host = host;
    this.holders = holders;
    this.config = host.inputs.config;
    this.tokenizer = tokenizer;
    this.storageChosen = storageChosen;
  }

  /** Everything that lives on the device. */
  get state(): DeviceState {
    return this.host.state;
  }

  /** Throws closed once the engine is closed. */
  checkOpen(): void {
    this.host.checkOpen();
  }

  /** Default for requests that do not set `speculative`. */
  get speculative(): Speculative {
    return draftsPossible(this.config) ? (this.model.speculative ?? "lookup") : "off";
  }

  /** Guesses how an answer goes on after `tokens`; undefined if nothing shall or can be guessed yet. */
  guesser(
    tokens: readonly number[],
    speculative: Speculative = this.speculative,
  ): Speculation | undefined {
    if (speculative === "off" || !draftsPossible(this.config)) return undefined;
    return this.guessing && new this.guessing.Speculation(tokens, this.guessing.costs);
  }

  /** Runs guesses of one answer; undefined if nothing can be guessed yet. */
  drafts(place: DraftPlace): Drafts | undefined {
    const { guessing } = this;
    return guessing && new guessing.Drafts(() => this.state.runner, guessing.costs, place);
  }

  /** Loads what guesses. */
  async prepareGuesses(): Promise<void> {
    if (this.guessing) return;
    const code = await loadLater("speculation", () => import("./speculation/guessing.ts"));
    this.guessing ??= { ...code, costs: new code.StepCosts(this.state.gpu.kind === "cpu") };
  }

  /** The model's file, what its header says, and what the device's state was made from. */
  get model(): DeviceStateInputs {
    return this.host.inputs;
  }

  /** How pages hold keys and values. */
  get storage(): KvStorage {
    return this.model.storage;
  }

  /** Throws invalid_argument for another storage than the engine's: pages are of one kind. */
  checkStorage(kv: KvStorage | undefined): void {
    if (kv === undefined || kv === this.storage) return;
    throw invalidArgument(
      "cache.kv",
      `the engine stores pages as ${this.storage}, which cannot be changed to ${String(kv)}`,
      "Make another engine: createEngine({ cache: { kv } }).",
    );
  }

  /** A request with every part decided and checked for this model. Throws invalid_argument. */
  settingsOf(request: CacheOptions): CacheSettings {
    const { pool } = this.state;
    return this.decided.of(request, pool, () => decideSettings(pool, request));
  }

  /** Most bytes of a conversation under these settings; "full" where it grows with the chat. */
  mostBytes(settings: CacheSettings): number | "full" {
    const { pool } = this.state;
    return this.bounds.of(settings, pool, () => mostBytes(pool, settings));
  }

  /** The layers that a budget can govern: all but those with a sliding window. */
  get globalLayers(): number[] {
    return globalLayers(this.config);
  }

  /**
   * Replaces a policy whose calibration the model lacks, and says so once in `notices`, as it says what the
   * family's keys do to a small budget.
   */
  withPolicy(request: CacheOptions): CacheOptions {
    const policy = request.policy ?? DEFAULTS.policy;
    if (!isPolicy(policy)) return request;
    const { caution } = this.config.architecture;
    const evicts = policy !== "full" && (request.budget ?? DEFAULTS.budget) !== "full";
    if (caution && evicts) this.notice(caution);
    const chosen = possiblePolicy(policy, this.model.calibration);
    if (chosen === policy) return request;
    const missing = this.lacks(policy).join(", ");
    const text = `The policy ${policy} needs this model's calibration (missing: ${missing}), so ${chosen} is used: calibrate the model to have ${policy}.`;
    this.notice(text);
    this.lackNotices.add(text);
    return { ...request, policy: chosen };
  }

  /** Words for the calibration that a policy needs and the model lacks. */
  lacks(policy: PolicyName): string[] {
    return missingNeeds(policy, this.model.calibration).map((need) => NEED_NAMES[need]);
  }

  /** What is allocated beside the cache, and the cache once it is full. */
  private footprint(storage: KvStorage, settings: CacheSettings): Footprint {
    const { weights, activations, staging } = this.state.gpu.ledger.report();
    const scratch = blockBytes(this.config, storage) - blockBytes(this.config, this.storage);
    return {
      weights,
      kv: modelCacheBytes(this.config, settings, storage),
      activations: activations + staging + scratch,
    };
  }

  /** Why a full budget would not fit the limit; undefined where it does. One without an end is refused when it meets it. */
  private excess(storage: KvStorage, settings: CacheSettings): WinnowError | undefined {
    const { budget, wholeLayers } = settings;
    if (budget === "full") return undefined;
    const whole = wholeLayers > 0 ? ` and cache.wholeLayers: ${wholeLayers}` : "";
    return misfit(
      `cache.budget: the engine with ${budget} pairs per head${whole}`,
      this.footprint(storage, settings),
      this.model.memoryLimit,
      `Lower the cache budget${whole && ", or keep fewer layers whole"}.`,
    );
  }

  /** Says something in `notices`, once. */
  notice(text: string): void {
    if (!this.notices.includes(text)) this.notices.push(text);
  }

  /** Throws out_of_memory where a full budget would not fit the limit. */
  checkBudget(settings: CacheSettings): void {
    const error = this.excess(this.storage, settings);
    if (error) throw error;
  }

  /**
   * To be called with the number of keys and values on `state` that were cut to what f16 holds. Where the
   * storage was left to the engine and memory allows, pages become f32: returns true once `state` is replaced
   * by one that has them, and conversations find their caches gone. Says in `notices` what was done.
   */
  async widen(state: DeviceState, cut: number, settings: CacheSettings): Promise<boolean> {
    if (cut === 0) return false;
    if (this.host.stays(state)) {
      const cuts = `${cut} keys and values of this model are larger than f16 holds (65504)`;
      if (this.storageChosen || this.excess("f32", settings)) {
        this.notice(`${cuts} and were cut, which harms answers: use cache.kv "f32" or "q8"`);
        return false;
      }
      this.notice(`${cuts}: they are stored as f32, in twice the memory; cache.kv "q8" takes less`);
      this.host.inputs = { ...this.model, storage: "f32" };
    }
    await this.host.replace(state);
    return true;
  }

  /**
   * Puts a calibration in use: the device's state is made anew with it, and conversations find their caches
   * gone, as after the loss of a device, and read what they have seen again on their next turn.
   */
  async install(calibration: Calibration, asked: PolicyName): Promise<void> {
    await this.host.remake({ calibration, policy: possiblePolicy(asked, calibration) });
    for (const text of this.lackNotices) this.notices.splice(this.notices.indexOf(text), 1);
    this.lackNotices.clear();
  }
}
