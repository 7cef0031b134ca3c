import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as furtherChecks from "../../../src/api/checks/openai-fields.ts";
import { checkRequest } from "../../../src/api/checks/validate-request.ts";
import type { AnswerDelta } from "../../../src/api/protocol.ts";
import { Answer } from "../../../src/api/worker/answer/answer.ts";
import { ThoughtConstraint } from "../../../src/api/worker/thoughts/thought-constraint.ts";
import { ThoughtParser } from "../../../src/api/worker/thoughts/thought-parser.ts";
import { planThoughts } from "../../../src/api/worker/thoughts/thoughts.ts";
import { constrain } from "../../../src/constraint/constrain.ts";
import type { Constraint } from "../../../src/constraint/constraint.ts";
import { seededRandom } from "../../../src/random.ts";
import { type ThoughtMarkers, thoughtMarkers } from "../../../src/text/template/thought-markers.ts";
import type { ChatTemplate, Tokenizer } from "../../../src/text/types.ts";
import { checked, holdTo } from "../../reference/schemas/checked-schemas.ts";
import { drawnWithin } from "../../reference/schemas/random-walk.ts";
import { byteTokenizer, FakeEngine, openFake } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "hi" }];
const THINK = thoughtMarkers("</think>")!;
const GEMMA = thoughtMarkers("<channel|>")!;
const templates = (
  JSON.parse(readFileSync(new URL("../fixtures/jinja.json", import.meta.url), "utf8")) as {
    templates: Record<string, { source: string }>;
  }
).templates;

/** Bytes, the end of an answer (256), and the spellings in `more` as tokens of their own from 257 on; `hidden`: control tokens. */
function tokenizerWith(more: readonly string[], hidden: boolean): Tokenizer {
  const bytes = byteTokenizer.encode;
  return {
    ...byteTokenizer,
    vocabSize: 257 + more.length,
    encode: (text, options) => {
      const ids: number[] = [];
      for (let at = 0; at < text.length; ) {
        const found = more.findIndex((token) => text.startsWith(token, at));
        if (found >= 0 && (options?.special || !hidden)) {
          ids.push(257 + found);
          at += more[found]!.length;
        } else {
          const char = String.fromCodePoint(text.codePointAt(at)!);
          ids.push(...bytes(char));
          at += char.length;
        }
      }
      return ids;
    },
    tokenBytes: (id) => {
      if (id < 257) return byteTokenizer.tokenBytes(id);
      return hidden ? new Uint8Array(0) : new TextEncoder().encode(more[id - 257]);
    },
  };
}

const MORE = ["<think>", "</think>", "<|channel>", "<channel|>", "\n\n"];
const controls = tokenizerWith(MORE.slice(0, 4), true);
const plain = byteTokenizer;
const merged = tokenizerWith(MORE, false);

/** What is shown of a text, in every piecewise cut of its tokens, which must all agree. */
function shown(
  text: string,
  { markers = THINK, opened = false, tokenizer = plain, stop = [] as string[] } = {},
) {
  const answer = new Answer(tokenizer, { stop, parsers: [new ThoughtParser(markers, opened)] });
  const deltas: AnswerDelta[] = [];
  for (const id of tokenizer.encode(text, { special: true })) {
    deltas.push(...answer.push(id));
    if (answer.stopped) break;
  }
  deltas.push(...answer.end());
  const join = (name: "content" | "reasoning_content") =>
    deltas.map((delta) => delta[name] ?? "").join("");
  return {
    thought: join("reasoning_content"),
    content: join("content"),
    tokens: answer.thoughtTokens,
    deltas,
  };
}

describe("thoughts come apart from answers", () => {
  it.each<[string, Tokenizer]>([
    ["control tokens", controls],
    ["plain text", plain],
    ["tokens that write", merged],
  ])("where the markers are %s", (_name, tokenizer) => {
    const text = "<think>\nLet me see: 1 < 2.\n</think>\n\nYes </b>.";
    const told = shown(text, { tokenizer });
    expect(told).toMatchObject({ thought: "Let me see: 1 < 2.", content: "Yes </b>." });
    expect(told.tokens).toBeGreaterThan("Let me see: 1 < 2.".length);
    for (const { content = "", reasoning_content: thought = "" } of told.deltas)
      expect(content + thought).not.toMatch(/think|\n/);
  });

  it.each<[string, string, boolean, string, string]>([
    ["the prompt opened it", "so\n</think>\n\nYes", true, "so", "Yes"],
    ["the model opens it once more", "\n<think>\nso</think>Yes", true, "so", "Yes"],
    ["there is none", "Yes <think>no</think>", false, "", "Yes <think>no</think>"],
    ["it is empty", "<think>\n\n</think>\n\nYes", false, "", "Yes"],
    ["it never ends", "<think>so it goes \n", false, "so it goes", ""],
    ["it is cut off in its end", "<think>so</thi", false, "so", ""],
    ["the answer is cut off in its beginning", "<thi", false, "", ""],
    ["an answer begins like one", "<b>bold</b>", false, "", "<b>bold</b>"],
    ["an answer is one character", "<", false, "", "<"],
    ["nothing was said", "", true, "", ""],
    ["space comes first", "  x", false, "", "  x"],
    ["an answer is indented", "<think>a</think>\n\n  x", false, "a", "  x"],
    ["the thought has paragraphs", "<think>a\n\n b</think>c", false, "a\n\n b", "c"],
  ])("where %s", (_name, text, opened, thought, content) => {
    expect(shown(text, { opened })).toMatchObject({ thought, content });
    // However the text is cut.
    for (let at = 1; at < text.length; at += 1) {
      const parser = new ThoughtParser(THINK, opened);
      const parts = [
        ...parser.push(text.slice(0, at)),
        ...parser.push(text.slice(at)),
        ...parser.end(),
      ];
      expect(parts.map((part) => part.reasoning_content ?? "").join("")).toBe(thought);
      expect(parts.map((part) => part.content ?? "").join("")).toBe(content);
    }
  });

  it("by Gemma's channel, whose markers are partly text", () => {
    const text = "<|channel>thought\nhm<channel|>Yes";
    const given = { markers: GEMMA, tokenizer: controls };
    expect(shown(text, given)).toMatchObject({ thought: "hm", content: "Yes" });
    expect(shown("<|channel>thought\n<channel|>Yes", given)).toMatchObject({ content: "Yes" });
  });

  it("stop strings are looked for in the answer alone", () => {
    const told = shown("<think>a. b.</think>c. d", { stop: ["."] });
    expect(told).toMatchObject({ thought: "a. b.", content: "c" });
  });

  it("the first row that a template spells is the model's", () => {
    expect(thoughtMarkers(templates.qwen3?.source ?? "</think>")).toBe(THINK);
    for (const row of ["<think>", "[THINK]", "<|channel>thought", "<seed:think>", "<thought>"])
      expect(thoughtMarkers(`{{ '${row}' }}`)?.open).toBe(row);
    expect(thoughtMarkers("{{ messages[0].content }}")).toBeUndefined();
  });
});

const plan = (source: string, request: object) =>
  planThoughts({ source } as ChatTemplate, checkRequest({ messages, ...request }, furtherChecks));
const SWITCHED =
  "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}";
const ALWAYS = "{{ '<think>' }}";
const GRADED = "{% if reasoning_effort == 'low' %}{% endif %}</think>";
const NEVER = "{{ messages }}";

describe("how a model is asked to think", () => {
  it.each<[string, string, object, object]>([
    ["nothing", SWITCHED, {}, { variables: {}, budget: undefined }],
    [
      "no effort",
      SWITCHED,
      { reasoning_effort: "none" },
      { variables: { enable_thinking: false } },
    ],
    ["an effort", SWITCHED, { reasoning_effort: "high" }, { variables: { enable_thinking: true } }],
    ["no effort of one that always thinks", ALWAYS, { reasoning_effort: "none" }, { budget: 0 }],
    ["an effort of one that always thinks", ALWAYS, { reasoning_effort: "low" }, { variables: {} }],
    [
      "a graded effort",
      GRADED,
      { reasoning_effort: "low" },
      { variables: { reasoning_effort: "low" } },
    ],
    ["no effort of one that cannot", NEVER, { reasoning_effort: "none" }, { variables: {} }],
    [
      "the default effort of one that cannot",
      NEVER,
      { reasoning_effort: "medium" },
      { variables: {} },
    ],
    ["a budget", ALWAYS, { thinking_token_budget: 7 }, { budget: 7 }],
    [
      "a variable",
      SWITCHED,
      { chat_template_kwargs: { enable_thinking: false } },
      { variables: { enable_thinking: false } },
    ],
    [
      "off, of one that always thinks",
      ALWAYS,
      { chat_template_kwargs: { enable_thinking: false } },
      { budget: 0 },
    ],
    [
      "on, of one that always thinks",
      ALWAYS,
      { chat_template_kwargs: { enable_thinking: true } },
      { variables: {}, budget: undefined },
    ],
    [
      "off, of one that cannot",
      NEVER,
      { chat_template_kwargs: { enable_thinking: false } },
      { variables: {} },
    ],
    [
      "both: the variable is nearer",
      SWITCHED,
      { reasoning_effort: "high", chat_template_kwargs: { enable_thinking: false } },
      { variables: { enable_thinking: false } },
    ],
  ])("%s", (_name, source, request, expected) => {
    expect(plan(source, request)).toMatchObject(expected);
  });

  it.each<[string, string, object, RegExp]>([
    [
      "an effort of one that cannot",
      NEVER,
      { reasoning_effort: "high" },
      /reasoning_effort: .*does not think/,
    ],
    [
      "thoughts of one that cannot",
      NEVER,
      { chat_template_kwargs: { enable_thinking: true } },
      /kwargs.enable_thinking/,
    ],
    [
      "a variable that is not read",
      ALWAYS,
      { chat_template_kwargs: { date: "x" } },
      /kwargs.date: .*does not read/,
    ],
    [
      "a word that is a field or a text",
      "{{ m.date }}'date'<date>",
      { chat_template_kwargs: { date: "x" } },
      /kwargs.date/,
    ],
    ["the request's own", ALWAYS, { chat_template_kwargs: { messages: [] } }, /kwargs.messages/],
    ["no name", ALWAYS, { chat_template_kwargs: { "a b": 1 } }, /"a b"/],
    ["no data", "{{ f }}", { chat_template_kwargs: { f: 1n } }, /plain data/],
    ["a budget below none", ALWAYS, { thinking_token_budget: -1 }, /thinking_token_budget/],
  ])("refuses %s", (_name, source, request, message) => {
    expect(() => plan(source, request)).toThrow(message);
  });
});

/** Follows `text`, then draws what is forced; each token must be allowed by the mask and by `allows`. */
function follow(constraint: Constraint, tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const written: number[] = [];
  const mask = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32));
  const take = (id: number): void => {
    constraint.mask(mask);
    const allowed = ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
    expect(allowed, `token ${id}`).toBe(true);
    expect(constraint.allows(id)).toBe(true);
    constraint.accept(id);
    written.push(id);
  };
  const rest = [...ids];
  for (;;) {
    const [forced] = constraint.forced(1);
    const next = forced ?? rest.shift();
    if (next === undefined) break;
    take(next);
  }
  return [tokenizer.decode(written.filter((id) => id < 256)), String(written.length)];
}

const allowed = (constraint: Constraint, tokenizer: Tokenizer, id: number): boolean => {
  const mask = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32));
  constraint.mask(mask);
  const bit = ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
  expect(constraint.allows(id)).toBe(bit);
  return bit;
};

const held = (
  tokenizer: Tokenizer,
  opened: boolean,
  more: { budget?: number; inner?: Constraint } = {},
  markers: ThoughtMarkers = THINK,
) => ThoughtConstraint.create(tokenizer, markers, opened, more);
const END = 256;
const digits = (tokenizer: Tokenizer) =>
  constrain(tokenizer, { type: "regex", pattern: "[0-9]{3}" });

describe("a budget of a thought", () => {
  it.each([0, 1, 5])("of %i tokens closes it", (budget) => {
    const thought = "abcdefgh".slice(0, budget);
    const closed = follow(held(plain, true, { budget }), plain, plain.encode(thought));
    expect(closed[0]).toBe(`${thought}\n</think>\n\n`);
    const begun = follow(held(plain, false, { budget }), plain, plain.encode(`<think>${thought}`));
    expect(begun[0]).toBe(`<think>${thought}\n</think>\n\n`);
  });

  it("is of no effect on a thought that ends before, and on an answer without one", () => {
    const text = "ab</think>and so on, for longer than that";
    expect(follow(held(plain, true, { budget: 20 }), plain, plain.encode(text))[0]).toBe(text);
    const without = "no thought, for longer than that";
    expect(follow(held(plain, false, { budget: 2 }), plain, plain.encode(without))[0]).toBe(
      without,
    );
  });

  it("does not cut a character in two", () => {
    const constraint = held(plain, true, { budget: 2 });
    const [text] = follow(constraint, plain, plain.encode("a😀"));
    expect(text).toBe("a😀\n</think>\n\n");
  });

  it("writes the model's own tokens", () => {
    const constraint = held(controls, true, { budget: 1 });
    constraint.accept(97);
    expect(constraint.forced(9)).toEqual([10, 258, 10, 10]);
  });
});

describe("a format behind a thought", () => {
  it.each<[string, Tokenizer]>([
    ["control tokens", controls],
    ["plain text", plain],
    ["tokens that write", merged],
  ])("holds from its end on, with %s", (_name, tokenizer) => {
    for (const [opened, text] of [
      [true, "so 12 </b></think>\n\n123"],
      [true, "so</think>123"],
      [false, "<think>so</think>\n123"],
      [false, "123"],
    ] as const) {
      const constraint = held(tokenizer, opened, { inner: digits(tokenizer) });
      follow(constraint, tokenizer, tokenizer.encode(text, { special: true }));
      expect(constraint.over, text).toBe(true);
      expect(constraint.mayEnd).toBe(true);
    }
  });

  it("the answer cannot end in the thought, nor be something else behind it", () => {
    const constraint = held(plain, true, { inner: digits(plain) });
    expect(allowed(constraint, plain, END)).toBe(false);
    expect(constraint.mayEnd).toBe(false);
    expect(allowed(constraint, plain, 120)).toBe(true);
    for (const id of plain.encode("</think>")) constraint.accept(id);
    expect(allowed(constraint, plain, 120)).toBe(false);
    expect(allowed(constraint, plain, 10)).toBe(true);
    expect(allowed(constraint, plain, 49)).toBe(true);
    const copy = constraint.fork();
    constraint.accept(10);
    constraint.accept(10);
    expect(allowed(constraint, plain, 10)).toBe(false);
    expect(allowed(copy, plain, 10)).toBe(true);
  });

  it("a token that closes a thought and says more is not drawn", () => {
    const tokenizer = tokenizerWith([">x", ">\n"], false);
    const constraint = held(tokenizer, true, { inner: digits(tokenizer) });
    expect(allowed(constraint, tokenizer, 257)).toBe(true);
    for (const id of tokenizer.encode("</think")) constraint.accept(id);
    expect(allowed(constraint, tokenizer, 257)).toBe(false);
    expect(allowed(constraint, tokenizer, 258)).toBe(true);
  });

  it("and a budget go together", () => {
    const constraint = held(plain, true, { budget: 3, inner: digits(plain) });
    expect(follow(constraint, plain, plain.encode("abc123"))[0]).toBe("abc\n</think>\n\n123");
    expect(constraint.over).toBe(true);
  });
});

describe("an answer behind a thought is whole within its tokens", () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string", minLength: 3 }, ages: { type: "array", minItems: 2 } },
    required: ["name", "ages"],
  };
  const person = checked(schema);
  const [open, close] = [THINK.open, THINK.close];

  describe.each<[string, Tokenizer]>([
    ["control tokens", controls],
    ["plain text", plain],
    ["tokens that write", merged],
  ])("with %s", (_name, tokenizer) => {
    const inner = holdTo(tokenizer, person)!;
    const least = inner.enough;
    const make = (opened: boolean) =>
      ThoughtConstraint.create(tokenizer, THINK, opened, { inner: inner.fork() });
    const ids = (text: string) => tokenizer.encode(text, { special: true });
    const markers = ids(open).length + ids(`\n${close}\n\n`).length;

    it.each([true, false])(
      "however many those are, in the thought from the start: %s",
      (opened) => {
        const random = seededRandom(2);
        let thoughts = 0;
        for (let limit = least; limit < least + markers + 60; limit += 1) {
          const constraint = make(opened);
          const parser = new ThoughtParser(THINK, opened);
          const { tokens } = drawnWithin(tokenizer, constraint, limit, random);
          const spell = (id: number) => (id > 256 ? MORE[id - 257]! : tokenizer.decode([id]));
          const written = tokens.map(spell).join("");
          const parts = [...parser.push(written), ...parser.end()];
          const said = parts.map(({ content = "" }) => content).join("");
          // Where the prompt has begun a thought, its end takes tokens too.
          if (opened && limit < least + markers) continue;
          expect(person.fault(said), `${limit} tokens, ${written}`).toBeUndefined();
          if (written.includes(close)) thoughts += 1;
        }
        expect(thoughts).toBeGreaterThan(opened ? 50 : 0);
      },
    );

    it("no thought is begun without room for one, and one with room is", () => {
      const [first] = ids(open);
      const mask = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32));
      const begins = (left: number): boolean => {
        const constraint = make(false);
        constraint.mask(mask, left);
        return constraint.allows(first!);
      };
      expect(begins(least + markers)).toBe(false);
      expect(begins(least + markers + 10)).toBe(true);
    });

    it("a thought is not cut for an answer that may be empty", () => {
      const any = constrain(tokenizer, { type: "regex", pattern: "[0-9]*" });
      const constraint = ThoughtConstraint.create(tokenizer, THINK, true, { inner: any });
      const mask = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32));
      for (let left = 9; left > 0; left -= 1) {
        constraint.mask(mask, left);
        constraint.accept(97);
      }
    });
  });
});

describe("in requests", () => {
  /** An engine whose model thinks. */
  async function thinker(answer: string, source = SWITCHED, prompt = "") {
    const opened = await openFake();
    const { fake } = opened;
    const seen: unknown[] = [];
    Object.assign(fake, {
      answer,
      template: {
        ...new FakeEngine().template,
        source,
        encode: (chat: object[], tokenizer: Tokenizer, options: object) => {
          seen.push({ chat, options });
          return tokenizer.encode(`${JSON.stringify(chat)}${prompt}`);
        },
      },
    });
    return { ...opened, seen };
  }

  it("a whole answer has both, and counts the thought's tokens", async () => {
    const { engine } = await thinker("<think>\nhm\n</think>\n\nhello");
    const { choices, usage } = await engine.chat.completions.create({ messages });
    expect(choices[0].message).toEqual({
      role: "assistant",
      content: "hello",
      reasoning_content: "hm",
      refusal: null,
    });
    expect(usage.completion_tokens_details).toEqual({ reasoning_tokens: 13 });
  });

  it("a stream has them in turn, and never half a marker", async () => {
    const { engine } = await thinker("so</think>yes", ALWAYS, "<think>\n");
    const stream = await engine.chat.completions.create({ messages, stream: true });
    const deltas: object[] = [];
    for await (const { choices } of stream) deltas.push(choices[0].delta);
    const text = (name: string) =>
      deltas.map((delta) => (delta as Record<string, string>)[name] ?? "").join("");
    expect(text("reasoning_content")).toBe("so");
    expect(text("content")).toBe("yes");
    expect(JSON.stringify(deltas)).not.toMatch(/[<>]/);
  });

  it("variables reach the template, and a thought that was sent back does", async () => {
    const { engine, seen } = await thinker("hello");
    await engine.chat.completions.create({
      messages: [
        ...messages,
        { role: "assistant", content: "a", reasoning_content: "b" },
        ...messages,
      ],
      chat_template_kwargs: { enable_thinking: false },
    });
    expect(seen[0]).toMatchObject({
      chat: [{}, { role: "assistant", content: "a", reasoning_content: "b" }, {}],
      options: { addGenerationPrompt: true, variables: { enable_thinking: false } },
    });
  });

  it("a model that does not think has no field of thoughts", async () => {
    const { engine } = await openFake();
    const { choices, usage } = await engine.chat.completions.create({ messages });
    expect(Object.keys(choices[0].message)).toEqual(["role", "content", "refusal"]);
    expect(usage).not.toHaveProperty("completion_tokens_details");
    const asked = { messages, reasoning_effort: "high" } as const;
    await expect(engine.chat.completions.create(asked)).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});
