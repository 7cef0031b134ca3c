import type { CacheOptions, FinishReason, Usage } from "../../../src/api/types.ts";
import type { WireError } from "../../../src/errors.ts";

/** What the page keeps of an error beside a message. */
export type EntryError = Pick<WireError, "code" | "message" | "hint">;

/** A document whose text goes in front of a question. */
export interface Attachment {
  readonly name: string;
  /** What it is, in words: "PDF, 30 pages". */
  readonly kind: string;
  readonly text: string;
}

/** One question or answer. An entry is never changed in place, so a view can compare by identity. */
export interface ChatEntry {
  /** Grows within a chat. */
  readonly id: number;
  readonly role: "user" | "assistant";
  readonly text: string;
  /** What the model thought before it answered. */
  readonly thought?: string;
  /** waiting: the question is being read, no token yet. */
  readonly status: "done" | "waiting" | "streaming" | "stopped" | "failed";
  readonly attachments?: readonly Attachment[];
  readonly finish?: FinishReason;
  readonly usage?: Usage;
  /** Measured here, since the engine's own figure comes with the end of the answer. */
  readonly firstTokenS?: number;
  readonly error?: EntryError;
}

/** How the answers of a chat are drawn. */
export interface AnswerSettings {
  system: string;
  temperature: number;
  maxTokens: number;
}

export const DEFAULT_ANSWERS: AnswerSettings = { system: "", temperature: 0.7, maxTokens: 512 };

/** A chat without its messages. */
export interface ChatRecord {
  readonly id: string;
  readonly title: string;
  /** The user gave the title, so the first message does not. */
  readonly named: boolean;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly updated: number;
  readonly answers: AnswerSettings;
  /** What the user chose of the cache. What nobody chose is not here: it stays the policy's own. */
  readonly cache: CacheOptions;
}

export interface Chat {
  readonly record: ChatRecord;
  readonly entries: readonly ChatEntry[];
}

const LONGEST_TITLE = 60;

/** The first line of a text, cut between words. */
export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0]!.replace(/\s+/g, " ");
  if (line.length <= LONGEST_TITLE) return line;
  const cut = line.slice(0, LONGEST_TITLE);
  const end = cut.lastIndexOf(" ");
  return `${(end > LONGEST_TITLE / 2 ? cut.slice(0, end) : cut).trimEnd()}…`;
}

/** What the first question, or the document in front of it, is called; "" where there is neither. */
export function titleOfEntries(entries: readonly ChatEntry[]): string {
  const first = entries.find(({ role }) => role === "user");
  return titleOf(first?.text || (first?.attachments?.[0]?.name ?? ""));
}

/** Entries as they are after a reload: what was under way has stopped. */
export const asStored = (entry: ChatEntry): ChatEntry =>
  entry.status === "waiting" || entry.status === "streaming"
    ? { ...entry, status: "stopped" }
    : entry;
