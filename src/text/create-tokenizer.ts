import { loadLater } from "../errors.ts";
import { PIPELINE } from "../formats/checkpoint/pipeline-key.ts";
import type { GuardedTokenizer } from "./control-splitter.ts";
import type { GgufMetadata } from "./gguf/gguf-fields.ts";
import { createGgufTokenizer } from "./gguf/gguf-tokenizer.ts";
import { isUsualPreTokenizer } from "./pre-tokenizer.ts";

/**
 * The tokenizer that a model's metadata describes, with the code that only some models need.
 * @throws as `createGgufTokenizer`; unsupported_model naming what of a checkpoint's tokenizer.json is not known.
 */
export async function createTokenizer(metadata: GgufMetadata): Promise<GuardedTokenizer> {
  if (metadata.get(PIPELINE) === undefined) {
    const pre = metadata.get("tokenizer.ggml.pre");
    const others = () => import("./other-pre-tokenizers.ts");
    if (metadata.get("tokenizer.ggml.model") !== "gemma4")
      if (typeof pre !== "string" || isUsualPreTokenizer(pre)) return createGgufTokenizer(metadata);
    return (await loadLater("other tokenizers", others)).otherTokenizer(metadata);
  }
  const load = () => import("./pipeline/json-tokenizer.ts");
  const { JsonTokenizer } = await loadLater("tokenizer.json", load);
  return new JsonTokenizer(metadata);
}
