import {
  checkBoolean,
  checkNumber,
  checkOneOf,
  checkString,
  describe,
  isGiven,
  splitFields,
} from "../../../../src/api/checks/check.ts";
import { checkCacheOptions } from "../../../../src/api/checks/check-cache.ts";
import { REQUEST_LIMITS } from "../../../../src/api/checks/validate-request.ts";
import type { Usage } from "../../../../src/api/types.ts";
import { ERROR_CODES, invalidArgument, messageOf } from "../../../../src/errors.ts";
import {
  type Attachment,
  type Chat,
  type ChatEntry,
  type EntryError,
  titleOf,
} from "../chat-types.ts";

export const FORMAT = "winnow-chats";
export const VERSION = 1;

const STATUSES = ["done", "stopped", "failed"] as const;
const LATEST_DATE = 8.64e15;

type Fields = Record<string, unknown>;

/** A chat in a file, with what the model has read of it where that is there. */
export interface FileChat extends Chat {
  readonly read?: Blob;
}

/**
 * The chats of a file's JSON, each with a new id; `caches` is what follows the JSON. What is not known is passed over.
 * Throws invalid_argument.
 */
export function readFileChats(value: unknown, caches: Blob): FileChat[] {
  const file = fieldsOf("The file", value, ["format", "version", "chats"]);
  if (file.format !== FORMAT)
    throw invalidArgument(
      "format",
      `this is no file of chats, whose "format" would be "${FORMAT}", not ${describe(file.format)}`,
    );
  const version = checkNumber("version", file.version, { min: 1, max: 2 ** 31, integer: true });
  if (version > VERSION)
    throw invalidArgument(
      "version",
      `the file has format version ${version}, and this page reads up to ${VERSION}; a newer page may read it`,
    );
  let offset = 0;
  return arrayOf("chats", file.chats).map((chat, i) => {
    const at = `chats[${i}]`;
    const { bytes, ...found } = readChat(at, chat);
    if (bytes === 0) return found;
    const read = caches.slice(offset, offset + bytes);
    offset += bytes;
    if (read.size === bytes) return { ...found, read };
    throw invalidArgument(`${at}.read`, `the file is cut short: ${bytes} bytes belong here`);
  });
}

/** `bytes`: how long what was read of it is. */
function readChat(at: string, value: unknown): Chat & { bytes: number } {
  const known = "title named created updated system temperature maxTokens cache read messages";
  const chat = fieldsOf(at, value, known.split(" "));
  const entries = arrayOf(`${at}.messages`, chat.messages).map((message, i) =>
    readMessage(`${at}.messages[${i}]`, i + 1, message),
  );
  const created = readDate(`${at}.created`, chat.created);
  return {
    record: {
      id: crypto.randomUUID(),
      title: titleOf(checkString(`${at}.title`, chat.title)) || "Imported chat",
      named: isGiven(chat.named) && checkBoolean(`${at}.named`, chat.named),
      created,
      updated: isGiven(chat.updated) ? readDate(`${at}.updated`, chat.updated) : created,
      answers: {
        system: isGiven(chat.system) ? readText(`${at}.system`, chat.system) : "",
        temperature: checkNumber(
          `${at}.temperature`,
          chat.temperature ?? 0.7,
          REQUEST_LIMITS.temperature,
        ),
        maxTokens: checkNumber(`${at}.maxTokens`, chat.maxTokens ?? 512, REQUEST_LIMITS.max_tokens),
      },
      cache: readCache(`${at}.cache`, chat.cache),
    },
    entries,
    bytes: checkNumber(`${at}.read`, chat.read ?? 0, {
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
      integer: true,
    }),
  };
}

function readMessage(at: string, id: number, value: unknown): ChatEntry {
  const known = "role text thought status attachments finish usage firstTokenS error";
  const message = fieldsOf(at, value, known.split(" "));
  const { thought, attachments, finish, usage, firstTokenS, error } = message;
  return {
    id,
    role: checkOneOf(`${at}.role`, message.role, ["user", "assistant"]),
    text: readText(`${at}.text`, message.text),
    ...(isGiven(thought) && { thought: readText(`${at}.thought`, thought) }),
    status: checkOneOf(`${at}.status`, message.status ?? "done", STATUSES),
    ...(isGiven(attachments) && {
      attachments: arrayOf(`${at}.attachments`, attachments).map((attachment, i) =>
        readAttachment(`${at}.attachments[${i}]`, attachment),
      ),
    }),
    ...(isGiven(finish) && { finish: checkOneOf(`${at}.finish`, finish, ["stop", "length"]) }),
    ...(isGiven(usage) && { usage: readUsage(`${at}.usage`, usage) }),
    ...(isGiven(firstTokenS) && { firstTokenS: amount(`${at}.firstTokenS`, firstTokenS) }),
    ...(isGiven(error) && { error: readError(`${at}.error`, error) }),
  };
}

function readAttachment(at: string, value: unknown): Attachment {
  const { name, kind, text } = fieldsOf(at, value, ["name", "kind", "text"]);
  return {
    name: checkString(`${at}.name`, name),
    kind: checkString(`${at}.kind`, kind),
    text: readText(`${at}.text`, text),
  };
}

function readUsage(at: string, value: unknown): Usage {
  const usage = fieldsOf(at, value, [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "extra",
  ]);
  const numbers = <K extends string>(path: string, fields: unknown, ...names: K[]) => {
    const given = fieldsOf(path, fields, names);
    return Object.fromEntries(
      names.map((name) => [name, amount(`${path}.${name}`, given[name])]),
    ) as Record<K, number>;
  };
  return {
    ...numbers(at, usage, "prompt_tokens", "completion_tokens", "total_tokens"),
    prompt_tokens_details: numbers(
      `${at}.prompt_tokens_details`,
      usage.prompt_tokens_details,
      "cached_tokens",
    ),
    extra: numbers(
      `${at}.extra`,
      usage.extra,
      "prefill_tokens_per_s",
      "decode_tokens_per_s",
      "time_to_first_token_s",
    ),
  };
}

function readError(at: string, value: unknown): EntryError {
  const { code, message, hint } = fieldsOf(at, value, ["code", "message", "hint"]);
  return {
    code: checkOneOf(`${at}.code`, code, ERROR_CODES),
    message: readText(`${at}.message`, message),
    hint: isGiven(hint) ? readText(`${at}.hint`, hint) : "",
  };
}

/** Throws what the cache says of settings that it does not take, with their place in the file. */
function readCache(at: string, value: unknown): Chat["record"]["cache"] {
  if (!isGiven(value)) return {};
  const given = fieldsOf(at, value, [
    "budget",
    "policy",
    "window",
    "sinks",
    "wholeLayers",
    "protect",
    "reread",
  ]);
  try {
    return checkCacheOptions(given);
  } catch (thrown) {
    // The message begins with the name that the option has in the API.
    const [, field = "", problem = ""] = /^cache([\w.]*): (.*)$/s.exec(messageOf(thrown)) ?? [];
    throw invalidArgument(`${at}${field}`, problem);
  }
}

const fieldsOf = (at: string, value: unknown, known: readonly string[]): Fields =>
  splitFields(at, value, known).fields;

function arrayOf(at: string, value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw invalidArgument(at, `must be a list, not ${describe(value)}`);
}

function readText(at: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw invalidArgument(at, `must be a text, not ${describe(value)}`);
}

const amount = (at: string, value: unknown): number =>
  checkNumber(at, value, { min: 0, max: Number.MAX_VALUE });

function readDate(at: string, value: unknown): number {
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Math.abs(time) <= LATEST_DATE) return time;
  throw invalidArgument(at, `must be a date such as 2026-11-30T08:00:00Z, not ${describe(value)}`);
}
