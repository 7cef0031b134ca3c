import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ToolArguments } from "../../../src/constraint/calls/arguments.ts";
import { type CallPart, CallReader } from "../../../src/constraint/calls/call-reader.ts";
import { constrainCalls } from "../../../src/constraint/calls/constrain-calls.ts";
import { type CallSyntax, PLAIN, SYNTAXES } from "../../../src/constraint/calls/syntaxes.ts";
import type { CallableTool, CallChoice } from "../../../src/constraint/calls/write-calls.ts";
import type { Format } from "../../../src/constraint/constrain.ts";
import { seededRandom } from "../../../src/random.ts";
import type { Tokenizer } from "../../../src/text/types.ts";
import { byteTokenizer } from "../../reference/schemas/byte-tokenizer.ts";
import { randomTokens } from "../../reference/schemas/random-walk.ts";

const ALL = [...SYNTAXES, PLAIN];
/** Vocabularies that spell marks as text, and those that have control tokens for them. */
const KINDS = ALL.flatMap((syntax) =>
  (syntax.markers.length > 0 ? [false, true] : [false]).map((controls) => ({
    name: `${syntax.name}${controls ? ", control tokens" : ""}`,
    syntax,
    tokenizer: byteTokenizer(undefined, controls ? [...syntax.markers, "<|odd|>"] : ["<|odd|>"]),
  })),
);

const tool = (name: string, parameters: unknown): CallableTool => ({
  name,
  parameters,
  field: `tools.${name}`,
});

const string = (more: object = {}) => ({ type: "string", maxLength: 12, ...more });
const TOOLS = [
  tool("get_weather", {
    type: "object",
    properties: {
      city: string(),
      unit: { enum: ["c", "f", 'it\'s </parameter> "so"'] },
      days: { type: "integer", minimum: 1, maximum: 9 },
    },
    required: ["city", "days"],
  }),
  tool("now", { type: "object", properties: {} }),
  tool("a-b.c", {
    type: "object",
    properties: {
      id: string({ pattern: "^[a-z]{2}\\d+$" }),
      mixed: { anyOf: [string(), { type: "null" }, { type: "boolean" }] },
      when: { type: "string", format: "date" },
      list: { type: "array", items: string(), maxItems: 3 },
      deep: {
        type: "object",
        properties: {
          x: { type: "number" },
          y: { type: "array", items: { type: "boolean" }, maxItems: 2 },
          z: string(),
        },
        required: ["x"],
        additionalProperties: false,
      },
    },
    required: ["deep", "mixed"],
    additionalProperties: false,
  }),
  tool("keys", {
    type: "object",
    properties: { é: string(), $ref_: { const: null } },
    additionalProperties: { type: "integer" },
    maxProperties: 3,
  }),
];

const ajv = new Ajv2020({ strict: false });
const VALID = new Map(
  TOOLS.map(({ name, parameters }) => [name, ajv.compile(parameters as object)]),
);

const choose = (mode: CallChoice["mode"], more: Partial<CallChoice> = {}): CallChoice => ({
  mode,
  tools: TOOLS,
  parallel: true,
  ...more,
});

function readerOf(syntax: CallSyntax, tools = TOOLS, strict = false, required = false): CallReader {
  const known = new Map(
    tools.map(({ name, parameters, field }) => [name, new ToolArguments(parameters, field)]),
  );
  return new CallReader({
    syntax,
    names: [...known.keys()],
    isText: (name, key) => known.get(name)!.isText(key),
    strict,
    required,
  });
}

interface Whole {
  content: string;
  calls: { name: string; arguments: string }[];
}

function joined(parts: readonly CallPart[]): Whole {
  const whole: Whole = { content: "", calls: [] };
  const ids = new Set<string>();
  for (const { content = "", tool_calls = [] } of parts) {
    whole.content += content;
    for (const { index, id, type, function: part } of tool_calls) {
      if (part.name !== undefined) {
        expect(index).toBe(whole.calls.length);
        expect(type).toBe("function");
        ids.add(id!);
        whole.calls.push({ name: part.name, arguments: "" });
      } else expect([index, id]).toEqual([whole.calls.length - 1, undefined]);
      whole.calls[index]!.arguments += part.arguments;
    }
  }
  expect(ids.size).toBe(whole.calls.length);
  return whole;
}

/** Reads a text cut at these places. */
function read(syntax: CallSyntax, text: string, cuts: readonly number[], strict = false): Whole {
  const reader = readerOf(syntax, TOOLS, strict);
  const places = [...new Set([0, ...cuts, text.length])].sort((a, b) => a - b);
  const parts = places.slice(1).flatMap((to, i) => reader.push(text.slice(places[i], to)));
  return joined([...parts, ...reader.end()]);
}

const everywhere = (text: string): number[] => Array.from(text, (_, i) => i);

function drawn(
  tokenizer: Tokenizer,
  syntax: CallSyntax,
  choice: CallChoice,
  seed: number,
  format?: Format,
) {
  const constraint = constrainCalls(tokenizer, syntax, choice, format);
  const tokens = randomTokens(tokenizer, constraint, seededRandom(seed), 6000);
  return tokens && tokenizer.decode(tokens, { special: true });
}

/** What is wrong with the calls. */
function wrong({ calls }: Whole): string[] {
  return calls.flatMap(({ name, arguments: json }) => {
    const valid = VALID.get(name);
    try {
      if (valid?.(JSON.parse(json))) return [];
    } catch {}
    return [`${name} ${json} ${JSON.stringify(valid?.errors)}`];
  });
}

describe.each(KINDS)("$name", ({ syntax, tokenizer }) => {
  test("what is drawn at random are calls that parse and fit, however they are cut", () => {
    const called = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      const text = drawn(tokenizer, syntax, choose("required"), seed);
      if (text === undefined) continue;
      const whole = read(syntax, text, []);
      expect(whole.content).toBe("");
      expect(whole.calls.length).toBeGreaterThan(0);
      expect(wrong(whole), text).toEqual([]);
      expect(read(syntax, text, everywhere(text)), text).toEqual(whole);
      for (const { name } of whole.calls) called.add(name);
    }
    expect([...called].sort()).toEqual(TOOLS.map(({ name }) => name).sort());
  });

  test("what is cut anywhere says the same", () => {
    const texts = [1, 2, 3, 4, 5]
      .map((seed) => drawn(tokenizer, syntax, choose("required"), 100 + seed))
      .filter((text) => text !== undefined);
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.array(fc.nat(400), { maxLength: 12 }),
        (text, cuts) => {
          expect(
            read(
              syntax,
              text,
              cuts.filter((at) => at < text.length),
            ),
          ).toEqual(read(syntax, text, []));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("one call alone, of one tool, where that is asked for", () => {
    for (let seed = 0; seed < 12; seed += 1) {
      const one = choose("required", { parallel: false, tools: TOOLS.slice(1, 2) });
      const text = drawn(tokenizer, syntax, one, seed)!;
      expect(read(syntax, text, []).calls).toEqual([{ name: "now", arguments: "{}" }]);
    }
  });

  test("free text may become a call, and is none where none may come", () => {
    const call = `${syntax.call[0]}now${syntax.call[1]}`;
    const begun = syntax.trigger ? `Well, then: ${syntax.begin}${call}` : `${syntax.begin}${call}`;
    const free = constrainCalls(tokenizer, syntax, choose("auto"));
    const none = constrainCalls(tokenizer, syntax, choose("none"));
    const tokens = tokenizer.encode(begun, { special: true });
    for (const token of tokens) {
      expect(free.allows(token), begun).toBe(true);
      free.accept(token);
    }
    expect(free.mayEnd).toBe(false);
    const refused = tokens.findIndex((token) => {
      if (!none.allows(token)) return true;
      expect(none.mayEnd).toBe(true);
      none.accept(token);
      return false;
    });
    expect(refused).toBeGreaterThanOrEqual(0);
    // Behind the mark, all that can come are the tools' names.
    const other = constrainCalls(tokenizer, syntax, choose("auto"));
    for (const token of tokenizer.encode(begun.replace("now(", "no").replace(/now.*$/s, "no"), {
      special: true,
    }))
      other.accept(token);
    expect([other.allows(0x77), other.allows(0x78)]).toEqual([true, false]);
  });

  test("free text holds what it likes, control tokens too", () => {
    const odd = tokenizer.encode("<|odd|>", { special: true })[0]!;
    const free = constrainCalls(tokenizer, syntax, choose("auto"));
    expect(free.allows(odd)).toBe(true);
    free.accept(odd);
    for (const token of tokenizer.encode('It {is} "so" <tool>: é\n')) free.accept(token);
    expect([free.mayEnd, free.over, free.forced(9)]).toEqual([true, false, []]);
    const required = constrainCalls(tokenizer, syntax, choose("required"));
    expect(required.allows(odd)).toBe(false);
  });

  test("calls that are cut short give what has come, and nothing that has not", () => {
    const text = drawn(tokenizer, syntax, choose("required", { tools: TOOLS.slice(0, 1) }), 7)!;
    for (let length = 0; length < text.length; length += 1) {
      const { calls, content } = read(syntax, text.slice(0, length), []);
      const full = read(syntax, text, []).calls;
      calls.forEach((call, i) => {
        expect(call.name).toBe(full[i]!.name);
        expect(full[i]!.arguments.startsWith(call.arguments)).toBe(true);
      });
      if (calls.length > 0) expect(content).toBe("");
      // Where calls must come, what is no whole name yet is no text either.
      const reader = readerOf(syntax, TOOLS, false, true);
      const parts = [...reader.push(text.slice(0, length)), ...reader.end()];
      expect(joined(parts).content).toBe("");
    }
  });
});
