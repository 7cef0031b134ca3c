import type { Engine, EngineOptions, ModelSource } from "../../api/types.ts";
import { asWinnowError } from "../../errors.ts";
import { type Availability, availabilityOf } from "../availability.ts";
import type { EngineMaker, EngineSource } from "../shared-engine.ts";
import { contentOf, endingOf, partsOf } from "./answer.ts";
import { type Claim, Conversations } from "./conversations.ts";
import { type ProviderRequest, requestOf } from "./request.ts";
import type { CallOptions, GenerateResult, LanguageModelV4, StreamResult } from "./spec.ts";
import { streamOf } from "./stream.ts";

/** Conversations belong to their engine, whichever model object asks. */
const CONVERSATIONS = new WeakMap<Engine, Conversations>();

/** A language model of the AI SDK (specification V4), in this browser. Errors are `WinnowError`s, but for an abort's. */
export class WinnowLanguageModel implements LanguageModelV4 {
  /** The specification that it follows. */
  readonly specificationVersion = "v4";
  /** Who provides it; the key of its `providerOptions` and `providerMetadata`. */
  readonly provider = "winnow";
  /** The model's name, address or file name. */
  readonly modelId: string;
  /** None: models read text alone. */
  readonly supportedUrls: Record<string, RegExp[]> = {};
  private readonly model: ModelSource;
  private readonly source: EngineSource;
  private readonly maker: EngineMaker;

  private readonly onProgress: EngineOptions["onProgress"];

  /** @internal */
  constructor(
    modelId: string,
    model: ModelSource,
    of: { source: EngineSource; maker: EngineMaker; onProgress?: EngineOptions["onProgress"] },
  ) {
    this.modelId = modelId;
    this.model = model;
    this.source = of.source;
    this.maker = of.maker;
    this.onProgress = of.onProgress;
  }

  /** Whether the model is stored here ("available"), must be fetched, is being loaded, or cannot run. Fetches nothing. */
  availability(): Promise<Availability> {
    return availabilityOf(this.model, this.source, this.maker);
  }

  /**
   * Loads the model before it is first asked. `onProgress` gets how much of the download is done, from 0 to 1.
   * Throws what `createEngine` throws.
   */
  async createSessionWithProgress(onProgress?: (progress: number) => void): Promise<this> {
    let last = -1;
    const tell = (progress: number): void => {
      if (progress > last) onProgress?.(progress);
      last = Math.max(last, progress);
    };
    await this.source.get(undefined, (progress) => {
      this.onProgress?.(progress);
      if (progress.stage === "download" && progress.total > 0)
        tell(progress.loaded / progress.total);
    });
    tell(1);
    return this;
  }

  /** The engine, for its cache and its memory; it is loaded if need be. */
  engine(): Promise<Engine> {
    return this.source.get(undefined, this.onProgress);
  }

  /** Frees the engine, also for other objects of the same model; an engine that was given stays open. */
  close(): Promise<void> {
    return this.source.close();
  }

  /** Answers as a whole; called by the AI SDK. */
  async doGenerate(options: CallOptions): Promise<GenerateResult> {
    const { request, warnings, ...asked } = requestOf(options);
    const signal = options.abortSignal;
    const { engine, claim } = await this.begin({ ...asked, request }, signal);
    const { name: conversation } = claim;
    try {
      const { completions } = engine.chat;
      const answer = await completions.create(
        { ...request, stream: false },
        { conversation, signal },
      );
      const [choice] = answer.choices;
      const { id, model: modelId, created } = answer;
      return {
        content: contentOf(choice),
        ...endingOf(choice.finish_reason, answer.usage),
        warnings,
        providerMetadata: { winnow: { conversation } },
        request: { body: request },
        response: { id, modelId, timestamp: new Date(created * 1000) },
      };
    } catch (error) {
      throw this.failure(error, signal);
    } finally {
      claim.release();
    }
  }

  /** Answers in parts; called by the AI SDK. */
  async doStream(options: CallOptions): Promise<StreamResult> {
    const { request, warnings, ...asked } = requestOf(options);
    const signal = options.abortSignal;
    const { engine, claim } = await this.begin({ ...asked, request }, signal);
    const { name: conversation } = claim;
    try {
      const { completions } = engine.chat;
      const chunks = await completions.create(
        { ...request, stream: true },
        { conversation, signal },
      );
      const parts = partsOf(chunks, {
        warnings,
        raw: options.includeRawChunks ?? false,
        providerMetadata: { winnow: { conversation } },
      });
      const stream = streamOf(parts, {
        failed: (error) => this.failure(error, signal),
        left: () => chunks[Symbol.asyncIterator]().return?.(),
        over: claim.release,
      });
      return { stream, request: { body: request } };
    } catch (error) {
      claim.release();
      throw this.failure(error, signal);
    }
  }

  private async begin(
    { request, conversation }: Pick<ProviderRequest, "request" | "conversation">,
    signal: AbortSignal | undefined,
  ): Promise<{ engine: Engine; claim: Claim }> {
    const engine = await this.source.get(signal, this.onProgress).catch((error) => {
      throw this.failure(error, signal);
    });
    if (conversation !== undefined) return { engine, claim: { name: conversation, release() {} } };
    const conversations = CONVERSATIONS.get(engine) ?? new Conversations();
    CONVERSATIONS.set(engine, conversations);
    return { engine, claim: conversations.claim(request.messages) };
  }

  /** The error as callers of the AI SDK know it: an abort's is an AbortError. */
  private failure(thrown: unknown, signal: AbortSignal | undefined): unknown {
    const error = asWinnowError(thrown);
    if (error.code === "closed") this.source.forget();
    if (!signal?.aborted) return error;
    const { reason } = signal;
    const named = /^(Abort|Timeout)Error$/.test((reason as Error | undefined)?.name ?? "");
    return named ? reason : new DOMException(`The answer was stopped: ${reason}`, "AbortError");
  }
}
