import { asWinnowError, closedError, WinnowError } from "../errors.ts";
import { openGpu } from "../gpu/context.ts";
import { createDeviceState, type DeviceState, type DeviceStateInputs } from "./state.ts";

/** Longest wait for a device to say that it is lost, after something failed on it. */
const LOST_WAIT_MS = 500;

/** The device's state, which is replaced as a whole: when the device is lost, or when what it was made from changes. */
export class DeviceHost {
  state: DeviceState;
  /** What the state was made from. */
  inputs: DeviceStateInputs;
  private readonly gpu: GPU | undefined;
  private readonly giveWay: () => boolean;
  private closed = false;
  private rebuilding: Promise<void> | undefined;

  /** `giveWay`: see `KvPoolOptions`. */
  constructor(
    gpu: GPU | undefined,
    inputs: DeviceStateInputs,
    state: DeviceState,
    giveWay: () => boolean,
  ) {
    this.gpu = gpu;
    this.inputs = inputs;
    this.state = state;
    this.giveWay = giveWay;
  }

  /** Throws closed once the engine is closed. */
  checkOpen(): void {
    if (this.closed) throw closedError();
  }

  close(): void {
    this.closed = true;
    this.state.gpu.destroy();
  }

  /** Whether `state` is the one in use, and stays so for the moment. */
  stays(state: DeviceState): boolean {
    return this.state === state && !this.rebuilding;
  }

  /**
   * To be called with the error of a step on `state`: returns where its device was lost, after it has been
   * replaced by a new one with the weights on it; conversations find their caches gone. Rethrows the error
   * where the device is alive, or `again` is false. Throws closed, device_lost.
   */
  async recover(state: DeviceState, error: unknown, again = true): Promise<void> {
    this.checkOpen();
    if (error instanceof WinnowError || !again) throw asWinnowError(error);
    if (this.state === state && !(await isLost(state))) throw asWinnowError(error);
    this.checkOpen();
    await this.replace(state);
  }

  /** Runs `work`, and once more where the device is lost meanwhile. */
  async survive<T>(work: (state: DeviceState) => Promise<T>): Promise<T> {
    const state = this.state;
    try {
      return await work(state);
    } catch (error) {
      await this.recover(state, error);
      return work(this.state);
    }
  }

  /** Replaces `state` by one of the present inputs on a new device. Concurrent callers share one rebuild. */
  async replace(state: DeviceState): Promise<void> {
    if (this.state !== state) return;
    this.rebuilding ??= this.openAnew().finally(() => {
      this.rebuilding = undefined;
    });
    await this.rebuilding;
  }

  /** Makes the state anew from other inputs, once a rebuild that is under way has ended. Throws closed, device_lost. */
  async remake(change: Partial<DeviceStateInputs>): Promise<void> {
    await this.rebuilding;
    this.checkOpen();
    this.inputs = { ...this.inputs, ...change };
    await this.replace(this.state);
  }

  private async openAnew(): Promise<void> {
    try {
      this.state.gpu.destroy();
      const gpu = await openGpu(this.gpu);
      try {
        const { giveWay } = this;
        const state = await createDeviceState(gpu, this.inputs, { giveWay });
        this.checkOpen();
        this.state = state;
      } catch (error) {
        gpu.destroy();
        throw error;
      }
    } catch (cause) {
      this.checkOpen();
      throw new WinnowError(
        "device_lost",
        "the GPU device was lost and could not be opened again",
        {
          hint: "Reload the page; the conversation's text is kept.",
          cause,
        },
      );
    }
  }
}

/** Waits a little, since work fails before the loss is announced. */
async function isLost({ gpu }: DeviceState): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pause = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), LOST_WAIT_MS);
  });
  const lost = await Promise.race([gpu.device.lost.then(() => true), pause]);
  clearTimeout(timer);
  return lost;
}
