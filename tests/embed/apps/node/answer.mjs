import { createWinnow } from "winnow-llm/ai-sdk";
import * as node from "winnow-llm/node";
import { LanguageModel } from "winnow-llm/prompt-api";
import { run, safely } from "./run.js";

// run.js is what a page does; its engine is the browser's, which names the entry for Node.
globalThis.location = { href: "http://localhost/" };
const inPage = await safely(run());
delete globalThis.location;
const inNode = await safely(
  node.createEngine({ model: process.argv[2] }).then(async (engine) => {
    const messages = [{ role: "user", content: "Hello!" }];
    const { choices } = await engine.chat.completions.create({ messages, max_tokens: 4 });
    const { policy } = engine.cache.usage();
    await engine.close();
    return { text: choices[0].message.content, policy, notices: engine.info().notices };
  }),
);
const model = createWinnow({ from: node })(process.argv[2]);
const prompt = [{ role: "user", content: [{ type: "text", text: "Hello!" }] }];
const { finishReason } = await model.doGenerate({ prompt, maxOutputTokens: 4 });
await model.close();
// What a server renders may import what it cannot run.
const onServer = await LanguageModel.availability();
console.log(JSON.stringify({ inPage, inNode, finishReason, onServer }));
