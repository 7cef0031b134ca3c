import { createEngine } from "winnow-llm/node";
import { run, safely } from "./run.js";

// run.js is what a page does; its engine is the browser's, which names the entry for Node.
globalThis.location = { href: "http://localhost/" };
const inPage = await safely(run());
const inNode = await safely(
  createEngine({ model: process.argv[2] }).then(async (engine) => {
    const messages = [{ role: "user", content: "Hello!" }];
    const { choices } = await engine.chat.completions.create({ messages, max_tokens: 4 });
    const { policy } = engine.cache.usage();
    await engine.close();
    return { text: choices[0].message.content, policy, notices: engine.info().notices };
  }),
);
console.log(JSON.stringify({ inPage, inNode }));
