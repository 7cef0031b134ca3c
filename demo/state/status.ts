import type { Usage } from "../../src/api/types.ts";
import type { ChatStore } from "./chat-store.ts";
import type { ChatEntry } from "./chats/chat-types.ts";
import type { EnginePhase } from "./engine-store.ts";

type State = "idle" | "loading" | "ready" | "answering" | "error";

/** What the page is doing, and its words. */
export function statusOf(phase: EnginePhase["kind"], chat: ChatStore): [State, string] {
  const last = chat.entries.at(-1);
  if (phase === "loading") return ["loading", "Loading"];
  if (phase === "failed") return ["error", "Could not load"];
  if (phase === "idle") return ["idle", "No model yet"];
  if (chat.answering) return ["answering", doing(last)];
  return last?.status === "failed" ? ["error", "Answer failed"] : ["ready", "Ready"];
}

function doing(answer: ChatEntry | undefined): string {
  if (answer?.status === "waiting") return "Reading";
  return answer?.text === "" ? "Thinking" : "Answering";
}

/** Seconds to the first token, until the engine's own figure comes with the end of the answer. */
export function firstTokenOf(entries: readonly ChatEntry[]): number | null {
  const last = entries.at(-1);
  return last?.usage ? null : (last?.firstTokenS ?? null);
}

export const lastUsageOf = (entries: readonly ChatEntry[]): Usage | null =>
  entries.findLast(({ usage }) => usage !== undefined)?.usage ?? null;
