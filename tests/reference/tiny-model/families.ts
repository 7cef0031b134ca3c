/** Tiny models of all families, by name; Llama has several of other names besides. */
export const FAMILIES = [
  "llama3",
  "smollm3",
  "qwen2",
  "qwen3",
  "gemma3",
  "lfm2",
  "granite",
  "phi3",
  "mistral3",
  "qwen35",
  "gemma4",
] as const;

/** Families of which llama.cpp's converter made a file (tests/model/fixtures/converted-NAME.gguf). */
export const CONVERTED = ["lfm2", "granite", "phi3", "mistral3", "qwen35", "gemma4"] as const;
