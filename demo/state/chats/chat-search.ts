import type { ChatArchive } from "./chat-archive.ts";
import type { ChatEntry, ChatRecord } from "./chat-types.ts";

/** A chat that has all words, and where: a piece of its text, or "" where the title has them. */
export interface Found {
  readonly id: string;
  readonly excerpt: string;
}

const BEFORE = 24;
const LENGTH = 90;

const fold = (text: string): string => text.toLocaleLowerCase();

/** The chats whose title has all words of `query`, or one of whose messages or documents has. */
export async function searchChats(
  archive: Pick<ChatArchive, "scan">,
  chats: readonly ChatRecord[],
  query: string,
): Promise<Found[]> {
  const words = fold(query).split(/\s+/).filter(Boolean);
  if (words.length === 0) return chats.map(({ id }) => ({ id, excerpt: "" }));
  const inTitle = chats.filter(({ title }) => hasAll(fold(title), words));
  const found = new Map(inTitle.map(({ id }) => [id, ""]));
  await archive.scan((chat, entry) => {
    if (found.has(chat)) return;
    const text = textsOf(entry).find((text) => hasAll(fold(text), words));
    if (text !== undefined) found.set(chat, excerptOf(text, words));
  });
  return chats.filter(({ id }) => found.has(id)).map(({ id }) => ({ id, excerpt: found.get(id)! }));
}

const hasAll = (text: string, words: readonly string[]): boolean =>
  words.every((word) => text.includes(word));

const textsOf = ({ text, attachments = [] }: ChatEntry): string[] => [
  text,
  ...attachments.flatMap((attachment) => [attachment.name, attachment.text]),
];

function excerptOf(text: string, words: readonly string[]): string {
  const at = Math.max(0, fold(text).indexOf(words[0]!) - BEFORE);
  const piece = text
    .slice(at, at + LENGTH)
    .replace(/\s+/g, " ")
    .trim();
  return `${at > 0 ? "…" : ""}${piece}${at + LENGTH < text.length ? "…" : ""}`;
}
