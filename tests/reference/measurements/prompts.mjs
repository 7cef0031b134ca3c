// node tests/reference/measurements/prompts.mjs --help: writes the prompts of `winnow eval --ask after`,
// as token ids, for reread.py.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";

const [
  out = "--help",
  tasks = "",
  length = "1024",
  trials = "5",
  seed = "1",
  text = "",
  depths = "",
] = process.argv.slice(2);
if (out === "--help") {
  console.log("usage: prompts.mjs OUT.json TASKS LENGTH TRIALS SEED TEXT [DEPTHS]");
  process.exit(0);
}
const root = join(import.meta.dirname, "..", "..", "..");
/** @param {string} path */
const load = async (path) =>
  (await runnerImport(join(root, "src", path), { configFile: false, logLevel: "error" })).module;
const { buildPrompt } = await load("eval/prompt.ts");
const { textHaystack } = await load("eval/tasks/haystack.ts");
const { parseGguf } = await load("formats/gguf/gguf.ts");
const { NodeFileSource } = await load("formats/node-source.ts");
const { createTokenizer } = await load("text/create-tokenizer.ts");
const { createChatTemplate } = await load("text/template/chat-template.ts");
const { readVocabulary } = await load("text/gguf/gguf-vocabulary.ts");
const jinja = await load("text/jinja.ts");

const model = join(root, ".cache", "models", "SmolLM2-135M-Instruct.Q4_1.gguf");
const { metadata } = await parseGguf(await NodeFileSource.open(model));
const tokenizer = await createTokenizer(metadata);
const template = createChatTemplate(metadata, readVocabulary(metadata), jinja);
const sentences = readFileSync(text, "utf8");
const sha256 = createHash("sha256").update(sentences).digest("hex");
const hay = textHaystack(sentences, sha256);
const places = depths === "" ? [undefined] : depths.split(",").map(Number);
const prompts = tasks.split(",").flatMap((task) =>
  places.flatMap((depth) =>
    Array.from({ length: Number(trials) }, (_, trial) => {
      const cell = { task, length: Number(length), trial, seed: Number(seed), ask: "after", depth };
      const { problem, parts, system } = buildPrompt({ tokenizer, template }, cell, hay);
      const { expected, match, answerTokens } = problem;
      return { task, depth, trial, parts, system, expected, match, answerTokens };
    }),
  ),
);
writeFileSync(out, JSON.stringify(prompts));
process.exit(0);
