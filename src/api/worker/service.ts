import { checkSettings } from "../../cache/budget.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import { closedError, loadLater, WinnowError } from "../../errors.ts";
import type { LearnHooks } from "../calibration/learn.ts";
import type { SelfCalibrator } from "../calibration/self-calibration.ts";
import { type CheckedRequest, DEFAULT_CONVERSATION } from "../checks/validate-request.ts";
import type {
  Calibrated,
  Completion,
  EnginePort,
  Figures,
  Loaded,
  OnBatch,
  OnCalibrateProgress,
  OnCalibration,
  OnLoadProgress,
  OnReadProgress,
  OwnFilters,
  Restored,
  WireCalibrateOptions,
  WireEngineOptions,
} from "../protocol.ts";
import type {
  CacheOptions,
  CalibrateProgress,
  CalibrationResult,
  EngineInfo,
  Retention,
} from "../types.ts";
import { planPrompt } from "./answer/plan-prompt.ts";
import { TokenBatcher } from "./answer/token-batcher.ts";
import { runRequest } from "./completion.ts";
import { Delivery } from "./delivery.ts";
import type { OpenEngine, OpenedEngine } from "./opened-engine.ts";
import { RequestQueue } from "./request-queue.ts";

/**
 * The engine's side of the port: in the worker, or in the same thread in Node. A lost device is
 * rebuilt by the engine itself; here it is only a pause.
 */
export class EngineService implements EnginePort {
  private readonly open: OpenEngine;
  private readonly queue = new RequestQueue();
  private readonly calls = new Map<number, AbortController>();
  private opened: OpenedEngine | undefined;
  private calibrating = false;
  private calibrator: SelfCalibrator | undefined;
  /** The page's, where a model may calibrate itself. */
  private onCalibration: OnCalibration | undefined;
  private lastUsed = DEFAULT_CONVERSATION;

  constructor(open: OpenEngine) {
    this.open = open;
  }

  async load(
    call: number,
    options: WireEngineOptions,
    onProgress: OnLoadProgress,
    onCalibration: OnCalibration,
    ownFilters?: OwnFilters,
  ): Promise<Loaded> {
    const progress = new Delivery(onProgress);
    const report: OnLoadProgress = (value) => progress.send(value);
    try {
      checkSettings(options.cache);
      this.opened = await this.open(options, report, this.begin(call), ownFilters);
      await progress.received();
      if (options.calibrate === "auto") this.onCalibration = onCalibration;
      await this.considerCalibration();
      return this.loaded(DEFAULT_CONVERSATION);
    } finally {
      this.calls.delete(call);
    }
  }

  async complete(
    call: number,
    conversation: string,
    request: CheckedRequest,
    onBatch: OnBatch,
    onProgress?: OnReadProgress,
  ): Promise<Completion> {
    const signal = this.begin(call);
    this.lastUsed = conversation;
    const end = this.calibrator?.begin();
    const job = async (): Promise<Completion> => {
      const { engine } = this;
      const batches = new Delivery(onBatch);
      const progress = onProgress && new Delivery(onProgress);
      const batcher = new TokenBatcher((deltas) =>
        batches.send({ deltas, figures: figuresOf(engine, conversation) }),
      );
      try {
        const { finishes, usage } = await runRequest(engine, conversation, request, {
          onDeltas: (deltas) => batcher.push(deltas),
          onProgress: progress && ((value) => progress.send(value)),
          signal,
        });
        return { finishes, usage, ...this.loaded(conversation) };
      } finally {
        batcher.flush();
        await Promise.all([batches.received(), progress?.received()]);
      }
    };
    try {
      return await this.queue.run(conversation, job, signal);
    } finally {
      this.calls.delete(call);
      end?.();
    }
  }

  abort(call: number): void {
    this.calls.get(call)?.abort();
  }

  async countTokens(request: CheckedRequest): Promise<number> {
    return (await planPrompt(this.engine, request)).prompt.length;
  }

  async configure(conversation: string, cache: CacheOptions): Promise<Loaded> {
    await this.engine.conversation(conversation).configure(cache);
    this.lastUsed = conversation;
    await this.considerCalibration();
    return this.loaded(conversation);
  }

  async retention(conversation: string): Promise<Retention> {
    return this.engine.conversation(conversation).retention();
  }

  reset(conversation: string): Promise<Figures> {
    return this.queue.run(conversation, async () => {
      const { engine } = this;
      await engine.conversation(conversation).reset();
      return figuresOf(engine, conversation);
    });
  }

  fork(from: string, to: string): Promise<Figures> {
    const job = async (): Promise<Figures> => {
      const { engine } = this;
      await engine.fork(from, to);
      return figuresOf(engine, to);
    };
    // Always the same order of the two queues: two opposite forks must not wait for each other.
    const [first, second] = from < to ? [from, to] : [to, from];
    return this.queue.run(first, () => this.queue.run(second, job));
  }

  async saveChat(call: number, conversation: string): Promise<{ file: Blob; figures: Figures }> {
    const signal = this.begin(call);
    const job = async () => {
      const file = await this.engine.save(conversation, signal);
      return { file, figures: figuresOf(this.engine, conversation) };
    };
    try {
      return await this.queue.run(conversation, job, signal);
    } finally {
      this.calls.delete(call);
    }
  }

  async loadChat(call: number, conversation: string, source: Blob | string): Promise<Restored> {
    const signal = this.begin(call);
    const job = async (): Promise<Restored> => {
      const code = await loadLater("saved chats", () => import("./load-chat.ts"));
      const chat = await code.loadChat(this.opened, conversation, source, signal);
      return { ...chat, ...this.loaded(conversation) };
    };
    try {
      return await this.queue.run(conversation, job, signal);
    } finally {
      this.calls.delete(call);
    }
  }

  async calibrate(
    call: number,
    conversation: string,
    options: WireCalibrateOptions,
    onProgress: OnCalibrateProgress,
  ): Promise<Calibrated> {
    const progress = new Delivery(onProgress);
    const signal = this.begin(call);
    try {
      await this.calibrator?.end();
      if (this.calibrating)
        throw new WinnowError("busy", "a calibration is running already", {
          hint: "Wait for it, or abort it.",
        });
      this.calibrating = true;
      try {
        const onProgress = (value: CalibrateProgress): void => progress.send(value);
        const result = await this.learn(options, { onProgress, signal });
        await progress.received();
        return { ...this.loaded(conversation), result };
      } finally {
        this.calibrating = false;
      }
    } finally {
      this.calls.delete(call);
    }
  }

  async stopCalibration(): Promise<void> {
    await this.calibrator?.stop();
  }

  async close(): Promise<void> {
    await this.calibrator?.end();
    for (const call of this.calls.values()) call.abort(closedError());
    const opened = this.opened;
    this.opened = undefined;
    await this.queue.idle();
    await opened?.close();
  }

  private async learn(
    options: WireCalibrateOptions,
    hooks: LearnHooks,
  ): Promise<CalibrationResult> {
    // Loaded when it is first needed: most pages never calibrate.
    const { learn } = await loadLater("calibration", () => import("../calibration/learn.ts"));
    return learn(this.opened!, options, hooks);
  }

  /** Lets the model calibrate itself where a policy in use lacks it; most pages never load what does it. */
  private async considerCalibration(): Promise<void> {
    const refuse = this.opened?.refuseCalibration;
    const wanted = (): boolean => this.engine.conversation(this.lastUsed).wantsCalibration;
    if (this.onCalibration && refuse && !this.calibrator && wanted()) {
      const page = new Delivery(this.onCalibration);
      const { SelfCalibrator } = await loadLater(
        "calibration",
        () => import("../calibration/self-calibration.ts"),
      );
      this.calibrator ??= new SelfCalibrator({
        wanted,
        run: (hooks) => this.learn({}, hooks),
        report: (event) =>
          page.send(
            event.state === "done" ? { event, loaded: this.loaded(this.lastUsed) } : { event },
          ),
        refuse,
      });
    }
    this.calibrator?.consider();
  }

  private begin(call: number): AbortSignal {
    const controller = new AbortController();
    this.calls.set(call, controller);
    return controller.signal;
  }

  private get engine(): InferenceEngine {
    if (this.opened) return this.opened.engine;
    throw closedError();
  }

  private loaded(conversation: string): Loaded {
    const info = this.engine.info();
    const sha256 = this.opened?.sha256 ?? info.model.sha256;
    return {
      figures: figuresOf(this.engine, conversation),
      info: { ...info, model: { ...info.model, sha256 } } satisfies EngineInfo,
    };
  }
}

function figuresOf(engine: InferenceEngine, conversation: string): Figures {
  const usage = engine.conversation(conversation).usage();
  const gaveWay = engine.takeGaveWay().map((other) => ({
    conversation: other,
    usage: engine.conversation(other).usage(),
  }));
  return { conversation, usage, memory: engine.memory(), gaveWay };
}
