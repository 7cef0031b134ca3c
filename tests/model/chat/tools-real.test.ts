import { expect, it } from "vitest";
import { type ChatMessage, createEngine } from "../../../src/node.ts";

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "Tells the weather of a city.",
      parameters: {
        type: "object",
        properties: { city: { type: "string", maxLength: 20 } },
        required: ["city"],
        additionalProperties: false,
      },
    },
  },
];

it("SmolLM2 is asked, calls, is told and answers; the chat up to its call is not read again", async () => {
  const model = process.env.WINNOW_MODEL ?? ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  const engine = await createEngine({ model });
  try {
    const messages: ChatMessage[] = [{ role: "user", content: "What is the weather in Paris?" }];
    const request = { tools, temperature: 0, max_tokens: 40 };
    const first = await engine.chat.completions.create({
      messages,
      ...request,
      tool_choice: "required",
      parallel_tool_calls: false,
    });
    const { message, finish_reason } = first.choices[0];
    expect([message.content, finish_reason]).toEqual(["", "tool_calls"]);
    const [call] = message.tool_calls!;
    expect(call!.function.name).toBe("get_weather");
    expect(JSON.parse(call!.function.arguments)).toEqual({
      city: expect.stringContaining("Paris"),
    });
    messages.push(message, {
      role: "tool",
      tool_call_id: call!.id,
      content: "It is sunny, 21 degrees.",
    });
    const second = await engine.chat.completions.create({
      messages,
      ...request,
      tool_choice: "none",
    });
    expect(second.choices[0].message.content).toMatch(/sunny|21/);
    expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(
      first.usage.prompt_tokens,
    );
  } finally {
    await engine.close();
  }
});
