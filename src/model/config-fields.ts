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
  throw unlike(key, numbers);
}

/** The error of numbers that Winnow does not take, of layers that differ where nothing else is said. */
export const unlike = (
  key: string,
  value: readonly number[],
  problem = "differs from layer to layer",
): WinnowError =>
  new WinnowError("unsupported_model", `${key}: ${problem}`, {
    hint: "The file is of a variant that Winnow does not compute.",
    details: { field: key, value },
  });

/** Throws unless there is an entry for each layer. */
export function checkEntries(key: string, { length }: ArrayLike<unknown>, layers: number): void {
  if (length !== layers) throw bad(key, `has ${length} entries for ${layers} layers`);
}
