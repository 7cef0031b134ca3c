import { WinnowError } from "../errors.ts";
import { type Gguf, getNumber, getNumberArray } from "../formats/gguf/gguf.ts";

export const bad = (field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${field}: ${problem}`, {
    hint: "The file is damaged or was converted wrongly; download or convert it again.",
    details: { field },
  });

/** A number, or one a layer where all layers have the same. Throws unsupported_model where they differ. */
export function sameForAll(gguf: Gguf, key: string, fallback?: number): number {
  const value = gguf.metadata.get(key);
  if (typeof value !== "object") return getNumber(gguf, key, fallback);
  const numbers = Array.from(getNumberArray(gguf, key));
  const [first] = numbers;
  if (first === undefined) throw bad(key, "is an array without a number");
  if (numbers.every((number) => number === first)) return first;
  throw new WinnowError("unsupported_model", `${key}: differs from layer to layer`, {
    hint: "Winnow takes models whose layers are alike.",
    details: { field: key, value: numbers },
  });
}
