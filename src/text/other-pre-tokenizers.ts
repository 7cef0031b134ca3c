/** Pre-tokenizers of families whose files are met less often, by the names llama.cpp gives them. */
import { badMetadata, type GgufMetadata, readStrings } from "./gguf/gguf-fields.ts";
import { createGgufTokenizer, type GgufTokenizer } from "./gguf/gguf-tokenizer.ts";
import {
  CONTRACTION,
  GPT2_WORDS,
  type PreTokenizer,
  preTokenizerNamed,
  SINGLE_DIGITS,
  words,
} from "./pre-tokenizer.ts";

const MERGES = "tokenizer.ggml.merges";
const S = "\\p{White_Space}";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const SPACES = `${S}*[\\r\\n]+|${S}+(?!\\P{White_Space})|${S}+`;

/** Words that begin in capitals or not, with their contraction where `ending` is one. */
const cased = (ending: string, digits: string): RegExp =>
  new RegExp(
    `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${ending}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${ending}` +
      `|${digits}| ?[^${S}\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
    "gu",
  );
const THREE_DIGITS = /\p{N}{1,3}/gu;
const HAN_AND_KANA = /[一-龥぀-ゟ゠-ヿ]+/gu;
const MARKS_AND_LETTERS = new RegExp(
  "[!\"#$%&'()*+,\\-.\\/:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" +
    `| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
  "gu",
);
const SEED_CODER = new RegExp(
  `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^${S}\\p{L}\\p{N}\\r\\n]+|${SPACES}`,
  "gu",
);

/** Qwen 2's, but marks belong to words. */
const QWEN35 = new RegExp(
  `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^${S}\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${SPACES}`,
  "gu",
);

const plain = (...stages: RegExp[]): PreTokenizer => ({ stages, nfc: false, ignoreMerges: false });
const llama3 = preTokenizerNamed("llama-bpe");
const groups: [PreTokenizer, string][] = [
  [llama3, "falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"],
  [{ ...llama3, ignoreMerges: false }, "dbrx smaug-bpe glm4 chatglm-bpe"],
  [
    plain(GPT2_WORDS),
    "mpt olmo jais trillion granite-docling phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de " +
      "jina-v2-code roberta-bpe gigachat a.x-4.0 mellum modern-bert exaone4",
  ],
  [plain(SINGLE_DIGITS, GPT2_WORDS), "refact command-r codeshell exaone minerva-7b mellum2"],
  [preTokenizerNamed("qwen2"), "megrez"],
  [{ ...plain(QWEN35), nfc: true }, "qwen35"],
  [plain(words("\\p{N}")), "stablelm2 hunyuan kormo f2llmv2 solar-open grok-2"],
  [{ ...plain(cased("", "\\p{N}")), ignoreMerges: true }, "tekken"],
  [plain(cased(`(?:${CONTRACTION})?`, "\\p{N}{1,3}")), "gpt-4o llama4 kanana2 talkie minimax-m2"],
  [plain(THREE_DIGITS, HAN_AND_KANA, MARKS_AND_LETTERS), "deepseek-v3 hunyuan-dense joyai-llm"],
  [plain(SEED_CODER), "seed-coder"],
];

const BY_NAME: ReadonlyMap<string, PreTokenizer> = new Map(
  groups.flatMap(([pre, names]) => names.split(" ").map((name) => [name, pre] as const)),
);

/** The pre-tokenizer of that name. @throws unsupported_model if it is not known. */
export const otherPreTokenizer = (name: string): PreTokenizer =>
  BY_NAME.get(name) ?? preTokenizerNamed(name, [...BY_NAME.keys()]);

/** The tokenizer of a file whose text is cut or merged as in few files. Throws as createGgufTokenizer. */
export const otherTokenizer = (metadata: GgufMetadata): GgufTokenizer =>
  createGgufTokenizer(
    metadata.get("tokenizer.ggml.model") === "gemma4" ? asSentencePiece(metadata) : metadata,
    otherPreTokenizer,
  );

/**
 * Gemma 4's vocabulary as one of SentencePiece with merges: no space is put in front, text begins with bos, and runs of newlines
 * are words of their own, so that nothing merges a newline with something else.
 */
function asSentencePiece(metadata: GgufMetadata): GgufMetadata {
  const merges = readStrings(metadata, MERGES);
  if (merges === undefined) throw badMetadata(MERGES, "is missing");
  const changed = new Map<string, unknown>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.add_space_prefix", false],
    ["tokenizer.ggml.add_bos_token", true],
    [MERGES, merges.filter((line) => !line.includes("\n") || /^\n+ \n+$/.test(line))],
  ]);
  return { get: (key) => (changed.has(key) ? changed.get(key) : metadata.get(key)) };
}
