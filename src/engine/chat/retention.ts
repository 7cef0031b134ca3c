import { tokenHolders } from "../../cache/token-holders.ts";
import type { EngineCore } from "../core.ts";
import type { Retention } from "./cache-usage.ts";
import type { Place } from "./place.ts";

/** See `Retention`. After the loss of the device nothing is kept until the next turn. */
export async function retention(core: EngineCore, place: Place): Promise<Retention> {
  const { ids, kept } = await core.host.survive(async ({ runner }) => {
    await runner.compiled({ retention: true });
    const { seen, alive } = place;
    const ids = [...seen];
    const kept = alive
      ? Array.from(await tokenHolders(runner.compressor, alive)).slice(0, ids.length)
      : new Array<number>(ids.length).fill(0);
    return { ids, kept };
  });
  const tokens = ids.map((id) => core.tokenizer.decode([id], { special: true }));
  return { heads: core.globalLayers.length * core.config.kvHeads, tokens, kept };
}
