import { describe, expect, it } from "vitest";
import { wholeChoice } from "../../../src/api/page/whole-choice.ts";
import type { AnswerDelta } from "../../../src/api/protocol.ts";
import { Answer } from "../../../src/api/worker/answer/answer.ts";
import type { ChannelParser, Part } from "../../../src/api/worker/answer/channel-parser.ts";
import { joinDeltas } from "../../../src/api/worker/answer/join-deltas.ts";
import type { Tokenizer } from "../../../src/text/types.ts";
import { byteTokenizer } from "./api-fake-engine.ts";

const CALL = 300;
/** Bytes, and a control token. */
const tokenizer: Tokenizer = {
  ...byteTokenizer,
  encode: (text, options) =>
    options?.special && text === "<call>" ? [CALL] : byteTokenizer.encode(text),
  tokenBytes: (id) => (id === CALL ? new Uint8Array(0) : byteTokenizer.tokenBytes(id)),
};

/** What stands in square brackets is a thought. */
const thoughts = (): ChannelParser => {
  let inside = false;
  return {
    controls: [],
    push: (text) => {
      const parts: Part[] = [];
      for (const piece of text.split(/([[\]])/)) {
        if (piece === "[" || piece === "]") inside = piece === "[";
        else if (piece !== "")
          parts.push(inside ? { reasoning_content: piece } : { content: piece });
      }
      return parts;
    },
    end: () => [],
  };
};

/** What follows the control token is a call, given as a whole at its end. */
const calls = (): ChannelParser => {
  let call: string | undefined;
  return {
    controls: ["<call>"],
    push: (text) => {
      const [before, after] = text.split("<call>");
      if (after !== undefined) call = after;
      else if (call !== undefined) call += text;
      return call !== undefined && after === undefined ? [] : [{ content: before! }];
    },
    end: () =>
      call === undefined
        ? []
        : [
            {
              tool_calls: [
                { index: 0, id: "1", type: "function", function: { name: "f", arguments: call } },
              ],
            },
          ],
  };
};

function run(tokens: readonly number[], options: Partial<ConstructorParameters<typeof Answer>[1]>) {
  const answer = new Answer(tokenizer, { stop: [], ...options });
  const deltas: AnswerDelta[] = [];
  for (const token of tokens) {
    deltas.push(...answer.push(token));
    if (answer.stopped) break;
  }
  deltas.push(...answer.end());
  const { message, finish_reason } = wholeChoice(0, deltas, answer.finish("length"));
  return { ...message, finish_reason, deltas, joined: joined(deltas) };
}

const joined = (deltas: readonly AnswerDelta[]): AnswerDelta[] => {
  const all: AnswerDelta[] = [];
  for (const delta of deltas) joinDeltas(all, [delta]);
  return all;
};

const bytes = (text: string): number[] => byteTokenizer.encode(text);

describe("an answer's channels", () => {
  it("are text alone without a parser, and control tokens write nothing", () => {
    const { content, joined } = run([...bytes("a[b"), CALL, ...bytes("]")], {});
    expect(content).toBe("a[b]");
    expect(joined).toEqual([{ index: 0, content: "a[b]" }]);
  });

  it("come apart, in their order, each control token to the parser that wants it", () => {
    const parsers = [thoughts(), calls()];
    const told = run([...bytes("[hm]yes"), CALL, ...bytes("{}")], { parsers });
    expect(told).toMatchObject({
      content: "yes",
      reasoning_content: "hm",
      tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }],
    });
    expect(told.joined.map((delta) => Object.keys(delta)[1])).toEqual([
      "reasoning_content",
      "content",
      "tool_calls",
    ]);
  });

  it("stop strings end what is shown, and are not looked for elsewhere", () => {
    const parsers = () => [thoughts(), calls()];
    const told = run(bytes("[a.b]c.d"), { parsers: parsers(), stop: ["."] });
    expect(told).toMatchObject({ content: "c", reasoning_content: "a.b", finish_reason: "stop" });
    // A stop string does not go on behind another channel.
    expect(run(bytes("x<[y]>z"), { parsers: parsers(), stop: ["<>"] }).content).toBe("x<>z");
  });

  it("the template's end of a turn ends every channel, and hands out what a parser kept back", () => {
    const tokens = [CALL, ...bytes('{"a":1}<|end|>more')];
    const told = run(tokens, { parsers: [thoughts(), calls()], ends: ["<|end|>"] });
    expect(told.tool_calls?.[0]?.function.arguments).toBe('{"a":1}');
    expect(told.finish_reason).toBe("tool_calls");
    expect(run(bytes("[a<|end|>b]c"), { parsers: [thoughts()], ends: ["<|end|>"] })).toMatchObject({
      content: "",
      reasoning_content: "a",
      finish_reason: "stop",
    });
  });

  it("an answer that calls ends by tool_calls, unless it was cut off", () => {
    const ended = (reason: "stop" | "length", tokens: readonly number[]) => {
      const answer = new Answer(tokenizer, { stop: [], parsers: [calls()] });
      for (const token of tokens) answer.push(token);
      answer.end();
      return answer.finish(reason);
    };
    expect(ended("stop", [CALL, 97])).toBe("tool_calls");
    expect(ended("length", [CALL, 97])).toBe("length");
    expect(ended("stop", [97])).toBe("stop");
  });
});

describe("deltas that wait", () => {
  it("become one where they are of one channel of one choice", () => {
    const all: AnswerDelta[] = [];
    joinDeltas(all, [
      { index: 0, content: "a" },
      { index: 0, content: "b" },
      { index: 1, content: "c" },
      { index: 0, reasoning_content: "d" },
      { index: 0, reasoning_content: "e" },
    ]);
    joinDeltas(all, [{ index: 0, content: "f" }]);
    expect(all).toEqual([
      { index: 0, content: "ab" },
      { index: 1, content: "c" },
      { index: 0, reasoning_content: "de" },
      { index: 0, content: "f" },
    ]);
  });

  it("pieces of calls stay apart, and make whole calls", () => {
    const first = { index: 0, id: "1", type: "function" as const };
    const pieces = [
      { ...first, function: { name: "f", arguments: "" } },
      { index: 0, function: { arguments: '{"a"' } },
      { index: 0, function: { arguments: ":1}" } },
      { ...first, index: 1, id: "2", function: { name: "g" } },
      { index: 1, function: { arguments: "{}" } },
    ].map((call) => ({ index: 0, tool_calls: [call] }));
    const all: AnswerDelta[] = [];
    joinDeltas(all, pieces);
    expect(all).toEqual(pieces);
    expect(wholeChoice(0, all, "tool_calls").message.tool_calls).toEqual([
      { id: "1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
      { id: "2", type: "function", function: { name: "g", arguments: "{}" } },
    ]);
  });
});
