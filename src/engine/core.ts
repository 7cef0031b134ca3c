import { type CacheRequest, type CacheSettings, DEFAULTS } from "../cache/budget.ts";
import { pagesFor } from "../cache/kv-pool.ts";
import { POLICIES } from "../cache/policies/index.ts";
import { WinnowError } from "../errors.ts";
import { openGpu } from "../gpu/context.ts";
import { PAGE_SLOTS } from "../kernels/cache-shape.ts";
import { kvBytesPerToken, type ModelConfig } from "../model/config.ts";
import type { Tokenizer } from "../text/types.ts";
import { createDeviceState, type DeviceState, type DeviceStateInputs } from "./state.ts";

/** Longest wait for a device to say that it is lost, after something failed on it. */
const LOST_WAIT_MS = 500;

/**
 * What conversations share: the model, the tokenizer and the device's state, which is replaced as a whole
 * when the device is lost.
 */
export class EngineCore {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Things the user should know. */
  readonly notices: string[] = [];
  state: DeviceState;
  closed = false;
  private readonly gpu: GPU | undefined;
  private readonly inputs: DeviceStateInputs;
  private rebuilding: Promise<void> | undefined;

  constructor(gpu: GPU | undefined, inputs: DeviceStateInputs, tokenizer: Tokenizer, state: DeviceState) {
    this.gpu = gpu;
    this.inputs = inputs;
    this.config = inputs.config;
    this.tokenizer = tokenizer;
    this.state = state;
  }

  /** Replaces a policy that needs filters where the model has none, and says so once in `notices`. */
  withPolicy(request: CacheRequest): CacheRequest {
    const policy = request.policy ?? DEFAULTS.policy;
    if (this.inputs.filters || !Object.hasOwn(POLICIES, policy) || !POLICIES[policy].usesFilters) return request;
    const notice = `${policy} needs filters calibrated for this model and none were given: k-norm is used instead`;
    if (!this.notices.includes(notice)) this.notices.push(notice);
    return { ...request, policy: "k-norm" };
  }

  /** Throws out_of_memory where a full budget would not fit the limit. */
  checkBudget({ budget }: CacheSettings): void {
    const { memoryLimit } = this.inputs;
    if (budget === "full" || !Number.isFinite(memoryLimit)) return;
    const needed = budgetBytes(this.config, budget);
    const { kv, total } = this.state.gpu.ledger.report();
    if (total - kv + needed <= memoryLimit) return;
    throw new WinnowError(
      "out_of_memory",
      `cache.budget: ${budget} pairs a head take ${needed} bytes beside ${total - kv}, the limit is ${memoryLimit}`,
      { hint: "Lower the cache budget.", details: { needed, memoryLimit } },
    );
  }

  /** Whether the device is lost; waits a little, since work fails before the loss is announced. */
  async isLost(): Promise<boolean> {
    if (this.closed) return false;
    const pause = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), LOST_WAIT_MS));
    return Promise.race([this.state.gpu.device.lost.then(() => true), pause]);
  }

  /** A new device with the weights on it; conversations find their caches gone. Throws device_lost. */
  rebuild(): Promise<void> {
    this.rebuilding ??= this.openAnew().finally(() => {
      this.rebuilding = undefined;
    });
    return this.rebuilding;
  }

  private async openAnew(): Promise<void> {
    try {
      const gpu = await openGpu(this.gpu);
      this.state = await createDeviceState(gpu, this.inputs);
    } catch (cause) {
      throw new WinnowError("device_lost", "the GPU device was lost and could not be opened again", {
        hint: "Reload the page; the conversation's text is kept.",
        cause,
      });
    }
  }
}

/** Bytes of the pages of a sequence whose every head holds `budget` pairs. */
export function budgetBytes(config: ModelConfig, budget: number): number {
  const slot = kvBytesPerToken(config) + config.layers * config.kvHeads * 8;
  return pagesFor(budget) * PAGE_SLOTS * slot;
}
