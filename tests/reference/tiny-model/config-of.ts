import type { Gguf } from "../../../src/formats/gguf/gguf.ts";
import { isPlain } from "../../../src/model/architectures.ts";
import { type ModelConfig, readConfig } from "../../../src/model/config.ts";
import { familyOf } from "../../../src/model/families/all.ts";
import { llama } from "../../../src/model/families/llama.ts";

/** The configuration of a file of any family, as the engine reads it. */
export const configOf = (gguf: Gguf): ModelConfig =>
  readConfig(gguf, isPlain(gguf) ? llama : familyOf(gguf));
