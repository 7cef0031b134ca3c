import { DEFAULTS } from "../cache/cache-options.ts";
import type { PolicyName } from "../cache/policies/index.ts";
import { assume, invalidArgument, loadLater, WinnowError } from "../errors.ts";
import { sha256Of } from "../fetch/sha256.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { adapterKind } from "../gpu/adapter-kind.ts";
import { slotBytes } from "../kernels/pages/page-format.ts";
import type { ChatTemplate, Tokenizer } from "../text/types.ts";
import { calibrationOf } from "./calibration-of.ts";
import { Conversation } from "./chat/conversation.ts";
import type { EngineCore } from "./core.ts";
import type { EngineInfo } from "./engine-info.ts";
import { type EngineLoadOptions, type Loaded, loadModel } from "./load.ts";
import type { CapturedHeads } from "./measuring/capture.ts";
import type { Lanes } from "./measuring/lanes.ts";

/** A model on a device, and its conversations. The same in a worker, in a page and in Node. */
export class InferenceEngine {
  readonly tokenizer: Tokenizer;
  private readonly core: EngineCore;
  private readonly options: EngineLoadOptions;
  private readonly makeTemplate: () => ChatTemplate;
  private readonly parameters: number;
  private readonly conversations = new Map<string, Conversation>();
  private cachedTemplate: ChatTemplate | undefined;
  /** The filters' file that was installed since loading. */
  private installed: Uint8Array | undefined;
  /** Hash of the model's bytes, once it is known. */
  private sha256: string;
  /** Hash of the model file that the filters in use were made from, if they name it. */
  private calibratedFor: string | undefined;

  /**
   * Opens the adapter, reads the header, checks that the model is supported and fits, then uploads.
   * Throws no_webgpu, no_adapter, adapter_too_weak, bad_model_file, unsupported_model, bad_filters,
   * out_of_memory, invalid_argument, aborted. Nothing stays allocated after an error.
   */
  static async load(gpu: GPU | undefined, options: EngineLoadOptions): Promise<InferenceEngine> {
    return new InferenceEngine(await loadModel(gpu, options), options);
  }

  private constructor(loaded: Loaded, options: EngineLoadOptions) {
    this.core = loaded.core;
    this.options = { ...options, cache: loaded.cache };
    this.tokenizer = loaded.core.tokenizer;
    this.parameters = loaded.parameters;
    this.makeTemplate = loaded.makeTemplate;
    this.calibratedFor = loaded.calibratedFor;
    this.sha256 = options.sha256 ?? "";
  }

  /** The model's chat template; throws unsupported_model for a model without one. */
  get template(): ChatTemplate {
    this.cachedTemplate ??= this.makeTemplate();
    return this.cachedTemplate;
  }

  get contextLength(): number {
    return this.core.config.contextLength;
  }

  /**
   * H, G and D of the model, the number of layers that the budget governs, and each one's RoPE, radians a
   * position [D/2]: what calibration needs.
   */
  get shape(): {
    layers: number;
    heads: number;
    kvHeads: number;
    headDim: number;
    frequencies: readonly Float64Array[];
  } {
    const { heads, kvHeads, headDim } = this.core.config;
    const { frequencies } = this.core.state.runner.transformer.parts;
    const { globalLayers } = this.core;
    return {
      layers: globalLayers.length,
      heads,
      kvHeads,
      headDim,
      frequencies: globalLayers.map((layer) => frequencies[layer]!),
    };
  }

  /** SHA-256 of the filters' file in use, or undefined where there are none. */
  async filtersSha256(): Promise<string | undefined> {
    const file = this.installed ?? this.options.filters;
    return file && (await sha256Of(file));
  }

  info(): EngineInfo {
    const { config, state, notices } = this.core;
    const { adapter, device } = state.gpu;
    const { vendor, architecture, description } = adapter.info;
    return {
      model: {
        name: this.options.name,
        architecture: config.architecture.name,
        parameters: this.parameters,
        contextLength: config.contextLength,
        bytes: this.options.source.size,
        sha256: this.sha256,
      },
      adapter: {
        vendor,
        architecture,
        device: adapter.info.device,
        description,
        fallback: adapterKind(adapter.info) === "cpu",
      },
      features: [...device.features],
      kernels: { ...state.runner.transformer.parts.variants },
      tuning: state.tuning,
      speculative: this.core.speculative,
      kv: this.core.storage,
      cache: {
        heads: this.core.globalLayers.length * config.kvHeads,
        pairBytes: slotBytes(state.pool.shape),
      },
      notices: [...notices],
    };
  }

  /** GPU bytes by purpose; the total equals what was allocated on the device. */
  memory(): { weights: number; kv: number; activations: number; staging: number; total: number } {
    return this.core.state.gpu.ledger.report();
  }

  /** Names of the conversations whose cache gave way to others' since the last call. */
  takeGaveWay(): string[] {
    const gone = this.core.holders.takeGone();
    const named = [...this.conversations].filter(([, { place }]) => gone.has(place));
    return named.map(([name]) => name);
  }

  /** The core that conversations share, for tests that look inside; no part of the API. */
  get internals(): EngineCore {
    return this.core;
  }

  /** GPU buffers created so far. */
  get buffersCreated(): number {
    return this.core.state.gpu.ledger.buffersCreated;
  }

  /** The conversation of that name, made on first use. */
  conversation(id: string): Conversation {
    this.core.checkOpen();
    let conversation = this.conversations.get(id);
    if (!conversation) {
      conversation = new Conversation(this.core, this.options.cache ?? {});
      this.conversations.set(id, conversation);
    }
    return conversation;
  }

  /**
   * Puts a calibration file in use, also for conversations that had to do without; they are read again on
   * their next turn. Throws bad_filters, and changes nothing then; device_lost.
   */
  async install(file: Uint8Array): Promise<void> {
    this.core.checkOpen();
    const calibration = await calibrationOf(file, this.core.config, this.options.sha256);
    const { policy = DEFAULTS.policy } = this.options.cache ?? {};
    await this.core.install(calibration, policy);
    this.installed = file;
    this.calibratedFor = calibration.filters.modelSha256;
    // Says again what a policy still lacks.
    this.core.withPolicy(this.options.cache ?? {});
    for (const conversation of this.conversations.values()) conversation.askAgain();
  }

  /** Takes the hash of the model, known by now. Throws bad_filters where the filters in use name another model. */
  identify(sha256: string): void {
    this.sha256 = sha256;
    const found = this.calibratedFor;
    if (!found || found === sha256) return;
    throw new WinnowError(
      "bad_filters",
      `filters belong to another model file: found model_sha256 ${found}, expected ${sha256}`,
      {
        hint: "Use the filters made for this model, or make them: winnow calibrate.",
        details: { field: "model_sha256", found, expected: sha256 },
      },
    );
  }

  /** Words for the calibration that the policy needs and the model lacks, also to read prompts twice; of none if it lacks none. */
  lacks(policy: PolicyName, reread?: boolean): string[] {
    return this.core.lacks(policy, reread);
  }

  /** A conversation that has no name and keeps everything; its caller resets it in the end. */
  unnamedConversation(): Conversation {
    this.core.checkOpen();
    return new Conversation(this.core, { policy: "full" });
  }

  /**
   * Runs `work` with room for `most` lanes: sequences with caches of their own that step together through
   * one pass over the weights, each giving just what it gives alone. Anew where the device is lost meanwhile;
   * every lane is freed at the end. Throws invalid_argument where `most` is no number of lanes.
   */
  lanes<T>(most: number, work: (lanes: Lanes) => Promise<T>): Promise<T> {
    this.core.checkOpen();
    return this.core.host.survive(async (state) => {
      const { Lanes } = await loadLater("lanes", () => import("./measuring/lanes.ts"));
      const lanes = await Lanes.create(this.core, state, most);
      try {
        return await work(lanes);
      } finally {
        lanes.close();
      }
    });
  }

  /** What a conversation has read, as a file: see `Conversation.save`. */
  save(id: string, signal?: AbortSignal): Promise<Blob> {
    return this.conversation(id).save(this.info().model, signal);
  }

  /** Makes a conversation go on from such a file: see `Conversation.load`. */
  load(id: string, source: ByteSource, signal?: AbortSignal): Promise<void> {
    return this.conversation(id).load(source, this.info().model, signal);
  }

  /** Makes `to` a copy of `from` that shares its pages until either writes to them. */
  async fork(from: string, to: string): Promise<void> {
    this.core.checkOpen();
    const source = this.conversations.get(from);
    if (!source) throw invalidArgument("from", `there is no conversation "${from}"`);
    assume(from !== to, () => `${from} is forked to itself`);
    // Both free, or nothing is changed.
    const copy = source.fork();
    try {
      await this.conversations.get(to)?.reset();
    } catch (error) {
      await copy.reset();
      throw error;
    }
    this.conversations.set(to, copy);
  }

  /** Runs `tokens` with nothing evicted and yields what heads made of them: see `captureHeads`. */
  async *captureHeads(
    tokens: readonly number[],
    signal?: AbortSignal,
  ): AsyncGenerator<CapturedHeads> {
    this.core.checkOpen();
    await this.core.state.runner.compiled({ stages: ["answer", "turn"] });
    const { captureHeads } = await loadLater("calibration", () => import("./measuring/capture.ts"));
    yield* captureHeads(this.core.state, this.core.config, tokens, signal);
  }

  /**
   * Runs `tokens` twice with nothing evicted: [L][G][tokens], the most attention that a row of the second reading pays to each,
   * of the layers that the budget governs. Half of the trained length and of a prompt block at most: see `rereadAttention`.
   */
  async rereadAttention(
    tokens: readonly number[],
    signal?: AbortSignal,
  ): Promise<Float32Array[][]> {
    this.core.checkOpen();
    const load = () => import("./measuring/reread-attention.ts");
    const { rereadAttention } = await loadLater("calibration", load);
    return rereadAttention(this.core.state, tokens, signal);
  }

  /** Attention's output matrix [E, H D] of the layer-th of those that the budget governs, from the file. */
  async outputMatrix(layer: number): Promise<Float32Array> {
    this.core.checkOpen();
    const { readOutputMatrix } = await loadLater(
      "calibration",
      () => import("./measuring/output-matrix.ts"),
    );
    return readOutputMatrix(this.core.model, this.core.globalLayers[layer]!);
  }

  /** Frees everything on the device. */
  async close(): Promise<void> {
    this.core.host.close();
  }
}
