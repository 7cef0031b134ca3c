import { createEngine } from "winnow-llm";

/** What an app does with an engine: README's snippet, then a smaller budget, then a second turn. */
export async function run(options = {}) {
  const model = new URL("/model.gguf", globalThis.location.href).href;
  const engine = await createEngine({ model, cache: { budget: 512 }, ...options });
  const messages = [{ role: "user", content: "Say in one sentence what a cache is good for." }];
  const budgets = [engine.cache.usage().budget];
  const stream = await engine.chat.completions.create({
    messages,
    stream: true,
    max_tokens: 12,
    temperature: 0,
  });
  let first = "";
  for await (const chunk of stream) first += chunk.choices[0].delta.content ?? "";
  await engine.cache.configure({ budget: 128 });
  messages.push({ role: "assistant", content: first }, { role: "user", content: "And a budget?" });
  const answer = await engine.chat.completions.create({ messages, max_tokens: 8, temperature: 0 });
  const usage = engine.cache.usage();
  budgets.push(usage.budget);
  const result = {
    first,
    second: answer.choices[0].message.content,
    cached: answer.usage.prompt_tokens_details.cached_tokens,
    policy: usage.policy,
    notices: engine.info().notices,
    budgets,
  };
  await engine.close();
  return result;
}

/** Errors as data: a page cannot hand an error to its test. */
export const safely = (promise) =>
  promise.catch((error) => ({
    failed: `${error.name} ${error.code}: ${error.message}`,
    code: error.code,
    hint: error.hint,
  }));
