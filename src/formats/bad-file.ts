import { WinnowError } from "../errors.ts";

const HINT = "The file is damaged, incomplete or not what its name says; download it again.";

/** A `bad_model_file` error that names the field and the byte offset at which it stands. */
export function badModelFile(
  file: string,
  field: string,
  offset: number,
  problem: string,
  options: { hint?: string; cause?: unknown } = {},
): WinnowError {
  return new WinnowError("bad_model_file", `${file}: ${field} at byte ${offset}: ${problem}`, {
    hint: options.hint ?? HINT,
    details: { field, offset, file },
    cause: options.cause,
  });
}
