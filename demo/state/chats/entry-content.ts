import type { ChatMessage } from "../../../src/text/types.ts";
import type { Attachment, ChatEntry } from "./chat-types.ts";

/** What the model reads of an entry: documents first, so that the question is told right before the answer. */
export function contentOf({
  text,
  attachments = [],
}: Pick<ChatEntry, "text" | "attachments">): string {
  const documents = attachments.map(
    ({ name, text }) => `Document "${name}":\n\n${text}\n\nEnd of "${name}".`,
  );
  return [...documents, text].filter((part) => part !== "").join("\n\n");
}

const DOCUMENT = /^Document "([^\n]*?)":\n\n([\s\S]*?)\n\nEnd of "\1"\.(?:\n\n|$)/;

/** The entry of a message that was read, with the documents in front of it, such that `contentOf` gives the message again. */
export function entryOf(message: ChatMessage, id: number): ChatEntry {
  const role = message.role === "assistant" ? "assistant" : "user";
  const attachments: Attachment[] = [];
  let text = message.content;
  for (let found = DOCUMENT.exec(text); role === "user" && found; found = DOCUMENT.exec(text)) {
    const [whole, name, words] = found;
    attachments.push({ name: name!, kind: "document", text: words! });
    text = text.slice(whole.length);
  }
  const apart = { text, attachments };
  const entry = { id, role, status: "done" } as const;
  const same = attachments.length > 0 && contentOf(apart) === message.content;
  return same ? { ...entry, ...apart } : { ...entry, text: message.content };
}
