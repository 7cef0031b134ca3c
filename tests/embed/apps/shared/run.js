import { createEngine } from "winnow-llm";

const CACHE = {
  type: "object",
  properties: { useful: { type: "boolean" }, size: { enum: ["small", "large"] } },
  required: ["useful", "size"],
  additionalProperties: false,
};

/**
 * What an app does with an engine: README's snippet, then a smaller budget, then a second turn, then an answer that is held to
 * a schema, whose code is loaded then.
 */
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
  const held = await engine.chat.completions.create({
    messages,
    response_format: { type: "json_schema", json_schema: { name: "cache", schema: CACHE } },
    max_tokens: 64,
  });
  const usage = engine.cache.usage();
  budgets.push(usage.budget);
  const result = {
    first,
    second: answer.choices[0].message.content,
    held: JSON.parse(held.choices[0].message.content),
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
