import { WinnowError } from "../errors.ts";
import type { Gguf } from "../formats/gguf/gguf.ts";
import type { Architecture } from "./families/family.ts";
import { gemma3 } from "./families/gemma3.ts";
import { lfm2 } from "./families/lfm2.ts";
import { llama } from "./families/llama.ts";
import { qwen2 } from "./families/qwen2.ts";
import { qwen3 } from "./families/qwen3.ts";
import { smollm3 } from "./families/smollm3.ts";

export type { Architecture } from "./families/family.ts";

/** Every family by `general.architecture`: a new one is a file in families/ and a line here. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = Object.fromEntries(
  [llama, smollm3, qwen2, qwen3, gemma3, lfm2].map((family) => [family.name, family]),
);

/** Keys and tensors of what is no dense decoder of text, which `checkKind` tells by name. */
const ODD_KEY = /^diffusion\.|\.(expert_count|pooling_type|attention\.causal)$/;
const ODD_TENSOR = /exps?\b|expert|ffn_gate_inp|block_sparse_moe|ffn_gate\.\d/;

/** Whether the header gives cause to ask what the file holds (src/model/kinds.ts, loaded when it must be asked). */
export function isOdd({ metadata, tensors, unreadable }: Gguf): boolean {
  const architecture = metadata.get("general.architecture");
  return (
    (metadata.get("general.type") ?? "model") !== "model" ||
    (typeof architecture === "string" && !Object.hasOwn(ARCHITECTURES, architecture)) ||
    [...metadata.keys()].some((key) => ODD_KEY.test(key)) ||
    [...tensors.keys(), ...unreadable.keys()].some((name) => ODD_TENSOR.test(name))
  );
}

/** Throws unsupported_model, naming the architecture and those supported. */
export function architectureNamed(name: string): Architecture {
  const found = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (found) return found;
  throw new WinnowError("unsupported_model", `general.architecture: "${name}" is not supported`, {
    hint: `Use a model of: ${Object.keys(ARCHITECTURES).join(", ")}.`,
    details: { field: "general.architecture", value: name },
  });
}
