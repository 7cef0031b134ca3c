/**
 * The key under which a checkpoint's metadata carries its tokenizer.json, without vocabulary and merges, which stand
 * under a GGUF's keys. `outside_model` lists the ids of added tokens that the model's own vocabulary lacks.
 */
export const PIPELINE = "winnow.tokenizer.json";
