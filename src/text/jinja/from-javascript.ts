import { TemplateError } from "./template-error.ts";
import { Dict, type Value } from "./values.ts";

/** The template's value of plain data: what JSON can hold, and undefined for what is left out. */
export function fromJavaScript(data: unknown): Value {
  if (data === null || data === undefined) return null;
  if (typeof data === "string" || typeof data === "boolean" || typeof data === "bigint")
    return data;
  if (typeof data === "number") return Number.isSafeInteger(data) ? BigInt(data) : data;
  if (Array.isArray(data)) return data.map(fromJavaScript);
  if (typeof data === "object")
    return new Dict(
      Object.entries(data)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => [key, fromJavaScript(value)]),
    );
  throw new TemplateError(`a variable is a ${typeof data}`);
}
