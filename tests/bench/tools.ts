import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Wllama } from "@wllama/wllama";
import { Ajv2020 } from "ajv/dist/2020.js";
import { familyOf } from "../../src/api/worker/tools/call-family.ts";
import { showTools } from "../../src/api/worker/tools/show-tools.ts";
import { parseGguf } from "../../src/formats/gguf/gguf.ts";
import { NodeFileSource } from "../../src/formats/node-source.ts";
import { serveStatic } from "../../src/node/static-server.ts";
import { createEngine } from "../../src/node.ts";
import { createGgufTokenizer } from "../../src/text/gguf/gguf-tokenizer.ts";
import * as jinja from "../../src/text/jinja.ts";
import { createChatTemplate } from "../../src/text/template/chat-template.ts";
import { launchChromium } from "../chromium.ts";
import { Journal } from "./journal.ts";
import { inOrder, type Question, questions, TOOLS } from "./tool-questions.ts";

const USAGE = `usage: node tests/bench/tools.mjs winnow|wllama MODEL.gguf [JOURNAL]
  100 questions with five tools each, tool_choice "required", greedy: do all calls parse and fit, is the right tool called?
  wllama: llama.cpp in wasm with the same prompts, held to the same calls by a grammar; for models whose template knows of no tools
  JOURNAL: a file for answers; a run that was broken off goes on from it`;

const MOST_TOKENS = 120;
const ajv = new Ajv2020();
const VALID = new Map(
  TOOLS.map(({ function: { name, parameters } }) => [name, ajv.compile(parameters)]),
);

interface Call {
  readonly name: string;
  readonly json: string;
}

type Answer = (question: Question) => Promise<Call | undefined>;

export async function main([
  who = "--help",
  model = "",
  journal,
]: readonly string[]): Promise<number> {
  if (!["winnow", "wllama"].includes(who) || !existsSync(model)) {
    console.log(USAGE);
    return who === "--help" ? 0 : 1;
  }
  const { ask, close } = who === "winnow" ? await winnow(model) : await wllama(model);
  const answers = new Journal<Call | "none">(journal);
  const counts = { questions: 0, fits: 0, right: 0 };
  const byTool = new Map<string, number>();
  try {
    for (const question of questions()) {
      const { asked, wanted } = question;
      const call = await answers.of(asked, async () => (await ask(question)) ?? "none");
      const right = call !== "none" && call.name === wanted;
      counts.questions += 1;
      counts.right += Number(right);
      counts.fits += Number(call !== "none" && fits(call));
      byTool.set(wanted, (byTool.get(wanted) ?? 0) + Number(right));
      console.error(`${right ? "+" : "-"} ${asked} ${JSON.stringify(call)}`);
    }
  } finally {
    await close();
  }
  console.log(
    `${who}: ${JSON.stringify(counts)} right by tool ${JSON.stringify(Object.fromEntries(byTool))}`,
  );
  return 0;
}

function fits({ name, json }: Call): boolean {
  try {
    return VALID.get(name)?.(JSON.parse(json)) ?? false;
  } catch {
    return false;
  }
}

async function winnow(model: string): Promise<{ ask: Answer; close(): Promise<void> }> {
  const engine = await createEngine({ model });
  return {
    close: () => engine.close(),
    ask: async ({ asked, order }) => {
      const { choices } = await engine.chat.completions.create({
        messages: [{ role: "user", content: asked }],
        tools: inOrder(order),
        tool_choice: "required",
        parallel_tool_calls: false,
        temperature: 0,
        max_tokens: MOST_TOKENS,
      });
      const call = choices[0].message.tool_calls?.[0]?.function;
      return call && { name: call.name, json: call.arguments };
    },
  };
}

/** The calls of the five tools, in llama.cpp's notation. */
const GRAMMAR = `root ::= weather | timer | email | translate | calculate
weather ::= "{\\"name\\": \\"get_weather\\", \\"arguments\\": {\\"city\\": " string "}}"
timer ::= "{\\"name\\": \\"set_timer\\", \\"arguments\\": {\\"minutes\\": " [1-9] [0-9]? [0-9]? "}}"
email ::= "{\\"name\\": \\"send_email\\", \\"arguments\\": {\\"to\\": " string ", \\"subject\\": " string "}}"
translate ::= "{\\"name\\": \\"translate\\", \\"arguments\\": {\\"text\\": " string ", \\"language\\": " language "}}"
language ::= "\\"French\\"" | "\\"German\\"" | "\\"Italian\\"" | "\\"Spanish\\""
calculate ::= "{\\"name\\": \\"calculate\\", \\"arguments\\": {\\"expression\\": " string "}}"
string ::= "\\"" char{0,60} "\\""
char ::= [^"\\\\\\x00-\\x1f] | "\\\\" ["\\\\/bfnrt]
`;

const WLLAMA_PAGE = `<!doctype html><title>wllama</title><script type="module">
import { Wllama } from "/wllama/index.min.js";
const engine = new Wllama({ default: location.origin + "/wllama/wasm/wllama.wasm" });
await engine.loadModelFromUrl(location.origin + "/model.gguf", { n_ctx: 2048, n_parallel: 1 });
globalThis.engine = engine;
</script>`;

/** llama.cpp in wasm, with the prompts that Winnow makes. */
async function wllama(model: string): Promise<{ ask: Answer; close(): Promise<void> }> {
  const { metadata } = await parseGguf(await NodeFileSource.open(model));
  const tokenizer = createGgufTokenizer(metadata);
  const template = createChatTemplate(metadata, tokenizer.vocabulary, jinja);
  const folder = mkdtempSync(join(tmpdir(), "winnow-tools-"));
  writeFileSync(join(folder, "index.html"), WLLAMA_PAGE);
  const library = fileURLToPath(new URL("../../node_modules/@wllama/wllama/esm", import.meta.url));
  const server = await serveStatic({ "/": folder, "/wllama/": library, "/model.gguf": model }, 0);
  const browser = await launchChromium();
  const page = await browser.newPage();
  await page.goto(server.url);
  await page.waitForFunction(() => "engine" in globalThis, undefined, { timeout: 120_000 });
  return {
    close: async () => {
      await browser.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
    ask: async ({ asked, order }) => {
      const { messages, variables } = showTools(
        familyOf(template, tokenizer),
        [{ role: "user", content: asked }],
        inOrder(order),
      );
      const prompt = template.render(messages, { variables, addGenerationPrompt: true });
      const text = await page.evaluate(
        async ({ prompt, grammar, max_tokens }) => {
          const { engine } = globalThis as unknown as { engine: Wllama };
          const options = { prompt, grammar, max_tokens, temperature: 0 };
          const { choices } = await engine.createCompletion(options);
          return choices[0]!.text;
        },
        { prompt, grammar: GRAMMAR, max_tokens: MOST_TOKENS },
      );
      try {
        const call = JSON.parse(text) as { name: string; arguments: unknown };
        return { name: call.name, json: JSON.stringify(call.arguments) };
      } catch {
        return undefined;
      }
    },
  };
}
