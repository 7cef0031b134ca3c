import type { Engine, EngineOptions, ModelSource } from "../../api/types.ts";
import { DEFAULT_MODEL } from "../../fetch/resolve/model-registry.ts";
import { createEngine, listModels } from "../../index.ts";
import { type Availability, availabilityOf } from "../availability.ts";
import {
  type EngineMaker,
  type EngineSource,
  givenEngine,
  SharedEngine,
} from "../shared-engine.ts";
import { Chat } from "./chat.ts";
import { DownloadMonitor } from "./download-monitor.ts";
import { asDomException, notSupported } from "./errors.ts";
import { PARAMS, readOptions } from "./read-options.ts";
import { PARTS, PromptSession } from "./session.ts";
import type { CreateCoreOptions, CreateOptions, LanguageModelParams } from "./types.ts";

/** Which engine sessions run on. Options of the engine hold for all of them. */
export interface PromptApiOptions extends Omit<EngineOptions, "model" | "signal"> {
  /** What `createEngine` takes, or an engine that is loaded. Default "smollm2-135m-instruct". */
  model?: ModelSource | Engine;
  /** What makes engines. Default: `winnow-llm`; in Node all of `winnow-llm/node`. */
  from?: EngineMaker;
}

/** The class `LanguageModel` of the Prompt API, over an engine. */
export interface LanguageModelClass {
  /** Sessions are instances. */
  readonly prototype: PromptSession;
  /** Throws: sessions come from `create`. */
  new (): PromptSession;
  /** Loads the model where it is not, and begins a session. */
  create(options?: CreateOptions): Promise<PromptSession>;
  /** Whether a session with these options can be had, and at what cost; loads nothing. */
  availability(options?: CreateCoreOptions): Promise<Availability>;
  /** Ranges of `temperature` and `topK`. */
  params(): Promise<LanguageModelParams>;
  /** Frees the engine and all its sessions; not in the draft. An engine that was given stays open. */
  unload(): Promise<void>;
}

/** A `LanguageModel` of the Prompt API over one engine, which is loaded when a session is first created. */
export function defineLanguageModel(options: PromptApiOptions = {}): LanguageModelClass {
  const { from = { createEngine, listModels }, model = DEFAULT_MODEL, ...rest } = options;
  const { onProgress, ...settings } = rest;
  const given = typeof model === "object" && "chat" in model ? model : undefined;
  const named = given ? given.info().model.name : (model as ModelSource);
  const source: EngineSource = given
    ? givenEngine(given)
    : new SharedEngine({ ...settings, model: named }, from.createEngine);
  const make = (chat: Chat, signal?: AbortSignal): PromptSession =>
    new LanguageModel({ [PARTS]: { chat, make, signal } });

  async function availability(options: CreateCoreOptions = {}): Promise<Availability> {
    try {
      readOptions(options);
    } catch (error) {
      if ((error as Error).name === "NotSupportedError") return "unavailable";
      throw error;
    }
    return availabilityOf(named, source, from);
  }

  async function create(options: CreateOptions = {}): Promise<PromptSession> {
    const { signal } = options;
    signal?.throwIfAborted();
    const session = readOptions(options);
    const monitor = new DownloadMonitor(options.monitor);
    try {
      if ((await availabilityOf(named, source, from)) === "unavailable")
        throw notSupported("There is no WebGPU here, or no such model.");
      signal?.throwIfAborted();
      monitor.tell(0);
      const engine = await source.get(signal, (progress) => {
        onProgress?.(progress);
        monitor.onProgress(progress);
      });
      const chat = new Chat(engine, session);
      await chat.begin(signal);
      monitor.tell(1);
      // Whoever listens may abort now.
      await new Promise((resolve) => setTimeout(resolve));
      signal?.throwIfAborted();
      return make(chat, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw asDomException(error);
    } finally {
      monitor.end();
    }
  }

  class LanguageModel extends PromptSession {
    static create = create;
    static availability = availability;
    static params = async (): Promise<LanguageModelParams> => PARAMS;
    static unload = (): Promise<void> => source.close();
  }
  return LanguageModel as LanguageModelClass;
}
