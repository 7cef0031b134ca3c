import { WinnowError } from "../../errors.ts";

export const badConfig = (field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `config.json: ${field}: ${problem}`, {
    hint: "Take config.json and the weights from one repository.",
    details: { file: "config.json", field },
  });

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const unsupportedConfig = (field: string, value: unknown, what: string): WinnowError =>
  new WinnowError("unsupported_model", `config.json: ${field}: ${JSON.stringify(value)}: ${what}`, {
    hint: "Winnow runs dense decoders of text in F32, F16 or BF16; a GGUF holds other types.",
    details: { field, value },
  });
