import type { SavedChat } from "../../src/api/types.ts";
import { invalidArgument, WinnowError } from "../../src/errors.ts";
import type { ChatMessage } from "../../src/text/types.ts";

/** The model that saved chats are of: `model=NAME` loads another one. */
const MODEL = new URLSearchParams(location.search).get("model") ?? "SmolLM2-135M-Instruct";

/** What a saved chat holds. Without `last` and `tokens` it has seen the messages, as a file of `winnow read`. */
interface FakeChat {
  readonly last?: string[];
  /** Those in the cache. */
  readonly tokens?: string[];
  readonly messages: ChatMessage[];
}

export function writeFakeChat(chat: FakeChat): Blob {
  if (chat.last?.length === 0)
    throw invalidArgument("conversation", "nothing of it is in the cache");
  return new Blob(["saved chat\n", JSON.stringify({ ...chat, model: MODEL })]);
}

export async function readFakeChat(source: SavedChat): Promise<FakeChat> {
  const [head, text = ""] = (await (source as Blob).text()).split("\n");
  if (head !== "saved chat")
    throw new WinnowError("bad_cache_file", "format: is no saved chat.", {
      hint: "Choose a file that was made by cache.save.",
    });
  const { model, ...chat } = JSON.parse(text);
  if (model !== MODEL)
    throw new WinnowError(
      "bad_cache_file",
      `model_sha256: the chat is of ${model}, the engine has ${MODEL}.`,
      {
        hint: "Load it into an engine with the model that it was saved with.",
      },
    );
  return chat;
}

export const wordsOf = (messages: readonly ChatMessage[]): string[] =>
  messages.flatMap(({ role, content }) => [`${role}\n`, ...split(content), "\n"]);

export const split = (text: string): string[] =>
  text.match(/\s*[\p{L}\p{N}]{1,6}|\s*[^\p{L}\p{N}\s]|\s+/gu) ?? [];
