import { checkRequest } from "../../api/checks/validate-request.ts";
import { runRequest } from "../../api/worker/completion.ts";
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
    const began = performance.now();
    const { usage } = await runRequest(
      engine,
      CONVERSATION,
      { ...checkRequest({ messages }), ahead: true },
      {
        onDeltas: () => {},
        onProgress: ({ read, total }) => report("read", read, total),
        signal,
      },
    );
    const tokens = usage.prompt_tokens;
    const seconds = (performance.now() - began) / 1000;
    const file = await engine.save(CONVERSATION, signal);
    const cache = engine.conversation(CONVERSATION).usage();
    const { name } = engine.info().model;
    const kept = `${cache.bytesUncompressed} bytes uncompressed`;
    return {
      json: {
        tokens,
        seconds,
        bytes: file.size,
        cache,
        adapter: engine.info().adapter,
      },
      text: `${out}: ${tokens} tokens, read in ${seconds.toFixed(1)} s by ${name}, ${file.size} bytes (${kept})`,
      files: { [out]: new Uint8Array(await file.arrayBuffer()) },
    };
  },
};
