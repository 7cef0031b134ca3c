import { WinnowError } from "../errors.ts";
import type { Gguf } from "../formats/gguf/gguf.ts";

/** Architectures that hold something else than a decoder of text, by how their names begin. */
const OTHERS: readonly [begin: RegExp, what: string][] = [
  [/^(clip|mmproj|siglip)/, "a projector for images or sound (mmproj), which no text comes from"],
  [
    /bert|^(t5encoder|gemma-embedding|llama-embed|eurobert)/,
    "an embedding model, which writes no text",
  ],
  [
    /^(dream|llada|diffusion-gemma|rnd1|flux|sd\d|sdxl|wan|lumina|aura|hidream|cosmos|ltxv)/,
    "a diffusion model",
  ],
  [/moe|^(mixtral|dbrx|grok|arctic|deepseek2|gpt-oss|llama4)/, "a mixture of experts"],
];

/** Names of tensors, in a checkpoint or a GGUF, that are experts of a layer or choose among them. */
const EXPERTS =
  /_(exps|shexp|chexps)\b|_gate_inp\b|ffn_(gate|up|down)\.\d+\.|\.experts\.|block_sparse_moe/;

/**
 * Refuses by name what is no dense decoder of text, from the header alone. `supported`: the families, for hints.
 * @throws unsupported_model for experts, projectors, adapters, embedding and diffusion models.
 */
export function checkKind(gguf: Gguf, supported: string): void {
  const refusal = (what: string, field: string, value?: unknown): WinnowError =>
    new WinnowError(
      "unsupported_model",
      `${field}${value === undefined ? "" : `: ${JSON.stringify(value)}`}: the file holds ${what}`,
      {
        hint: `Winnow runs dense decoders of text: ${supported}.`,
        details: { field, ...(value === undefined ? {} : { value }) },
      },
    );
  const { metadata } = gguf;
  const architecture = metadata.get("general.architecture");
  const type = metadata.get("general.type");
  if (typeof type === "string" && type !== "model")
    throw refusal(KIND_OF_FILE[type] ?? `a file of the type "${type}"`, "general.type", type);
  if (typeof architecture !== "string") return;
  const other = OTHERS.find(([begin]) => begin.test(architecture));
  if (other) throw refusal(other[1], "general.architecture", architecture);

  const about = (key: string) => metadata.get(`${architecture}.${key}`);
  const counts = about("expert_count") ?? 0;
  const experts =
    typeof counts === "object" ? Math.max(...Array.from(counts, Number)) : Number(counts);
  if (experts > 0)
    throw refusal(`a mixture of ${experts} experts`, `${architecture}.expert_count`, experts);
  const tensor = [...gguf.tensors.keys(), ...gguf.unreadable.keys()].find((name) =>
    EXPERTS.test(name),
  );
  if (tensor !== undefined) throw refusal("a mixture of experts", tensor);
  const pooling = about("pooling_type");
  if (typeof pooling === "number" && pooling > 0)
    throw refusal(
      "an embedding model, which writes no text",
      `${architecture}.pooling_type`,
      pooling,
    );
  if (about("attention.causal") === false)
    throw refusal(
      "a model whose attention looks ahead (embedding or diffusion)",
      `${architecture}.attention.causal`,
      false,
    );
  const diffusion = [...metadata.keys()].find((key) => key.startsWith("diffusion."));
  if (diffusion !== undefined) throw refusal("a diffusion model", diffusion);
}

const KIND_OF_FILE: Readonly<Record<string, string>> = {
  adapter: "an adapter (LoRA), which needs the model it was made for",
  mmproj: "a projector for images or sound (mmproj), which no text comes from",
  projector: "a projector for images or sound (mmproj), which no text comes from",
  imatrix: "an importance matrix, which holds no weights",
  vocab: "a vocabulary, which holds no weights",
};
