import type { EngineOptions, InferenceMode } from "../../src/api/types.ts";

/** A server of the user's that may answer in this device's place. */
export interface ServerSettings {
  readonly mode: InferenceMode;
  readonly baseURL: string;
  readonly model: string;
  readonly apiKey: string;
  /** Whether the key outlasts this tab. It is in no export of a chat. */
  readonly keepKey: boolean;
}

const KEY = "winnow-server";

const NONE: ServerSettings = {
  mode: "only-on-device",
  baseURL: "",
  model: "",
  apiKey: "",
  keepKey: false,
};

export function readServer(): ServerSettings {
  try {
    return { ...NONE, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return NONE;
  }
}

/** Keeps the settings on this device; the key only if the user said so. */
export function keepServer(settings: ServerSettings): void {
  const kept = settings.keepKey ? settings : { ...settings, apiKey: "" };
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // Storage is full or refused: they hold as long as the tab.
  }
}

/** Whether a server may be asked at all. */
export const asksServer = ({ mode, baseURL, model }: ServerSettings): boolean =>
  mode !== "only-on-device" && baseURL !== "" && model !== "";

/** Whether a server answers everything, and no model is loaded here. */
export const asksServerAlone = (settings: ServerSettings): boolean =>
  asksServer(settings) && settings.mode === "only-in-cloud";

/** What `createEngine` is told of it. */
export function inferenceOf(settings: ServerSettings): Pick<EngineOptions, "mode" | "remote"> {
  if (!asksServer(settings)) return {};
  const { mode, baseURL, model, apiKey } = settings;
  return { mode, remote: { baseURL, model, ...(apiKey !== "" && { apiKey }) } };
}
