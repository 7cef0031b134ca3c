import { WinnowError } from "../errors.ts";

/** How a byte-level BPE cuts text into words before it merges within each. */
export interface PreTokenizer {
  /** Applied one after the other: what matches is a word, and so is what stands between. */
  readonly stages: readonly RegExp[];
  /** Compose the text (NFC) first. */
  readonly nfc: boolean;
  /** A word that is in the vocabulary is that token, whatever the merges say. */
  readonly ignoreMerges: boolean;
}

// JavaScript's \s has U+FEFF and lacks U+0085; the reference's is the Unicode property.
const S = "\\p{White_Space}";
const NOT_S = "\\P{White_Space}";

/** GPT-2's words; every character of a text is in one. */
export const GPT2_WORDS = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${S}\\p{L}\\p{N}]+|${S}+(?!${NOT_S})|${S}+`,
  "gu",
);
// The reference takes single digits out first: a run of spaces before a digit then stays whole.
export const SINGLE_DIGITS = /\p{N}|\P{N}+/gu;

// (?i:'s|...) spelled out: inline flags are newer than Node 20. U+017F folds to s.
export const CONTRACTION = "'[sSſ]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
export const words = (digits: string): RegExp =>
  new RegExp(
    `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^${S}\\p{L}\\p{N}]+[\\r\\n]*` +
      `|${S}*[\\r\\n]+|${S}+(?!${NOT_S})|${S}+`,
    "gu",
  );

const gpt2: PreTokenizer = { stages: [GPT2_WORDS], nfc: false, ignoreMerges: false };
const singleDigits: PreTokenizer = { ...gpt2, stages: [SINGLE_DIGITS, GPT2_WORDS] };
const llama3: PreTokenizer = { stages: [words("\\p{N}{1,3}")], nfc: false, ignoreMerges: true };
const qwen2: PreTokenizer = { stages: [words("\\p{N}")], nfc: true, ignoreMerges: false };

/** Keyed by `tokenizer.ggml.pre`, the names llama.cpp gives them. */
const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  // Files from before the key existed say "default" or nothing: GPT-2's, as in `transformers`.
  ["default", gpt2],
  ["gpt-2", gpt2],
  ["smollm", singleDigits],
  ["starcoder", singleDigits],
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
]);

/**
 * The pre-tokenizer a GGUF names in `tokenizer.ggml.pre`.
 * @throws unsupported_model if the name is not in the table.
 */
export function preTokenizerNamed(name: string, others: readonly string[] = []): PreTokenizer {
  const found = PRE_TOKENIZERS.get(name);
  if (found !== undefined) return found;
  const supported = [...PRE_TOKENIZERS.keys(), ...others];
  throw new WinnowError(
    "unsupported_model",
    `tokenizer.ggml.pre: the pre-tokenizer "${name}" is not supported`,
    {
      hint: `Supported are ${supported.join(", ")}; or pass a tokenizer of @huggingface/transformers.`,
      details: { field: "tokenizer.ggml.pre", value: name, supported },
    },
  );
}

/** Whether the name is one of those that need no other code. */
export const isUsualPreTokenizer = (name: string): boolean => PRE_TOKENIZERS.has(name);

/** Cuts text into words. All of the text is in them, but for NFC where the pre-tokenizer asks. */
export function splitWords(text: string, pre: PreTokenizer): string[] {
  let words = [pre.nfc ? text.normalize("NFC") : text];
  for (const stage of pre.stages) words = words.flatMap((word) => isolate(word, stage));
  return words;
}

function isolate(text: string, pattern: RegExp): string[] {
  const pieces: string[] = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    if (index > end) pieces.push(text.slice(end, index));
    pieces.push(found);
    end = index + found.length;
  }
  if (end < text.length) pieces.push(text.slice(end));
  return pieces;
}
