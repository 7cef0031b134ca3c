import type * as AiSdk from "../../src/ai-sdk.ts";
import type * as PromptApi from "../../src/prompt-api.ts";
import type * as Ai from "./ai.ts";

/** What runs in a page of `clients-site.ts`: each function is sent there as text, and knows nothing of its surroundings. */

interface Held {
  clients: { ai: typeof Ai; aiSdk: typeof AiSdk; promptApi: typeof PromptApi };
}

/** The AI SDK's functions over a model that the page loads. */
export async function askByAiSdk() {
  const { ai, aiSdk } = (window as unknown as Held).clients;
  const cache = { budget: 64, window: 16, sinks: 2 };
  const model = aiSdk.winnow(new URL("models/tiny.gguf", document.baseURI).href, { cache });
  const before = await model.availability();
  const progress: number[] = [];
  await model.createSessionWithProgress((share) => void progress.push(share));
  const settings = { model, temperature: 0, maxOutputTokens: 3 };
  const prompt = "A question that is longer than the budget, so that something goes. ".repeat(4);
  const first = ai.streamText({ ...settings, prompt });
  const pieces: string[] = [];
  for await (const piece of first.textStream) pieces.push(piece);
  const second = await ai.generateText({
    ...settings,
    messages: [
      { role: "user", content: prompt },
      ...(await first.responseMessages),
      { role: "user", content: "two" },
    ],
  });
  const object = await ai.generateText({
    model,
    prompt: "Who?",
    output: ai.Output.object({
      schema: ai.jsonSchema<{ name: string }>({
        type: "object",
        properties: { name: { enum: ["Ann", "Bo"] } },
        required: ["name"],
        additionalProperties: false,
      }),
    }),
  });
  const control = new AbortController();
  const stopped = ai.streamText({ model, prompt: "go on", abortSignal: control.signal });
  let last = "";
  let count = 0;
  for await (const part of stopped.fullStream) {
    last = part.type;
    if (part.type === "text-delta" && ++count === 2) control.abort();
  }
  const result = {
    supported: aiSdk.doesBrowserSupportWinnow(),
    before,
    after: await model.availability(),
    progress: [progress[0], progress.at(-1)],
    text: pieces.join(""),
    cached: second.usage.inputTokenDetails.cacheReadTokens ?? 0,
    asked: (await first.usage).inputTokens ?? 0,
    object: object.output,
    last,
  };
  await model.close();
  return result;
}

/** A session of the Prompt API in a page. */
export async function askByPromptApi() {
  const { promptApi } = (window as unknown as Held).clients;
  const model = new URL("models/tiny.gguf", document.baseURI).href;
  const LanguageModel = promptApi.defineLanguageModel({ model, cache: { budget: 512 } });
  const before = await LanguageModel.availability();
  const loaded: number[] = [];
  const session = await LanguageModel.create({
    initialPrompts: [{ role: "system", content: "Say little." }],
    samplingMode: "most-predictable",
    monitor: (monitor) =>
      monitor.addEventListener("downloadprogress", (event) =>
        loaded.push((event as ProgressEvent).loaded),
      ),
  });
  const begun = session.contextUsage;
  const schema = {
    type: "object",
    properties: { full: { type: "boolean" } },
    required: ["full"],
    additionalProperties: false,
  };
  const held = await session.prompt("Is it full?", { responseConstraint: schema });
  const copy = await session.clone();
  const inOrder: string[] = [];
  const say = (text: string) =>
    session
      .prompt(text, { responseConstraint: new RegExp(text) })
      .then((said) => inOrder.push(said));
  await Promise.all([say("one"), say("two"), session.append("three")]);
  const prefixed = await copy.prompt(
    [
      { role: "user", content: "Is it?" },
      { role: "assistant", content: '{"full":', prefix: true },
    ],
    { responseConstraint: schema, omitResponseConstraintInput: true },
  );
  const control = new AbortController();
  const reader = session.promptStreaming("go on", { signal: control.signal }).getReader();
  await reader.read();
  control.abort();
  const name = (error: unknown) => `${(error as Error).name} ${error instanceof DOMException}`;
  let aborted = "";
  for (let done = false; !done; )
    ({ done } = await reader.read().catch((error) => {
      aborted = name(error);
      return { done: true };
    }));
  session.destroy();
  const destroyed = await session.prompt("more").catch(name);
  const system = await copy.prompt([{ role: "system", content: "late" }]).catch(name);
  const result = {
    before,
    loaded: [loaded[0], loaded.at(-1)],
    begun,
    held: JSON.parse(held) as { full: unknown },
    prefixed: JSON.parse(`{"full":${prefixed}`) as { full: unknown },
    inOrder,
    aborted,
    destroyed,
    system,
    window: copy.contextWindow,
  };
  await LanguageModel.unload();
  return result;
}

/** The polyfill's global in a worker. */
export function askInWorker(): Promise<unknown> {
  const model = new URL("models/tiny.gguf", document.baseURI).href;
  const worker = new Worker("./worker.js", { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ model, text: "Is it?" });
  });
}
