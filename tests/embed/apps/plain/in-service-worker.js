import "./node_modules/winnow-llm/dist/service-worker.js";
import { safely } from "./by-path.js";
import { answer } from "./in-worker.js";
import { createEngine, listModels, WinnowError } from "./node_modules/winnow-llm/dist/index.js";

/** What a page loads later: a service worker can import nothing then. */
async function later() {
  const model = new URL("/model.gguf", globalThis.location.href).href;
  const engine = await createEngine({ model, cache: { budget: 128 } });
  const messages = [{ role: "user", content: "What is the weather in Paris?" }];
  const parameters = { type: "object", properties: { sunny: { type: "boolean" } } };
  const tools = [{ type: "function", function: { name: "weather", parameters } }];
  const text = await engine.completions.create({ prompt: "Once", max_tokens: 2 });
  const called = await engine.chat.completions.create({
    messages,
    tools,
    tool_choice: "required",
    logprobs: true,
    top_logprobs: 2,
    max_tokens: 100,
  });
  const refused = await engine.chat.completions
    .create({ messages, response_format: { type: "regex", pattern: "(" } })
    .catch((error) => error instanceof WinnowError && error.code);
  const file = await engine.cache.save();
  await engine.close();
  const remote = { baseURL: "http://127.0.0.1:9/v1", model: "there" };
  const away = await createEngine({ model, mode: "only-in-cloud", remote });
  return {
    text: text.object,
    called: called.choices[0].message.tool_calls[0].function.name,
    refused,
    saved: file.size > 0,
    away: away.info().inference.source,
    stored: Array.isArray(await listModels()),
  };
}

globalThis.onmessage = (event) =>
  event.waitUntil(
    event.data === "later"
      ? safely(later()).then((result) => event.source.postMessage(result))
      : answer(event.source),
  );
