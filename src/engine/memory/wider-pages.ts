import type { CacheSettings } from "../../cache/budget.ts";
import type { DeviceHost } from "../device-host.ts";
import type { DeviceState, DeviceStateInputs } from "../state.ts";
import { excess, type Held } from "./excess.ts";

/** The part of the engine's core that this looks at. */
interface Core extends Held {
  readonly host: DeviceHost;
  readonly model: DeviceStateInputs;
  readonly storageChosen: boolean;
  notice(text: string): void;
}

/** See `EngineCore.widen`: `cut` is above 0. */
export async function widerPages(
  core: Core,
  state: DeviceState,
  cut: number,
  settings: CacheSettings,
): Promise<boolean> {
  if (core.host.stays(state)) {
    const cuts = `${cut} keys and values of this model are larger than f16 holds (65504)`;
    if (core.storageChosen || excess(core, "f32", settings)) {
      core.notice(`${cuts} and were cut, which harms answers: use cache.kv "f32" or "q8"`);
      return false;
    }
    core.notice(`${cuts}: they are stored as f32, in twice the memory; cache.kv "q8" takes less`);
    core.host.inputs = { ...core.model, storage: "f32" };
  }
  await core.host.replace(state);
  return true;
}
