import { loadLater } from "../errors.ts";
import type { Gguf } from "../formats/gguf/gguf.ts";
import type { Architecture } from "./families/family.ts";
import { llama } from "./families/llama.ts";

export type { Architecture } from "./families/family.ts";

/** Keys and tensors of what is no dense decoder of text, which `checkKind` tells by name. */
const ODD_KEY = /^diffusion\.|\.(expert_count|pooling_type|attention\.causal|\w+_softcapping)$/;
const ODD_TENSOR = /exps?\b|expert|ffn_gate_inp|block_sparse_moe|ffn_gate\.\d/;

/** Whether the header is that of a Llama, and gives no cause to ask further what the file holds. */
export function isPlain({ metadata, tensors, unreadable }: Gguf): boolean {
  return (
    metadata.get("general.architecture") === llama.name &&
    (metadata.get("general.type") ?? "model") === "model" &&
    ![...metadata.keys()].some((key) => ODD_KEY.test(key)) &&
    ![...tensors.keys(), ...unreadable.keys()].some((name) => ODD_TENSOR.test(name))
  );
}

/** The family of the model in a file; those beside Llama are loaded when they are met. Throws as `familyOf`. */
export async function architectureOf(gguf: Gguf): Promise<Architecture> {
  if (isPlain(gguf)) return llama;
  const others = await loadLater("this family of models", () => import("./families/all.ts"));
  return others.familyOf(gguf);
}
