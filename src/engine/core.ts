import type { CacheSettings } from "../cache/budget.ts";
import { decideSettings, mostBytes } from "../cache/byte-budget.ts";
import { type CacheOptions, DEFAULTS } from "../cache/cache-options.ts";
import { missingNeeds, possiblePolicy } from "../cache/head-knowledge.ts";
import { isPolicy, type PolicyName } from "../cache/policies/index.ts";
import type { Need } from "../cache/policies/policy.ts";
import { invalidArgument, loadLater } from "../errors.ts";
import { globalLayers } from "../kernels/pages/cache-shape.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import type { ModelConfig } from "../model/config.ts";
import { draftsPossible } from "../model/draft-rows.ts";
import type { Tokenizer } from "../text/types.ts";
import type { CacheHolders } from "./cache-holders.ts";
import type { Speculative } from "./chat/generate-options.ts";
import type { DeviceHost } from "./device-host.ts";
import type { LoadedCalibration } from "./load-filters.ts";
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
  readonly storageChosen: boolean;
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
    const governed = this.globalLayers.length > 0;
    const evicts = governed && policy !== "full" && (request.budget ?? DEFAULTS.budget) !== "full";
    if (caution && evicts) this.notice(caution);
    const chosen = possiblePolicy(policy, this.model.calibration);
    const missing = this.lacks(policy, request.reread);
    if (missing.length === 0) return request;
    const other = chosen !== policy;
    const text = `${other ? `The policy ${policy}` : "cache.reread"} needs this model's calibration (missing: ${missing.join(", ")}), so ${other ? `${chosen} is used` : "long prompts are read once"}: calibrate the model to have ${other ? policy : "it"}.`;
    if (governed) {
      this.notice(text);
      this.lackNotices.add(text);
    }
    return { ...request, policy: chosen, reread: false };
  }

  /** Words for the calibration that a policy needs and the model lacks; `reread`: also to read prompts twice. */
  lacks(policy: PolicyName, reread?: boolean): string[] {
    const { calibration } = this.model;
    const missing = missingNeeds(policy, calibration).map((need) => NEED_NAMES[need]);
    const measured = calibration?.statistics.headLoss?.reread;
    return reread && !measured ? [...missing, "second readings"] : missing;
  }

  /** Says something in `notices`, once. */
  notice(text: string): void {
    if (!this.notices.includes(text)) this.notices.push(text);
  }

  /**
   * To be called with the number of keys and values on `state` that were cut to what f16 holds. Where the
   * storage was left to the engine and memory allows, pages become f32: returns true once `state` is replaced
   * by one that has them, and conversations find their caches gone. Says in `notices` what was done.
   */
  async widen(state: DeviceState, cut: number, settings: CacheSettings): Promise<boolean> {
    if (cut === 0) return false;
    const { widerPages } = await loadLater("wider pages", () => import("./memory/wider-pages.ts"));
    return widerPages(this, state, cut, settings);
  }

  /**
   * Puts a calibration in use: the device's state is made anew with it, and conversations find their caches
   * gone, as after the loss of a device, and read what they have seen again on their next turn.
   */
  async install(calibration: LoadedCalibration, asked: PolicyName): Promise<void> {
    await this.host.remake({ calibration, policy: possiblePolicy(asked, calibration) });
    for (const text of this.lackNotices) this.notices.splice(this.notices.indexOf(text), 1);
    this.lackNotices.clear();
  }
}
