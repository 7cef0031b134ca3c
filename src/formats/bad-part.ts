import { WinnowError } from "../errors.ts";

/** A `bad_model_file` error that names a part of a model. */
export const badPart = (name: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${name}: ${problem}`, {
    hint: "All parts of one model are needed, from one place; get the part that is named again.",
    details: { field: "split", part: name },
  });
