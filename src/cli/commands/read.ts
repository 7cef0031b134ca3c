import { checkRequest } from "../../api/checks/validate-request.ts";
import { beginningOf } from "../../api/worker/read-ahead.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import { invalidArgument } from "../../errors.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { Command } from "../command.ts";
import { CONVERSATION } from "../defaults.ts";
import { CACHE_FLAGS, CACHE_USAGE, required } from "../flags.ts";

interface Input {
  text: string;
  out: string;
}

export const read: Command<Input> = {
  name: "read",
  summary: "read a document as the beginning of a chat, and save it for pages to load",
  usage: `--text FILE --out FILE.winnow ${CACHE_USAGE}`,
  flags: { text: "string", out: "string", ...CACHE_FLAGS },
  cacheDefaults: {},
  abortable: true,
  read: async (flags, files) => {
    const out = required(flags, "out");
    await files.checkWritable("out", out);
    const text = await files.readText("text", required(flags, "text"));
    if (text.trim() === "") throw invalidArgument("--text", "the file is empty");
    return { text, out };
  },
  async run({ text, out }, { engine, report, signal }) {
    const messages: ChatMessage[] = [{ role: "system", content: text }];
    const { prompt } = await beginningOf(engine, checkRequest({ messages }));
    const chat = engine.conversation(CONVERSATION);
    const began = performance.now();
    const reading = chat.generate(prompt, {
      sampling: GREEDY,
      maxTokens: 0,
      signal,
      onPrefill: (done, total) => report("read", done, total),
    });
    await reading.next();
    const seconds = (performance.now() - began) / 1000;
    chat.messages = messages;
    const file = await engine.save(CONVERSATION, signal);
    const cache = chat.usage();
    const { name } = engine.info().model;
    const kept = `${cache.bytesUncompressed} bytes uncompressed`;
    return {
      json: {
        tokens: prompt.length,
        seconds,
        bytes: file.size,
        cache,
        adapter: engine.info().adapter,
      },
      text: `${out}: ${prompt.length} tokens, read in ${seconds.toFixed(1)} s by ${name}, ${file.size} bytes (${kept})`,
      files: { [out]: new Uint8Array(await file.arrayBuffer()) },
    };
  },
};
