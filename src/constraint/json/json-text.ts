import {
  ANY_CHAR,
  type CharSet,
  charSet,
  chars,
  intersection,
  without,
} from "../grammar/char-set.ts";
import { type GrammarBuilder, GrammarError, type Rule } from "../grammar/grammar.ts";
import {
  allWithout,
  automatonOf,
  both,
  type CharAutomaton,
  writeAutomaton,
} from "../syntax/char-automaton.ts";
import {
  choice,
  type Expression,
  literal,
  oneOf,
  optional,
  repeat,
  sequence,
  writeExpression,
  writeUtf8,
} from "../syntax/expression.ts";
import { isPlainKey, JSON_NOTATION, type Notation, written } from "./notation.ts";

const CONTROLS = charSet([[0, 0x1f]]);
const QUOTED = charSet([...chars('"\\'), ...CONTROLS]);
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "\b": "b",
  "\f": "f",
  "\n": "n",
  "\r": "r",
  "\t": "t",
};

/** Writes characters as JSON strings hold them, each in one way alone. */
export function writeInString(
  builder: GrammarBuilder,
  from: number,
  set: CharSet,
  to: number,
): void {
  writeUtf8(builder, from, without(set, QUOTED), to);
  for (const [first, last] of intersection(set, QUOTED))
    for (let char = first; char <= last; char += 1) {
      const text = String.fromCharCode(char);
      const letters = ESCAPES[text] ?? `u${char.toString(16).padStart(4, "0")}`;
      writeExpression(builder, from, literal(`\\${letters}`), to);
    }
}

const DIGITS = oneOf([[0x30, 0x39]]);
const NINE = oneOf([[0x31, 0x39]]);
const HEX = oneOf(
  charSet([
    [0x30, 0x39],
    [0x41, 0x46],
    [0x61, 0x66],
  ]),
);

/** A character of a free string: escapes as a model may like to write them, but no half of a surrogate pair. */
const FREE_CHAR = choice(
  oneOf(without(ANY_CHAR, QUOTED)),
  sequence(oneOf(chars("\\")), oneOf(chars('"\\/bfnrt'))),
  sequence(
    literal("\\u"),
    choice(
      sequence(
        oneOf(
          charSet([
            [0x30, 0x39],
            [0x41, 0x43],
            [0x45, 0x46],
            [0x61, 0x63],
            [0x65, 0x66],
          ]),
        ),
        HEX,
      ),
      sequence(oneOf(chars("dD")), oneOf([[0x30, 0x37]])),
    ),
    HEX,
    HEX,
  ),
);

/** A string of so many characters, in quotes. */
export const freeString = (min = 0, max = Number.POSITIVE_INFINITY): Expression =>
  sequence(literal('"'), { kind: "repeat", part: FREE_CHAR, min, max, loop: "free" }, literal('"'));

/** Digits before the point: a double tells such numbers apart. */
const WHOLE_DIGITS = 15;

export const INTEGER = sequence(
  optional(literal("-")),
  choice(literal("0"), sequence(NINE, repeat(DIGITS, 0, WHOLE_DIGITS - 1))),
);

/** No number so large that it would be read as infinite. */
export const NUMBER = sequence(
  INTEGER,
  optional(sequence(literal("."), repeat(DIGITS, 1, WHOLE_DIGITS))),
  optional(sequence(oneOf(chars("eE")), optional(oneOf(chars("+-"))), repeat(DIGITS, 1, 2))),
);

/** Space between what JSON consists of: a blank, or a line and its indentation. It has an end. */
export const SPACE = optional(
  choice(literal(" "), sequence(literal("\n"), repeat(literal(" "), 0, 20))),
);

/** Words of a notation's grammar that all schemas share. */
export class JsonRules {
  readonly builder: GrammarBuilder;
  readonly notation: Notation;
  /** How a text of the notation is written. */
  private readonly spell: (text: string) => Expression;

  constructor(
    builder: GrammarBuilder,
    notation = JSON_NOTATION,
    spell: (text: string) => Expression = literal,
  ) {
    this.builder = builder;
    this.notation = notation;
    this.spell = spell;
  }

  put(from: number, expression: Expression, to: number): void {
    writeExpression(this.builder, from, expression, to, writeUtf8);
  }

  /** Writes a text of the notation. */
  text(from: number, text: string, to: number): void {
    this.put(from, this.spell(text), to);
  }

  /** Writes a value. */
  value(from: number, value: unknown, to: number): void {
    const text = written(value, this.notation);
    if (text === undefined)
      throw new GrammarError(`${JSON.stringify(value)} cannot be written in a call of this model`);
    this.text(from, text, to);
  }

  space(from: number, to: number): void {
    if (this.notation.spaced) this.put(from, SPACE, to);
    else this.builder.skip(from, to);
  }

  /** Writes a bracket on either side and the space behind the first; what is between goes from `first` to `closing`. */
  brackets(from: number, kind: "object" | "array", to: number): { first: number; closing: number } {
    const { builder } = this;
    const [open, close] = this.notation.brackets[kind];
    const [opened, first, closing] = [builder.state(), builder.state(), builder.state()];
    this.text(from, open, opened);
    this.space(opened, first);
    this.text(closing, close, to);
    return { first, closing };
  }

  private shared(name: string, define: (from: number, to: number) => void): Rule {
    return this.builder.rule(this.notation.name + name, define);
  }

  /** A string of any characters. */
  get string(): Rule {
    return this.shared("string", (from, to) => {
      const { raw } = this.notation;
      if (!raw) this.put(from, freeString(), to);
      else this.quoted(from, allWithout(raw.without), to);
    });
  }

  get number(): Rule {
    return this.shared("number", (from, to) => this.put(from, NUMBER, to));
  }

  get integer(): Rule {
    return this.shared("integer", (from, to) => this.put(from, INTEGER, to));
  }

  /** Any value. */
  get any(): Rule {
    return this.shared("value", (from, to) => {
      const { builder } = this;
      for (const word of this.notation.words) this.text(from, word, to);
      builder.call(from, this.string, to);
      builder.call(from, this.number, to);
      builder.call(from, this.array, to);
      builder.call(from, this.object, to);
    });
  }

  get array(): Rule {
    return this.shared("array", (from, to) =>
      this.list(from, "array", (at, next) => this.builder.call(at, this.any, next), to),
    );
  }

  get object(): Rule {
    return this.shared("object", (from, to) =>
      this.list(from, "object", (at, next) => this.entry(at, this.keys(), this.any, next), to),
    );
  }

  /** A key of this name. */
  key(name: string): Rule {
    const { raw } = this.notation;
    if (raw && !isPlainKey(name))
      throw new GrammarError(`${JSON.stringify(name)} cannot be a name in a call of this model`);
    const text = raw ? name : JSON.stringify(name);
    return this.shared(`key ${text}`, (from, to) => this.put(from, literal(text), to));
  }

  /** Keys that all of the automata take. */
  keys(limits: readonly CharAutomaton[] = []): Rule {
    const { builder, notation } = this;
    if (notation.raw) {
      const text = [PLAIN_KEYS, ...limits].reduce(both);
      return builder.own((from, to) => writeAutomaton(builder, from, text, to, writeUtf8));
    }
    if (limits.length === 0) return this.string;
    return builder.own((from, to) => this.quoted(from, limits.reduce(both), to));
  }

  /** Writes a string of these texts, with what stands around it. */
  quoted(from: number, texts: CharAutomaton, to: number): void {
    const { builder } = this;
    const { begin = '"', end = '"' } = this.notation.raw ?? {};
    const [opened, closing] = [builder.state(), builder.state()];
    this.text(from, begin, opened);
    writeAutomaton(builder, opened, texts, closing, this.notation.raw ? writeUtf8 : writeInString);
    this.text(closing, end, to);
  }

  /** `key: value`. */
  entry(from: number, key: Rule, value: Rule, to: number): void {
    const { builder } = this;
    const [before, between, after] = this.notation.entry;
    const states = Array.from({ length: 5 }, () => builder.state());
    const [ready, named, behind, first, last] = states as [number, number, number, number, number];
    this.text(from, before, ready);
    builder.call(ready, key, named);
    this.text(named, between, behind);
    this.space(behind, first);
    builder.call(first, value, last);
    this.text(last, after, to);
  }

  /** Any number of items between brackets. */
  list(
    from: number,
    kind: "object" | "array",
    item: (from: number, to: number) => void,
    to: number,
  ): void {
    const { builder } = this;
    const { first, closing } = this.brackets(from, kind, to);
    const [behind, next] = [builder.state(), builder.state()];
    builder.skip(first, closing);
    item(first, behind);
    this.comma(behind, next);
    item(next, behind);
    this.space(behind, closing);
  }

  comma(from: number, to: number): void {
    const behind = this.builder.state();
    this.text(from, this.notation.comma, behind);
    this.space(behind, to);
  }
}

/** Short names in letters that every notation can hold. */
const PLAIN_KEYS = automatonOf(
  sequence(
    oneOf(
      charSet([
        [0x41, 0x5a],
        [0x61, 0x7a],
        [0x5f, 0x5f],
      ]),
    ),
    repeat(
      oneOf(
        charSet([
          [0x30, 0x39],
          [0x41, 0x5a],
          [0x61, 0x7a],
          [0x5f, 0x5f],
        ]),
      ),
      0,
      39,
    ),
  ),
);
