import { END_SPELLINGS, isMarker } from "../template/marker-tokens.ts";
import {
  badMetadata,
  checkLength,
  type GgufMetadata,
  readBoolean,
  readId,
  readNumbers,
  readString,
  readStrings,
} from "./gguf-fields.ts";

/** `tokenizer.ggml.token_type`, by llama.cpp's numbers. */
export const TOKEN_TYPE = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** The tokens of a model, whatever algorithm cuts text into them. */
export interface Vocabulary {
  /** `tokenizer.ggml.model`: "gpt2" writes tokens in the byte alphabet, the others in text with U+2581. */
  readonly model: string;
  /** Token spellings as the file has them, V of them. */
  readonly tokens: readonly string[];
  /** V token types. */
  readonly types: Uint8Array;
  /** Spelling -> id; the last one where a spelling repeats. */
  readonly ids: ReadonlyMap<string, number>;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly endTokens: ReadonlySet<number>;
  /** [bos] where a text of its own begins with it, else []. */
  readonly prefix: readonly number[];
  /** What was passed over, one sentence each. */
  readonly notices: readonly string[];
}

/** Stands for a space in vocabularies of SentencePiece. */
export const SPACE_MARK = "\u2581";

const MAX_TOKENS = 1 << 24;

/**
 * Reads and checks the vocabulary.
 * @throws bad_model_file, naming the key, if it is missing, of the wrong kind or inconsistent.
 */
export function readVocabulary(metadata: GgufMetadata): Vocabulary {
  const model = readString(metadata, "tokenizer.ggml.model");
  if (model === undefined) throw badMetadata("tokenizer.ggml.model", "is missing");
  const tokens = readStrings(metadata, "tokenizer.ggml.tokens");
  if (tokens === undefined) throw badMetadata("tokenizer.ggml.tokens", "is missing");
  if (tokens.length === 0 || tokens.length > MAX_TOKENS)
    throw badMetadata("tokenizer.ggml.tokens", `has ${tokens.length} entries`);
  const notices: string[] = [];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const id = (name: string) => readId(metadata, `tokenizer.ggml.${name}`, tokens.length, notices);
  const [bos, eos, unknown] = [id("bos_token_id"), id("eos_token_id"), id("unknown_token_id")];
  const types =
    readTypes(metadata, tokens, notices) ?? guessTypes(model, tokens, { bos, eos, unknown });
  const template = readString(metadata, "tokenizer.chat_template");
  tokens.forEach((token, id) => {
    const isText = types[id] === TOKEN_TYPE.normal || types[id] === TOKEN_TYPE.userDefined;
    if (isText && isMarker(token, template)) types[id] = TOKEN_TYPE.control;
  });

  const endTokens = new Set<number>();
  for (const end of [eos, id("eot_token_id"), id("eom_token_id")])
    if (end !== undefined) endTokens.add(end);
  const ends = Array.from(readNumbers(metadata, "tokenizer.ggml.eos_token_ids") ?? []);
  for (const end of ends) if (tokens[end] !== undefined) endTokens.add(end);
  for (const spelling of END_SPELLINGS) {
    const end = ids.get(spelling);
    if (end === undefined || !isWholeToken(types[end]!)) continue;
    // Gemma has user-defined tokens for HTML, "</s>" among them: that one strikes text through.
    if (spelling === "</s>" && types[end] !== TOKEN_TYPE.control) continue;
    endTokens.add(end);
  }
  const prefix = addsBos(metadata, model) && bos !== undefined ? [bos] : [];
  return { model, tokens, types, ids, bos, eos, unknown, endTokens, prefix, notices };
}

/** Where the file does not say so, as llama.cpp: SentencePiece and Llama 3 begin with bos, others do not. */
const addsBos = (metadata: GgufMetadata, model: string): boolean =>
  readBoolean(metadata, "tokenizer.ggml.add_bos_token") ??
  (model === "llama" ||
    /^(llama-?(bpe|v?3)|falcon3|falcon-h1|pixtral|midm-2\.0|lfm2|jina-v5-nano|tekken)$/.test(
      readString(metadata, "tokenizer.ggml.pre") ?? "",
    ));

/** Control and user-defined tokens: matched whole, never made by merging. */
const isWholeToken = (type: number): boolean =>
  type === TOKEN_TYPE.control || type === TOKEN_TYPE.userDefined;

/** Spellings of all tokens of the given type. */
export function spellingsOf(vocabulary: Vocabulary, type: number): string[] {
  return vocabulary.tokens.filter((_, id) => vocabulary.types[id] === type);
}

/**
 * A run of spaces that a SentencePiece vocabulary lists as user-defined (Gemma has them from 2 to 31): such
 * tokens take part in merging, before all others, so that 32 spaces are twice 16 as in `transformers`.
 * A GGUF spells them with real spaces.
 */
export const isSpaceRun = ({ model, tokens, types }: Vocabulary, id: number): boolean =>
  model !== "gpt2" && types[id] === TOKEN_TYPE.userDefined && /^[ \u2581]{2,}$/.test(tokens[id]!);

/** "<0x0A>" -> 10. */
export function byteOfSpelling(token: string): number | undefined {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  return match === null ? undefined : Number.parseInt(match[1]!, 16);
}

/** What the file says, or undefined where it says nothing. */
function readTypes(
  metadata: GgufMetadata,
  tokens: readonly string[],
  notices: string[],
): Uint8Array | undefined {
  const count = tokens.length;
  const key = "tokenizer.ggml.token_type";
  const values = readNumbers(metadata, key);
  if (values === undefined) return undefined;
  checkLength(key, values.length, count);
  const types = new Uint8Array(count).fill(TOKEN_TYPE.normal);
  let others = 0;
  for (let id = 0; id < count; id++) {
    const type = values[id]!;
    if (!Number.isInteger(type)) throw badMetadata(key, `token ${id} has type ${type}`);
    if (type === TOKEN_TYPE.byte && byteOfSpelling(tokens[id]!) === undefined)
      throw badMetadata(key, `token ${id} is a byte, but is spelled "${tokens[id]}", not <0xNN>`);
    if (type >= TOKEN_TYPE.normal && type <= TOKEN_TYPE.byte) types[id] = type;
    else others++;
  }
  if (others > 0)
    notices.push(`${key}: ${others} tokens have a type outside 1 to 6 and count as normal`);
  return types;
}

function guessTypes(
  model: string,
  tokens: readonly string[],
  { bos, eos, unknown }: Pick<Vocabulary, "bos" | "eos" | "unknown">,
): Uint8Array {
  const isByte = (token: string) => model !== "gpt2" && byteOfSpelling(token) !== undefined;
  const types = Uint8Array.from(tokens, (token) =>
    isByte(token) ? TOKEN_TYPE.byte : TOKEN_TYPE.normal,
  );
  for (const id of [bos, eos]) if (id !== undefined) types[id] = TOKEN_TYPE.control;
  if (unknown !== undefined) types[unknown] = TOKEN_TYPE.unknown;
  return types;
}
