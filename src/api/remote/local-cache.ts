import { WinnowError } from "../../errors.ts";
import type { Engine } from "../types.ts";

/** The error of what a server has no part of. */
export const notOnDevice = (what: string): WinnowError =>
  new WinnowError(
    "not_on_device",
    `${what}: requests are answered by a server, which keeps its cache to itself`,
    {
      hint: "engine.info().inference says where answers come from, and why.",
    },
  );

/** `engine.cache` of the engine on this device, where there is one. A chat elsewhere has nothing to forget. */
export function localCache(local: () => Engine | undefined): Engine["cache"] {
  const here = (what: string): Engine["cache"] => {
    const engine = local();
    if (engine) return engine.cache;
    throw notOnDevice(`cache.${what}`);
  };
  return {
    usage: (options) => here("usage").usage(options),
    configure: async (...given) => here("configure").configure(...given),
    read: async (...given) => here("read").read(...given),
    retention: async (options) => here("retention").retention(options),
    reset: async (options) => local()?.cache.reset(options),
    save: async (options) => here("save").save(options),
    load: async (...given) => here("load").load(...given),
    fork: async (...given) => here("fork").fork(...given),
  };
}
