import { WinnowError } from "../../errors.ts";
import { type Gguf, getString } from "../../formats/gguf/gguf.ts";
import { checkKind } from "../kinds.ts";
import type { Architecture } from "./family.ts";
import { gemma3 } from "./gemma3.ts";
import { gemma4 } from "./gemma4.ts";
import { granite } from "./granite.ts";
import { lfm2 } from "./lfm2.ts";
import { llama } from "./llama.ts";
import { mistral3 } from "./mistral3.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen35 } from "./qwen35.ts";
import { smollm3 } from "./smollm3.ts";

/** Every family by `general.architecture`: a new one is a file beside this one and a line here. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = Object.fromEntries(
  [llama, smollm3, qwen2, qwen3, gemma3, gemma4, lfm2, granite, phi3, mistral3, qwen35].map(
    (family) => [family.name, family],
  ),
);

/**
 * The family of the model in a file.
 * @throws unsupported_model, naming the architecture and those supported, or what the file holds if it is no decoder of
 *   text; bad_model_file where it does not say.
 */
export function familyOf(gguf: Gguf): Architecture {
  const supported = Object.keys(ARCHITECTURES).join(", ");
  checkKind(gguf, supported);
  const name = getString(gguf, "general.architecture");
  const found = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (found) {
    checkCaps(gguf, found);
    return found;
  }
  throw new WinnowError("unsupported_model", `general.architecture: "${name}" is not supported`, {
    hint: `Use a model of: ${supported}.`,
    details: { field: "general.architecture", value: name },
  });
}

/** Throws unsupported_model where logits are capped that the family does not cap. */
function checkCaps({ metadata }: Gguf, { name, caps = [] }: Architecture): void {
  for (const field of ["attn_logit_softcapping", "final_logit_softcapping"]) {
    if (!metadata.has(`${name}.${field}`) || caps.includes(field)) continue;
    throw new WinnowError("unsupported_model", `${name}.${field}: this family caps no logits`, {
      hint: "The file is of a variant that Winnow does not compute.",
      details: { field: `${name}.${field}` },
    });
  }
}
