import { describe, expect, test } from "vitest";
import { constrain, type Format } from "../../../src/constraint/constrain.ts";
import type { Constraint } from "../../../src/constraint/constraint.ts";
import { seededRandom } from "../../../src/random.ts";
import type { Tokenizer } from "../../../src/text/types.ts";
import { byteTokenizer } from "../../reference/schemas/byte-tokenizer.ts";
import { randomText } from "../../reference/schemas/random-walk.ts";

const tokenizer = byteTokenizer();
const END = [...tokenizer.endTokens][0]!;
const held = (format: Format, by: Tokenizer = tokenizer): Constraint => constrain(by, format);
const regex = (pattern: string, by?: Tokenizer): Constraint => held({ type: "regex", pattern }, by);
const schema = (value: unknown): Constraint => held({ type: "json_schema", schema: value });

/** The tokens that may come next, as text; the end is "END". */
function next(constraint: Constraint, by = tokenizer): string[] {
  const mask = new Uint32Array(Math.ceil(by.vocabSize / 32));
  constraint.mask(mask);
  const found: string[] = [];
  for (let id = 0; id < by.vocabSize; id += 1) {
    const allowed = ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
    expect(constraint.allows(id)).toBe(allowed);
    if (allowed) found.push(id === END ? "END" : new TextDecoder().decode(by.tokenBytes(id)));
  }
  return found.sort();
}

/** Takes a text token by token; false where it is not allowed. */
function takes(constraint: Constraint, text: string): boolean {
  const ahead = constraint.fork();
  for (const byte of new TextEncoder().encode(text)) {
    if (!ahead.allows(byte)) return false;
    ahead.accept(byte);
  }
  return ahead.mayEnd;
}

const whole = (pattern: string, text: string): boolean => {
  const constraint = regex(`${pattern}|[^\\u{0}]{0}`);
  return takes(constraint, text);
};

describe("a constraint", () => {
  test("allows all tokens that go on so, of several characters too, and no others", () => {
    expect(next(regex("ab?c?"))).toEqual(["a", "ab", "abc"]);
    const constraint = regex("ab?c?");
    constraint.accept("a".charCodeAt(0));
    expect(next(constraint)).toEqual(["END", "b", "c"]);
    expect([constraint.mayEnd, constraint.over]).toEqual([true, false]);
    constraint.accept("c".charCodeAt(0));
    expect([constraint.mayEnd, constraint.over]).toEqual([true, true]);
    expect(next(constraint)).toEqual(["END"]);
  });

  test("says what is forced, as the tokenizer writes it, and leaves the last token of it open", () => {
    const constraint = regex("abc12[xy]");
    expect(constraint.forced(9)).toEqual(tokenizer.encode("abc"));
    expect(next(constraint)).toEqual(["abc"]);
    constraint.accept(constraint.forced(1)[0]!);
    expect(next(constraint)).toEqual(["1", "12"]);
    expect(regex("a|b").forced(9)).toEqual([]);
    expect(regex("ab{0,3}").forced(9)).toEqual([]);
  });

  test("can be forked: both go their own ways", () => {
    const constraint = regex("[ab]{2}");
    const fork = constraint.fork();
    fork.accept("a".charCodeAt(0));
    fork.accept("b".charCodeAt(0));
    expect([fork.over, constraint.over]).toEqual([true, false]);
    expect(next(constraint)).toEqual(["a", "ab", "b"]);
  });

  test("takes no token that is not allowed", () => {
    expect(() => regex("ab").accept("b".charCodeAt(0))).toThrow(
      /not what the answer's format allows/,
    );
    expect(() => regex("ab").accept(END)).toThrow(/not what the answer's format allows/);
  });

  test("characters may be divided among tokens, and are always finished", () => {
    const constraint = regex("[é-ë]");
    expect(next(constraint)).toContain("é");
    constraint.accept(0xc3);
    expect(constraint.mayEnd).toBe(false);
    expect(constraint.allows(0xa9)).toBe(true);
    expect(constraint.allows(0xac)).toBe(false);
  });

  test("a tokenizer that takes the first space away gets one that is not counted", () => {
    const spaced = Object.assign(byteTokenizer(), { stripsLeadingSpace: true });
    expect(next(regex("ab", spaced), spaced)).toEqual([" ", "a", "ab"]);
    expect(next(regex(" a", spaced), spaced)).toEqual(["  "]);
  });

  test("bounds of long strings are kept to the character", () => {
    for (const [min, max] of [
      [0, 3],
      [2, 2],
      [9, 20],
      [60, 64],
    ] as const) {
      const constraint = schema({ type: "string", minLength: min, maxLength: max });
      for (const char of ["a", "é", "\u{1f600}", "\\n", "\\u00e9"]) {
        const text = (count: number): string => `"${char.repeat(count)}"`;
        expect(takes(constraint, text(min))).toBe(true);
        expect(takes(constraint, text(max))).toBe(true);
        expect(takes(constraint, text(max + 1))).toBe(false);
        if (min > 0) expect(takes(constraint, text(min - 1))).toBe(false);
      }
      const random = seededRandom(max);
      for (let i = 0; i < 30; i += 1) {
        const { length } = [
          ...(JSON.parse(randomText(tokenizer, constraint.fork(), random)!) as string),
        ];
        expect(length).toBeGreaterThanOrEqual(min);
        expect(length).toBeLessThanOrEqual(max);
      }
    }
  });
});

describe("regular expressions", () => {
  test.each([
    ["a{2,3}b*", ["aa", "aaab"], ["a", "aaaa"]],
    ["(?:ab|c)+?", ["ab", "cab"], ["", "a"]],
    ["(?<year>\\d{4})-[^\\d]", ["2026-x", "2026-é"], ["2026-1", "202-x"]],
    ["[\\w.-]+", ["a_1.-"], ["a b"]],
    ["\\p{Lu}\\P{L}", ["É1"], ["é1", "ÉÉ"]],
    ["\\u00e9|\\x41|\\u{1f600}", ["é", "A", "\u{1f600}"], ["B"]],
    [".", ["é", "日"], ["\n", ""]],
    ["^a$|^b$", ["a", "b"], ["ab"]],
    ["[a\\-z]", ["a", "-", "z"], ["m"]],
    ["a{12,14}", ["a".repeat(12), "a".repeat(14)], ["a".repeat(11), "a".repeat(15)]],
    ["(ab{9,10}){9,10}", [`a${"b".repeat(9)}`.repeat(9)], [`a${"b".repeat(9)}`.repeat(8)]],
  ] as const)("%s", (pattern, good, bad) => {
    for (const text of good) {
      expect(new RegExp(`^(?:${pattern})$`, "u").test(text)).toBe(true);
      expect(whole(pattern, text), text).toBe(true);
    }
    for (const text of bad) {
      expect(new RegExp(`^(?:${pattern})$`, "u").test(text)).toBe(false);
      if (text !== "") expect(whole(pattern, text), text).toBe(false);
    }
  });

  test("braces behind \\u repeat a letter where the flag u does not hold", () => {
    // "\\-" outside a class is an error under that flag.
    const pattern = "\\u{3}\\-";
    expect(new RegExp(`^${pattern}$`).test("uuu-")).toBe(true);
    const constraint = regex(pattern);
    expect(["uuu-", "\u0003-"].map((text) => takes(constraint, text))).toEqual([true, false]);
  });

  test.each([
    "a(?=b)",
    "(?<!a)b",
    "(a)\\1",
    "\\bword",
    "a^b",
    "(",
    "a{3,2}",
    `${"(".repeat(50_000)}${")".repeat(50_000)}`,
  ])("refused: %.20s", (pattern) => {
    const refused = expect.objectContaining({ code: "invalid_argument" });
    expect(() => regex(pattern)).toThrow(refused);
  });
});

describe("grammars", () => {
  const grammar = (text: string): Constraint => held({ type: "grammar", grammar: text });

  test("counts may leave out the least, and names may begin with a digit", () => {
    const counted = grammar('root ::= 2nd{,3} "."\n2nd ::= "a"');
    const texts = [0, 1, 3, 4].map((count) => takes(counted, `${"a".repeat(count)}.`));
    expect(texts).toEqual([true, true, true, false]);
    expect(() => grammar('root ::= "a"{,}')).toThrow(/is expected/);
  });

  test("rules, strings, classes, groups, counts, comments and recursion", () => {
    const sum = grammar(`
      # sums in brackets
      root ::= term ("+" term){1,2}
      term ::= [0-9]+ | "(" root ")"
        | "x" . "\\n\\x41"? # a line may go on
    `);
    for (const text of ["1+2", "(1+22)+3+4", "xé+1", "xa\nA+1"])
      expect(takes(sum, text)).toBe(true);
    for (const text of ["1", "1+2+3+4", "(1)+2", "x+1", "xa\n+1"])
      expect(takes(sum, text)).toBe(false);
  });

  test.each([
    ['root ::= root "a" | "b"', /begins with itself/],
    ['root ::= a\na ::= "" root "x" | "y"', /begins with itself/],
    ["root ::= nothing", /no rule "nothing"/],
    ['start ::= "a"', /no rule "root"/],
    ['root ::= "a', /line 1, column 12: a text or class is not closed/],
    ['root ::= ("a"', /"\)" is expected/],
    ['root ::= "a" a ::= "b"\nroot ::= "c"', /is expected|twice/],
    ['root ::= "a" root', /no text fits it/],
  ])("refused: %s", (text, why) => {
    expect(() => grammar(text)).toThrow(why);
    const refused = expect.objectContaining({
      code: "invalid_argument",
      details: { field: "response_format.grammar" },
    });
    expect(() => grammar(text)).toThrow(refused);
  });
});

describe("schemas that would be dear are refused or bounded", () => {
  const deep = (depth: number): unknown =>
    depth === 0
      ? { type: "null" }
      : { type: "array", items: deep(depth - 1), minItems: 1, maxItems: 1 };
  const many = Array.from({ length: 14 }, (_, i) => ({
    anyOf: [
      { properties: { [`a${i}`]: { type: "null" } } },
      { properties: { [`b${i}`]: { type: "null" } } },
    ],
  }));

  test.each([
    ["ways that multiply", { allOf: many }],
    [
      "ways that come to nothing",
      {
        allOf: [
          ...many,
          { anyOf: [{ type: "string" }, false] },
          { anyOf: [{ type: "null" }, false] },
        ],
      },
    ],
    ["a pattern with huge bounds", { type: "string", pattern: "^(ab|a)*$", minLength: 1e6 }],
    [
      "very many properties at most",
      { type: "object", additionalProperties: true, maxProperties: 1e7 },
    ],
  ])("%s", (_name, value) => {
    // The suite's limit on a test's time bounds how dear the refusal itself may be.
    expect(() => schema(value)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  test.each([
    ["a literal", { enum: [`${"a".repeat(60)}!`, "aa"], pattern: "^(a+)+$" }],
    ["optional parts", { enum: ["a".repeat(60), "b"], pattern: "^(a?){60}a{60}$" }],
    [
      "a property's name",
      {
        type: "object",
        properties: { [`${"a".repeat(60)}!`]: { type: "string" } },
        patternProperties: { "^(a|aa)+$": { type: "integer" } },
      },
    ],
  ])("no pattern can take long over %s", (_name, value) => {
    // One way after the other would take longer than this suite will last.
    expect(next(schema(value)).length).toBeGreaterThan(0);
  });

  test("literals are found by their pattern as JavaScript finds them", () => {
    const texts = ["", "a", "ab", "ba", "aab", "x-b-ax", "é1", "\u{1f600}", "a\nb"];
    for (const pattern of [
      "a",
      "^a",
      "b$",
      "^(?:ab|a)*$",
      "a+b",
      "^.$",
      "\\d|-",
      "^[^a]*$",
      ".b",
    ]) {
      const found = texts.filter((text) => new RegExp(pattern, "u").test(text));
      const constraint = schema({ enum: [...texts, 1], pattern });
      const taken = texts.filter((text) => takes(constraint, JSON.stringify(text)));
      expect([pattern, taken]).toEqual([pattern, found]);
    }
  });

  test.each([
    ["400 arrays within each other", deep(400)],
    ["huge bounds", { type: "array", items: { type: "string", minLength: 1e9 }, minItems: 1e9 }],
    [
      "formats that JavaScript's objects have",
      { type: "string", format: "constructor", enum: ["a"] },
    ],
    [
      "a property called __proto__",
      JSON.parse(
        '{"type":"object","properties":{"__proto__":{"const":1}},"required":["__proto__"]}',
      ),
    ],
  ])("%s", (_name, value) => {
    expect(next(schema(value)).length).toBeGreaterThan(0);
  });
});

describe("loops within loops", () => {
  test("may begin each other where no rule calls itself", () => {
    for (const [pattern, text] of [
      ["(a{0,20})*b", `${"a".repeat(50)}b`],
      ["([ab]{1,20} ?){1,20}", "ab a ba"],
      ["((a{1,100}){1,100}){1,100}", "a".repeat(150)],
    ] as const)
      expect([pattern, takes(regex(pattern), text)]).toEqual([pattern, true]);
    const grammar = held({ type: "grammar", grammar: 'root ::= x{9,20} "."\nx ::= "a"?' });
    expect(["", "a".repeat(20), "a".repeat(21)].map((a) => takes(grammar, `${a}.`))).toEqual([
      true,
      true,
      false,
    ]);
    expect(() =>
      held({ type: "grammar", grammar: 'root ::= x? root "a" | "b"\nx ::= "c"' }),
    ).toThrow(/begins with itself/);
  });

  test("are followed once where their rounds may read nothing", () => {
    const constraint = regex("(a?){0,100000}b");
    const { frames } = (constraint as unknown as { place: { frames: unknown[] } }).place;
    expect(frames.length).toBeLessThan(5);
  });

  test("of the same are one loop, whose counts may be bounded too", () => {
    for (const pattern of ["^(a?){400}$", "^((a?){20}){20}$", "^((a*)*)*$"]) {
      const string = () => schema({ type: "string", pattern, minLength: 1, maxLength: 400 });
      const found = ["", "a", "a".repeat(400), "a".repeat(401), "b"].map((text) =>
        takes(string(), JSON.stringify(text)),
      );
      expect([pattern, found]).toEqual([pattern, [false, true, true, false, false]]);
    }
    expect(
      ["aa", "aaa", "a".repeat(12)].map((text) => takes(regex("(a{1,3}){3,4}"), text)),
    ).toEqual([false, true, true]);
    expect(takes(regex("(a{2,3}){0,2}"), "a")).toBe(false);
    expect(takes(regex("(a{0,3}){0}b"), "ab")).toBe(false);
  });

  test("that are found in every text ask nothing of a string, however long it may be", () => {
    for (const pattern of ["(a?){30}", "(a?b?){30}", "(a{0,50}){50}", "^(a|b?){60}", "x*$"]) {
      const string = schema({ type: "string", pattern, maxLength: 5000 });
      expect([pattern, takes(string, '"anything: \\u00e9"')]).toEqual([pattern, true]);
    }
    const all = schema({ type: "string", pattern: "^a*$", maxLength: 5000 });
    expect(takes(all, '"anything"')).toBe(false);
  });

  test("of formats are held to bounds without counting, where their texts keep them, or to a shorter form", () => {
    const url = (length: number): string => `"https://a.com/${"b".repeat(length - 14)}"`;
    for (const maxLength of [40, 100, 255, 2048]) {
      const string = schema({ type: "string", format: "uri", minLength: 1, maxLength });
      const found = [20, 24, maxLength + 1].map((length) => takes(string, url(length)));
      expect([maxLength, found]).toEqual([maxLength, [true, true, false]]);
    }
    const mail = schema({ type: "string", format: "email", maxLength: 64 });
    expect(["a@b.com", "ab"].map((text) => takes(mail, `"${text}"`))).toEqual([true, false]);
    // A shorter form where the wide one cannot be counted, and nowhere else.
    const wide = "anna.lee@mail.example.com";
    const emails = [{ maxLength: 64 }, { maxLength: 64, pattern: "@mail\\.example\\.com$" }];
    for (const more of emails)
      expect(takes(schema({ type: "string", format: "email", ...more }), `"${wide}"`)).toBe(true);
    const date = { type: "string", format: "date", minLength: 11 };
    expect(() => schema(date)).toThrow(/no text/);
    expect(takes(schema({ ...date, minLength: 10, maxLength: 10 }), '"2026-12-01"')).toBe(true);
  });

  test("that can be read in too many ways are refused, as are repeats without end", () => {
    const rules = Array.from({ length: 30 }, (_, i) => `r${i} ::= r${i + 1} | r${i + 1} "x"`);
    const grammar = ["root ::= r0", ...rules, 'r30 ::= "a"'].join("\n");
    expect(() => held({ type: "grammar", grammar })).toThrow(/more than 20000 ways at once/);
    const many = `root ::= "a"{${"9".repeat(400)}}`;
    expect(() => held({ type: "grammar", grammar: many })).toThrow(/more than 100000 times/);
    expect(() => schema({ type: "string", pattern: "^(a?b?){5000}$", minLength: 3 })).toThrow(
      /too large/,
    );
  });
});
