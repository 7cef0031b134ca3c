import { WinnowError } from "../../errors.ts";

export type Json = Readonly<Record<string, unknown>>;

export const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What tokenizer.json asks for and Winnow does not do, by its place in the file. */
export const unsupportedPart = (field: string, what: string): WinnowError =>
  new WinnowError("unsupported_model", `tokenizer.json: ${field}: ${what} is not supported`, {
    hint: "Use a GGUF of this model, or pass a tokenizer of @huggingface/transformers.",
    details: { file: "tokenizer.json", field },
  });

export const damagedPart = (field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `tokenizer.json: ${field}: ${problem}`, {
    hint: "Get tokenizer.json again from the repository that has the weights.",
    details: { file: "tokenizer.json", field },
  });

/** A part's object; throws bad_model_file for anything else. */
export function part(value: unknown, field: string): Json & { readonly type: string } {
  if (isJson(value) && typeof value.type === "string") return value as Json & { type: string };
  throw damagedPart(field, "is no object with a type");
}

/** The parts of a sequence, each with its place. */
export function parts(value: unknown, field: string): [value: unknown, field: string][] {
  if (!Array.isArray(value)) throw damagedPart(field, "is not a list");
  return value.map((one: unknown, i) => [one, `${field}[${i}]`]);
}

export function flag(json: Json, key: string, field: string, fallback: boolean): boolean {
  const value = json[key] ?? fallback;
  if (typeof value !== "boolean") throw damagedPart(`${field}.${key}`, "is not a boolean");
  return value;
}

export function text(json: Json, key: string, field: string, fallback?: string): string {
  const value = json[key] ?? fallback;
  if (typeof value !== "string") throw damagedPart(`${field}.${key}`, "is not a string");
  return value;
}
