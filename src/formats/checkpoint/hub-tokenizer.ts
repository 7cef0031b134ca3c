import { WinnowError } from "../../errors.ts";
import type { GgufValue } from "../gguf/gguf-metadata.ts";
import { PIPELINE } from "./pipeline-key.ts";

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const unsupported = (field: string, problem: string): WinnowError =>
  new WinnowError("unsupported_model", `tokenizer.json: ${field}: ${problem}`, {
    hint: "Use a GGUF of this model, which names its tokenizer.",
    details: { file: "tokenizer.json", field },
  });

const damaged = (field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `tokenizer.json: ${field}: ${problem}`, {
    hint: "Get tokenizer.json again from the repository that has the weights.",
    details: { file: "tokenizer.json", field },
  });

/** Token types of llama.cpp. */
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6];

/**
 * tokenizer.json (and tokenizer_config.json, and the ends of generation_config.json) under a GGUF's keys; how a text is
 * cut stands under a key of its own, PIPELINE.
 * @throws unsupported_model for another kind; bad_model_file for a damaged one; both name the field.
 */
export function tokenizerMetadata(
  tokenizer: unknown,
  tokenizerConfig: unknown,
  config: {
    readonly bos_token_id?: unknown;
    readonly eos_token_id?: unknown;
    readonly vocab_size?: unknown;
  },
  generationConfig?: unknown,
): Map<string, GgufValue> {
  if (!isObject(tokenizer)) throw damaged("file", "is not an object");
  const model = tokenizer.model;
  if (!isObject(model) || !isObject(model.vocab)) throw damaged("model.vocab", "is missing");
  if (model.type !== undefined && model.type !== "BPE")
    throw unsupported("model.type", `"${String(model.type)}" is not BPE`);
  const byteFallback = model.byte_fallback === true;
  const { tokens, types, outside } = readTokens(
    model,
    tokenizer.added_tokens,
    config.vocab_size,
    byteFallback,
  );
  const out = new Map<string, GgufValue>([
    ["tokenizer.ggml.model", spellingOf(tokenizer)],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", types],
    ["tokenizer.ggml.merges", readMerges(model.merges)],
    [PIPELINE, pipelineOf(tokenizer, model, outside)],
  ]);
  const put = (key: string, id: unknown): void => {
    if (typeof id === "number") out.set(`tokenizer.ggml.${key}`, id);
  };
  const named = isObject(tokenizerConfig) ? tokenizerConfig : {};
  const idOf = (value: unknown): number | undefined => {
    const spelling = isObject(value) ? value.content : value;
    const id = typeof spelling === "string" ? tokens.indexOf(spelling) : -1;
    return id === -1 ? undefined : id;
  };
  const generation = isObject(generationConfig) ? generationConfig : {};
  const ends = [config.eos_token_id, generation.eos_token_id].flat();
  put("bos_token_id", idOf(named.bos_token) ?? config.bos_token_id);
  put("eos_token_id", idOf(named.eos_token) ?? ends.find((id) => typeof id === "number"));
  const numbers = ends.filter((id): id is number => typeof id === "number" && Number.isInteger(id));
  out.set("tokenizer.ggml.eos_token_ids", Int32Array.from(numbers));
  put("unknown_token_id", idOf(model.unk_token));
  const bos = tokens[Number(out.get("tokenizer.ggml.bos_token_id"))];
  const addsBos = named.add_bos_token ?? beginsWith(tokenizer.post_processor, bos);
  out.set("tokenizer.ggml.add_bos_token", addsBos === true);
  const template = templateOf(named.chat_template);
  if (template !== undefined) out.set("tokenizer.chat_template", template);
  return out;
}

/** tokenizer.json without what stands under a GGUF's keys. */
const pipelineOf = (tokenizer: Json, model: Json, outside: readonly number[]): string =>
  JSON.stringify({
    ...tokenizer,
    model: { ...model, vocab: undefined, merges: undefined },
    outside_model: outside,
  });

/** Some files list several templates by name. */
function templateOf(given: unknown): string | undefined {
  if (typeof given === "string") return given;
  const list = Array.isArray(given) ? (given as unknown[]).filter(isObject) : [];
  const { template } = list.find(({ name }) => name === "default") ?? {};
  return typeof template === "string" ? template : undefined;
}

function readTokens(model: Json, added: unknown, size: unknown, byteFallback: boolean) {
  const spellings = new Map<number, { token: string; type: number }>();
  const put = (token: string, id: unknown, type: number): void => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= 1 << 24)
      throw damaged("model.vocab", `"${token}" has id ${String(id)}`);
    spellings.set(id, { token, type });
  };
  for (const [token, id] of Object.entries(model.vocab as Json)) {
    const isByte = byteFallback && /^<0x[0-9A-Fa-f]{2}>$/.test(token);
    put(token, id, isByte ? BYTE : token === model.unk_token ? UNKNOWN : NORMAL);
  }
  if (added !== undefined && !Array.isArray(added)) throw damaged("added_tokens", "is not a list");
  for (const entry of (added ?? []) as unknown[]) {
    if (!isObject(entry) || typeof entry.content !== "string")
      throw damaged("added_tokens", "has an entry without content");
    const type =
      entry.content === model.unk_token ? UNKNOWN : entry.special === true ? CONTROL : USER_DEFINED;
    put(entry.content, entry.id, type);
  }
  const outside = [...spellings].flatMap(([id, { token }]) =>
    Object.hasOwn(model.vocab as Json, token) ? [] : [id],
  );
  const highest = [...spellings.keys()].reduce((most, id) => Math.max(most, id), -1);
  const count = Math.max(highest + 1, typeof size === "number" ? size : 0);
  // Embeddings are often padded past the last token.
  const at = (id: number) => spellings.get(id) ?? { token: `[PAD${id}]`, type: UNUSED };
  return {
    outside,
    tokens: Array.from({ length: count }, (_, id) => at(id).token),
    types: Int32Array.from({ length: count }, (_, id) => at(id).type),
  };
}

/** Older files write a merge as "a b", newer ones as ["a", "b"]. */
function readMerges(merges: unknown): string[] {
  if (!Array.isArray(merges)) throw damaged("model.merges", "is not a list");
  return merges.map((merge: unknown, i) => {
    if (typeof merge === "string") return merge;
    const [left, right] = Array.isArray(merge) ? (merge as unknown[]) : [];
    if (typeof left === "string" && typeof right === "string") return `${left} ${right}`;
    throw damaged(`model.merges[${i}]`, "is not two tokens");
  });
}

/** Whether a text of its own begins with the token: the first of a `TemplateProcessing`. */
function beginsWith(post: unknown, spelling: unknown): boolean {
  if (!isObject(post)) return false;
  if (Array.isArray(post.processors))
    return post.processors.some((one: unknown) => beginsWith(one, spelling));
  const [first] = Array.isArray(post.single) ? (post.single as unknown[]) : [];
  const special = isObject(first) ? first.SpecialToken : undefined;
  return isObject(special) && special.id === spelling;
}

/** How its tokens are written: "gpt2" in the byte alphabet, "llama" with U+2581 for a space. */
function spellingOf({ decoder, pre_tokenizer: pre, normalizer }: Json): "gpt2" | "llama" {
  const parts = decoder ? [decoder] : [pre, normalizer];
  return parts.some((part) => mentions(part, "ByteLevel")) ? "gpt2" : "llama";
}

const mentions = (value: unknown, type: string): boolean =>
  JSON.stringify(value ?? null).includes(`"type":"${type}"`);
