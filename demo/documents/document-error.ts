import { WinnowError } from "../../src/errors.ts";

/** Why a document cannot be read, and what to do. */
export const documentError = (
  name: string,
  problem: string,
  hint: string,
  cause?: unknown,
): WinnowError =>
  new WinnowError("invalid_argument", `${name} ${problem}.`, { hint, details: { name }, cause });
