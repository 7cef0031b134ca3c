import { DEFAULT_CONVERSATION } from "../checks/validate-request.ts";
import type { Figures, Loaded } from "../protocol.ts";
import type { CacheOptions, CacheUsage, EngineInfo, MemoryReport } from "../types.ts";

/** What a page knows of its engine without asking: the last figures of each conversation, and what it was told to keep. */
export class KnownFigures {
  /** The conversation that was used last. */
  lastUsed = DEFAULT_CONVERSATION;
  memory: MemoryReport;
  info: EngineInfo;
  private readonly usages = new Map<string, CacheUsage>();
  private readonly settings = new Map<string, CacheOptions>();
  /** Settings of a conversation that has none of its own. */
  private readonly engineSettings: CacheOptions;
  /** Usage of a conversation that has seen nothing. */
  private readonly unused: CacheUsage;

  constructor(settings: CacheOptions, { info, figures }: Loaded) {
    this.engineSettings = settings;
    this.info = info;
    this.memory = figures.memory;
    this.unused = figures.usage;
  }

  take({ figures, info }: Loaded): void {
    this.keep(figures);
    this.info = info;
  }

  keep(figures: Figures): void {
    for (const { conversation, usage } of [...figures.gaveWay, figures])
      this.usages.set(conversation, usage);
    this.memory = figures.memory;
  }

  usageOf(conversation: string): CacheUsage {
    return { ...(this.usages.get(conversation) ?? this.unused) };
  }

  /** The settings that were asked for. */
  settingsOf(conversation: string): CacheOptions {
    return this.settings.get(conversation) ?? this.engineSettings;
  }

  setSettings(conversation: string, settings: CacheOptions): void {
    this.settings.set(conversation, settings);
  }
}
