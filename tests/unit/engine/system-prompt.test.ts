import { expect, it } from "vitest";
import { systemTokens } from "../../../src/engine/chat/system-prompt.ts";
import type { ChatMessage } from "../../../src/text/types.ts";
import { byteTokenizer, FakeEngine } from "../api/api-fake-engine.ts";

const model = { template: new FakeEngine().template, tokenizer: byteTokenizer };
const of = (...messages: ChatMessage[]): string => {
  const prompt = model.template.encode(messages, byteTokenizer, { addGenerationPrompt: true });
  return byteTokenizer.decode(prompt.slice(0, systemTokens(model, messages, prompt)));
};
const system: ChatMessage = { role: "system", content: "Speak like a miller." };

it("ends with the system message, whatever the first question begins with", () => {
  for (const content of ["Hello", "0", "1 and 0", ""]) {
    const found = of(system, { role: "user", content }, { role: "assistant", content: "Aye." });
    expect(found).toContain(system.content);
    expect(found).not.toContain(content || "Aye");
  }
});

it("has nothing of a chat without one, or of a message that comes later", () => {
  expect(of({ role: "user", content: "Hello" })).toBe("");
  expect(of({ role: "user", content: "Hello" }, system)).toBe("");
});
