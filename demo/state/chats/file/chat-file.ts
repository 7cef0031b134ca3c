import { messageOf, WinnowError } from "../../../../src/errors.ts";
import { asStored, type Chat } from "../chat-types.ts";
import { FORMAT, readFileChats, VERSION } from "./read-chats.ts";

/** More than a browser can hold as one text. */
const LARGEST_BYTES = 400e6;

/** Chats as one JSON file; the guide describes the format. */
export function writeChatFile(chats: readonly Chat[], now = new Date()): Blob {
  const head = `{"format":"${FORMAT}","version":${VERSION},"exported":"${now.toISOString()}"`;
  // A chat at a time: all of them may be more than one text can hold.
  const texts = chats.map((chat) => JSON.stringify(inFile(chat), null, 1));
  const parts = texts.flatMap((text, i) => (i === 0 ? [text] : [",\n", text]));
  return new Blob([`${head},"chats":[\n`, ...parts, "\n]}\n"], { type: "application/json" });
}

function inFile({ record, entries }: Chat) {
  const { title, named, created, updated, answers, cache } = record;
  return {
    title,
    named,
    created: new Date(created).toISOString(),
    updated: new Date(updated).toISOString(),
    ...answers,
    cache,
    messages: entries.map(asStored).map(({ id: _, ...message }) => message),
  };
}

/** The chats of a file, each with a new id. Throws invalid_argument: what is wrong, and where. */
export async function readChatFile(file: Blob): Promise<Chat[]> {
  if (file.size > LARGEST_BYTES)
    throw refused(`it has ${Math.round(file.size / 1e6)} MB, and at most 400 MB are read`);
  let value: unknown;
  try {
    value = JSON.parse(await file.text());
  } catch (cause) {
    throw refused("it is not JSON", cause);
  }
  try {
    return readFileChats(value);
  } catch (cause) {
    throw refused(messageOf(cause), cause);
  }
}

const refused = (problem: string, cause?: unknown): WinnowError =>
  new WinnowError("invalid_argument", `The file was not imported: ${problem}.`, {
    hint: "Choose a file that this page has exported.",
    cause,
  });
