import { join } from "node:path";
import { prepareModel } from "../../demo/prepare-model.ts";

/** Path of the default model's file: WINNOW_MODEL, else as `npm start` has it, fetched where it is not there yet. */
export const defaultModel = async (root: string): Promise<string> =>
  process.env.WINNOW_MODEL ?? prepareModel(join(root, ".cache/models"));
