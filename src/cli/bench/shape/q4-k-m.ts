/** The mixture of types that llama.cpp calls Q4_K_M (its src/llama-quant.cpp). */
import { GGML_TYPES, type GgmlType } from "../../../formats/ggml/ggml-types.ts";

/** What is not quantised, besides vectors. */
const PLAIN = /_norm\.weight$|ssm_conv1d|shortconv\.conv\.weight/;

/** Where a row is no whole number of blocks. */
const INSTEAD: Partial<Record<GgmlType, GgmlType>> = { Q4_K: "Q5_0", Q6_K: "Q8_0" };

/** The first and the last eighth of the layers have more bits, and every third between. */
const hasMoreBits = (index: number, count: number): boolean => {
  const eighth = Math.floor(count / 8);
  return index < eighth || index >= Math.floor((7 * count) / 8) || (index - eighth) % 3 === 2;
};

/** Tensors that have more bits in some layers: values, or what is joined with them, and the MLP's last matrix. */
const SOME_LAYERS = [/attn_(v|qkv)\.weight$/, /ffn_down\.weight$/];

/** The types of tensors [columns, rows] of a whole model, in its order. */
export function mixtureOf(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): GgmlType[] {
  const names = tensors.map(({ name }) => name);
  const head = names.includes("output.weight") ? "output.weight" : "token_embd.weight";
  const groups = SOME_LAYERS.map((part) => names.filter((name) => part.test(name)));
  return tensors.map(({ name, shape }) => {
    if (shape.length < 2 || !name.endsWith("weight") || PLAIN.test(name)) return "F32";
    if (name === "per_layer_model_proj.weight") return "BF16";
    const group = groups.find((one) => one.includes(name));
    const more =
      name === head ||
      name === "per_layer_token_embd.weight" ||
      (group && hasMoreBits(group.indexOf(name), group.length));
    const type = more ? "Q6_K" : "Q4_K";
    const fits = (one: GgmlType): boolean => shape[0]! % GGML_TYPES[one].blockSize === 0;
    if (fits(type)) return type;
    return fits(INSTEAD[type]!) ? INSTEAD[type]! : "F16";
  });
}
