import { createEngine, type Engine, type LoadProgress, WinnowError } from "winnow-llm";

// What an app would write; the test reads `result` from the page.
const answer = document.querySelector("#answer") as HTMLElement;
const stages = new Set<LoadProgress["stage"]>();

async function main(): Promise<unknown> {
  const engine: Engine = await createEngine({
    model: new URL("./model.gguf", document.baseURI).href,
    cache: { budget: 48, policy: "k-norm", window: 8, sinks: 2 },
    onProgress: ({ stage }) => stages.add(stage),
  });
  const messages = [{ role: "user" as const, content: "Hello from an app." }];
  const stream = await engine.chat.completions.create({
    messages,
    stream: true,
    max_tokens: 24,
    temperature: 0,
  });
  let chunks = 0;
  let usage: unknown;
  for await (const chunk of stream) {
    answer.textContent += chunk.choices[0].delta.content ?? "";
    usage = chunk.usage ?? usage;
    chunks += 1;
  }
  // Leaving a stream early must leave the conversation usable.
  for await (const _ of await engine.chat.completions.create({ messages, stream: true })) break;
  const whole = await engine.chat.completions.create({ messages, max_tokens: 24, temperature: 0 });
  const code = await engine.chat.completions
    .create({ messages, temperature: 99 })
    .catch((error: unknown) => (error instanceof WinnowError ? error.code : String(error)));
  const result = {
    stages: [...stages],
    chunks,
    usage,
    streamed: answer.textContent,
    whole: whole.choices[0].message.content,
    refused: code,
    cache: engine.cache.usage(),
    memory: engine.memory(),
    adapter: engine.info().adapter,
  };
  await engine.close();
  return result;
}

Object.assign(globalThis, {
  result: main().catch((error: unknown) => {
    if (!(error instanceof WinnowError)) return { failed: String(error) };
    return { failed: error.message, code: error.code, hint: error.hint };
  }),
});
