import { type CharSet, utf8Ranges } from "../grammar/char-set.ts";
import type { GrammarBuilder, Rule } from "../grammar/grammar.ts";

/** A text's form, in characters. */
export type Expression =
  | { readonly kind: "chars"; readonly set: CharSet }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly parts: readonly Expression[] }
  /** `max` may be Infinity. */
  | {
      readonly kind: "repeat";
      readonly part: Expression;
      readonly min: number;
      readonly max: number;
      /** The part is a character, in whatever way it is written; all loops of one name have the same part. */
      readonly loop?: string;
    }
  /** A rule of a grammar, by name. */
  | { readonly kind: "rule"; readonly name: string };

/** Most repeats that a quantifier may ask for. */
export const MOST_REPEATS = 100_000;

export const sequence = (...parts: readonly Expression[]): Expression => ({
  kind: "sequence",
  parts,
});
export const choice = (...parts: readonly Expression[]): Expression => ({ kind: "choice", parts });
/** Repeats of repeats become one, where they are the same texts: those of `(a?){30}` are `a{0,30}`, which has one way to read each. */
export function repeat(part: Expression, min: number, max: number): Expression {
  if (part.kind === "repeat" && part.loop === undefined && part.min <= 1 && part.max >= 1) {
    const most = max === 0 ? 0 : part.max * max;
    if (most <= MOST_REPEATS || most === Number.POSITIVE_INFINITY)
      return { ...part, min: part.min * min, max: most };
  }
  return { kind: "repeat", part, min, max };
}
export const optional = (part: Expression): Expression => repeat(part, 0, 1);
export const oneOf = (set: CharSet): Expression => ({ kind: "chars", set });
export const literal = (text: string): Expression =>
  sequence(...[...text].map((char) => oneOf([[char.codePointAt(0)!, char.codePointAt(0)!]])));

/** Whether the empty text is one of it; a rule is taken to have none. */
export function mayBeEmpty(expression: Expression): boolean {
  if (expression.kind === "sequence") return expression.parts.every(mayBeEmpty);
  if (expression.kind === "choice") return expression.parts.some(mayBeEmpty);
  return expression.kind === "repeat" && (expression.min === 0 || mayBeEmpty(expression.part));
}

/** Characters of the shortest and of the longest of its texts; of a rule anything may come. */
export function lengthsOf(expression: Expression): { least: number; most: number } {
  if (expression.kind === "chars") return { least: 1, most: 1 };
  if (expression.kind === "rule") return { least: 0, most: Number.POSITIVE_INFINITY };
  if (expression.kind === "repeat") {
    const { least, most } = lengthsOf(expression.part);
    const times = (count: number, length: number): number => (length === 0 ? 0 : count * length);
    return { least: times(expression.min, least), most: times(expression.max, most) };
  }
  const parts = expression.parts.map(lengthsOf);
  if (expression.kind === "choice")
    return {
      least: Math.min(...parts.map(({ least }) => least)),
      most: Math.max(0, ...parts.map(({ most }) => most)),
    };
  return {
    least: parts.reduce((sum, { least }) => sum + least, 0),
    most: parts.reduce((sum, { most }) => sum + most, 0),
  };
}

/** Loops that run at most so often are written out; longer ones are counted. */
const WRITTEN_OUT = 8;

/** How characters are written: as they are, or escaped within a JSON string. */
export type WriteChars = (builder: GrammarBuilder, from: number, set: CharSet, to: number) => void;

export const writeUtf8: WriteChars = (builder, from, set, to) => {
  for (const ranges of utf8Ranges(set)) {
    let at = from;
    ranges.forEach(([first, last], i) => {
      const next = i === ranges.length - 1 ? to : builder.state();
      builder.bytes(at, first, last, next);
      at = next;
    });
  }
};

/** Writes the text of an expression between two states. `rule` finds rules by name. */
export function writeExpression(
  builder: GrammarBuilder,
  from: number,
  expression: Expression,
  to: number,
  write: WriteChars = writeUtf8,
  rule?: (name: string) => Rule,
): void {
  const put = (at: number, part: Expression, next: number): void => {
    switch (part.kind) {
      case "chars":
        write(builder, at, part.set, next);
        return;
      case "rule":
        builder.call(at, rule!(part.name), next);
        return;
      case "choice":
        for (const option of part.parts) put(at, option, next);
        return;
      case "sequence": {
        let here = at;
        part.parts.forEach((one, i) => {
          const then = i === part.parts.length - 1 ? next : builder.state();
          put(here, one, then);
          here = then;
        });
        if (part.parts.length === 0) builder.skip(at, next);
        return;
      }
      case "repeat":
        putRepeat(at, part, next);
    }
  };
  const putRepeat = (
    at: number,
    { part, min, max, loop }: Extract<Expression, { kind: "repeat" }>,
    next: number,
  ): void => {
    const short = loop === undefined && min <= WRITTEN_OUT;
    if (short && (max <= WRITTEN_OUT || max === Number.POSITIVE_INFINITY)) {
      let here = at;
      for (let i = 0; i < min; i += 1) {
        const then = builder.state();
        put(here, part, then);
        here = then;
      }
      if (max === Number.POSITIVE_INFINITY) {
        const loop = builder.state();
        builder.skip(here, loop);
        const inside = builder.state();
        builder.skip(loop, inside);
        put(inside, part, loop);
        builder.skip(loop, next);
        return;
      }
      for (let i = min; i < max; i += 1) {
        builder.skip(here, next);
        const then = builder.state();
        put(here, part, then);
        here = then;
      }
      builder.skip(here, next);
      return;
    }
    const counted = builder.own((start, end) => {
      const body = (inside: number, head: number): void => {
        // What is counted within has a frame of its own, and so counts of its own.
        put(inside, part, head);
      };
      builder.count(start, min, max, body, end, loop ?? (part.kind === "chars" ? "" : undefined));
    });
    builder.call(at, counted, next);
  };
  put(from, expression, to);
}
