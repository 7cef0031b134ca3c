import { createHash } from "node:crypto";

/** What a request says, from its first message on: a digest of each beginning of it. */
export type History = readonly string[];

/** The beginnings of a chat, as its messages were checked: its first message, its first two, and so on. */
export function historyOf(messages: readonly unknown[]): History {
  const hash = createHash("sha256");
  return messages.map((message) => {
    hash.update(`${JSON.stringify(message)}\n`);
    return hash.copy().digest("base64");
  });
}
