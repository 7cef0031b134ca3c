import {
  ANY_CHAR,
  type CharSet,
  charSet,
  chars,
  intersection,
  without,
} from "../grammar/char-set.ts";
import type { GrammarBuilder, Rule } from "../grammar/grammar.ts";
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

/** Words of JSON's grammar that all schemas share. */
export class JsonRules {
  readonly builder: GrammarBuilder;

  constructor(builder: GrammarBuilder) {
    this.builder = builder;
  }

  put(from: number, expression: Expression, to: number): void {
    writeExpression(this.builder, from, expression, to, writeUtf8);
  }

  space(from: number, to: number): void {
    this.put(from, SPACE, to);
  }

  /** Writes a bracket on either side and the space behind the first; what is between goes from `first` to `closing`. */
  brackets(
    from: number,
    open: string,
    close: string,
    to: number,
  ): { first: number; closing: number } {
    const { builder } = this;
    const [opened, first, closing] = [builder.state(), builder.state(), builder.state()];
    this.put(from, literal(open), opened);
    this.space(opened, first);
    this.put(closing, literal(close), to);
    return { first, closing };
  }

  /** A string of any characters. */
  get string(): Rule {
    return this.builder.rule("string", (from, to) => this.put(from, freeString(), to));
  }

  get number(): Rule {
    return this.builder.rule("number", (from, to) => this.put(from, NUMBER, to));
  }

  get integer(): Rule {
    return this.builder.rule("integer", (from, to) => this.put(from, INTEGER, to));
  }

  /** Any value. */
  get value(): Rule {
    return this.builder.rule("value", (from, to) => {
      const { builder } = this;
      for (const word of ["null", "true", "false"]) this.put(from, literal(word), to);
      builder.call(from, this.string, to);
      builder.call(from, this.number, to);
      builder.call(from, this.array, to);
      builder.call(from, this.object, to);
    });
  }

  get array(): Rule {
    return this.builder.rule("array", (from, to) =>
      this.list(from, "[", (at, next) => this.builder.call(at, this.value, next), "]", to),
    );
  }

  get object(): Rule {
    return this.builder.rule("object", (from, to) =>
      this.list(from, "{", (at, next) => this.entry(at, this.string, this.value, next), "}", to),
    );
  }

  /** `key: value`. */
  entry(from: number, key: Rule, value: Rule, to: number): void {
    const { builder } = this;
    const [named, behind, ready] = [builder.state(), builder.state(), builder.state()];
    builder.call(from, key, named);
    this.put(named, literal(":"), behind);
    this.space(behind, ready);
    builder.call(ready, value, to);
  }

  /** Any number of items between brackets. */
  list(
    from: number,
    open: string,
    item: (from: number, to: number) => void,
    close: string,
    to: number,
  ): void {
    const { builder } = this;
    const [opened, first, behind, closing, next] = Array.from({ length: 5 }, () =>
      builder.state(),
    ) as [number, number, number, number, number];
    this.put(from, literal(open), opened);
    this.space(opened, first);
    this.put(first, literal(close), to);
    item(first, behind);
    this.comma(behind, next);
    item(next, behind);
    this.space(behind, closing);
    this.put(closing, literal(close), to);
  }

  comma(from: number, to: number): void {
    const behind = this.builder.state();
    this.put(from, literal(","), behind);
    this.space(behind, to);
  }
}
