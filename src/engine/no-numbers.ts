import { WinnowError } from "../errors.ts";

/** What is told of a model whose logits are NaN or infinite; `so`: what cannot be done with them. */
export const noNumbers = (so: string): WinnowError =>
  new WinnowError("bad_model_file", `the model's logits are no numbers, so that ${so}`, {
    hint: "The weights hold NaN or infinite values: get the file again, or take another file of the model.",
  });
