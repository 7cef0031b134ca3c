import type { TextCommand } from "../command.ts";
import { required } from "../flags.ts";

export const tokenize: TextCommand<string> = {
  name: "tokenize",
  summary: "token ids of a text, nothing added",
  usage: "--text TEXT",
  flags: { text: "string" },
  read: async (flags) => required(flags, "text"),
  runText: async (text, tokenizer) => {
    const tokens = tokenizer.encode(text);
    return { json: { tokens }, text: tokens.join(" ") };
  },
};
