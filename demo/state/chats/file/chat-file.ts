import { messageOf, WinnowError } from "../../../../src/errors.ts";
import { asStored } from "../chat-types.ts";
import { type FileChat, FORMAT, readFileChats, VERSION } from "./read-chats.ts";

/** More than a browser can hold as one text. */
const LARGEST_BYTES = 400e6;
const PIECE_BYTES = 2 ** 22;

/** Ends the JSON, where what was read of chats follows it: no JSON has this byte. */
const END = 0;

/**
 * Chats as one JSON file, and behind it what the model has read of those that have it; the guide describes the format.
 */
export function writeChatFile(chats: readonly FileChat[], now = new Date()): Blob {
  const head = `{"format":"${FORMAT}","version":${VERSION},"exported":"${now.toISOString()}"`;
  // A chat at a time: all of them may be more than one text can hold.
  const texts = chats.map((chat) => JSON.stringify(inFile(chat), null, 1));
  const parts = texts.flatMap((text, i) => (i === 0 ? [text] : [",\n", text]));
  const json = [`${head},"chats":[\n`, ...parts, "\n]}\n"];
  const read = chats.flatMap(({ read }) => (read === undefined ? [] : [read]));
  if (read.length === 0) return new Blob(json, { type: "application/json" });
  return new Blob([...json, Uint8Array.of(END), ...read]);
}

function inFile({ record, entries, read }: FileChat) {
  const { title, named, created, updated, answers, cache } = record;
  return {
    title,
    named,
    created: new Date(created).toISOString(),
    updated: new Date(updated).toISOString(),
    ...answers,
    cache,
    ...(read !== undefined && { read: read.size }),
    messages: entries.map(asStored).map(({ id: _, ...message }) => message),
  };
}

/** The chats of a file, each with a new id. Throws invalid_argument: what is wrong, and where. */
export async function readChatFile(file: Blob): Promise<FileChat[]> {
  const length = await jsonLength(file);
  let value: unknown;
  try {
    value = JSON.parse(await file.slice(0, length).text());
  } catch (cause) {
    throw refused("it is not JSON", cause);
  }
  try {
    return readFileChats(value, file.slice(length + 1));
  } catch (cause) {
    throw refused(messageOf(cause), cause);
  }
}

/** Bytes of the JSON. */
async function jsonLength(file: Blob): Promise<number> {
  for (let at = 0; at < file.size; at += PIECE_BYTES) {
    if (at > LARGEST_BYTES)
      throw refused(`its chats have more than ${Math.round(LARGEST_BYTES / 1e6)} MB`);
    const piece = new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer());
    const end = piece.indexOf(END);
    if (end >= 0) return at + end;
  }
  return file.size;
}

const refused = (problem: string, cause?: unknown): WinnowError =>
  new WinnowError("invalid_argument", `The file was not imported: ${problem}.`, {
    hint: "Choose a file that this page has exported.",
    cause,
  });
