import { closedError, WinnowError } from "../../errors.ts";
import { BlobSource } from "../../formats/blob-source.ts";
import { readAhead } from "../../formats/read-ahead.ts";
import type { ChatMessage as TemplateMessage } from "../../text/types.ts";
import type { Restored } from "../protocol.ts";
import type { ChatMessage } from "../types.ts";
import type { OpenedEngine, OpenedFile } from "./opened-engine.ts";

/** Bytes that a request asks for, at least: layers are small. */
const REQUEST_BYTES = 8 * 2 ** 20;

/** Makes a conversation go on from a saved chat. Throws bad_cache_file, network, out_of_memory, aborted, closed. */
export async function loadChat(
  opened: OpenedEngine | undefined,
  conversation: string,
  source: Blob | string,
  signal: AbortSignal,
): Promise<Pick<Restored, "messages" | "asked">> {
  if (!opened) throw closedError();
  const { engine } = opened;
  const file =
    typeof source === "string"
      ? await openFile(opened, source, signal)
      : new BlobSource(source, "name" in source ? String(source.name) : "the saved chat");
  try {
    await engine.load(conversation, readAhead(file, REQUEST_BYTES), signal);
  } finally {
    if ("close" in file) await file.close?.();
  }
  const { messages = [], asked } = engine.conversation(conversation);
  return { messages: messages.map(asRequested), asked };
}

/** A message as requests have it. */
const asRequested = ({ tool_calls: calls, ...message }: TemplateMessage): ChatMessage => ({
  ...message,
  ...(calls && {
    tool_calls: calls.map(({ function: { name, arguments: given }, ...call }) => ({
      ...call,
      function: { name, arguments: JSON.stringify(given) },
    })),
  }),
});

async function openFile(
  opened: OpenedEngine,
  address: string,
  signal: AbortSignal,
): Promise<OpenedFile> {
  try {
    return await opened.openFile(address, signal);
  } catch (cause) {
    if (!(cause instanceof WinnowError) || cause.code !== "model_not_found") throw cause;
    throw new WinnowError("bad_cache_file", cause.message, {
      hint: "Check the address of the saved chat.",
      details: { ...cause.details, field: "source" },
      cause,
    });
  }
}
