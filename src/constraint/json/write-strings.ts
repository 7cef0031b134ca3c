import { ANY_CHAR, chars, without } from "../grammar/char-set.ts";
import { GrammarError } from "../grammar/grammar.ts";
import {
  allWithout,
  automatonOf,
  both,
  type CharAutomaton,
  isEmpty,
  lengths,
} from "../syntax/char-automaton.ts";
import { type Expression, lengthsOf, oneOf, writeExpression } from "../syntax/expression.ts";
import { ANY_TEXT, foundIn, wholeMatch } from "../syntax/regex.ts";
import { FORMATS, REFUSED_FORMATS } from "./formats.ts";
import { freeString, type JsonRules, writeInString } from "./json-text.ts";
import type { Notation } from "./notation.ts";
import type { SchemaObject, SchemaRef, SchemaSource } from "./schema-source.ts";

/** Most characters before what an open pattern looks for: it must come some time. */
const BEFORE_MATCH = 32;

/** What schemas ask of a string. */
export interface StringWishes {
  readonly min: number;
  readonly max: number;
  /** Each must hold. */
  readonly forms: readonly Expression[];
}

export function stringWishes(source: SchemaSource, schemas: readonly SchemaRef[]): StringWishes {
  let [min, max] = [0, Number.POSITIVE_INFINITY];
  const forms: Expression[] = [];
  const formats: Expression[][] = [];
  for (const ref of schemas) {
    const { minLength, maxLength, pattern, format } = ref.schema as SchemaObject;
    if (typeof minLength === "number") min = Math.max(min, minLength);
    if (typeof maxLength === "number") max = Math.min(max, maxLength);
    if (typeof pattern === "string")
      forms.push(at(source, ref, "pattern", () => foundIn(pattern, BEFORE_MATCH)));
    if (typeof format !== "string") continue;
    if (REFUSED_FORMATS.includes(format))
      throw source.refuse(
        source.child(ref, 0, "format").path,
        `${JSON.stringify(format)} is not supported`,
      );
    const known = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
    if (known !== undefined) formats.push(known.map(wholeMatch));
  }
  // Beside a pattern the widest form alone is asked for: a shorter one may have nothing that the pattern finds.
  const alone = forms.length === 0 && formats.length === 1;
  for (const all of formats)
    forms.push((alone && all.find((form) => isCountable(form, min, max))) || all[0]!);
  return counted({ min, max, forms: forms.filter((form) => form !== ANY_TEXT) });
}

/** Without the bounds that all texts of a form keep anyway: these need not be counted. */
function counted({ min, max, forms }: StringWishes): StringWishes {
  if (min > max) return { min, max, forms };
  const held = forms.map(lengthsOf);
  return {
    min: held.some(({ least }) => least >= min) ? 0 : min,
    max: held.some(({ most }) => most <= max) ? Number.POSITIVE_INFINITY : max,
    forms,
  };
}

/** Whether the form has texts within the bounds, and an automaton of them is not too large. */
function isCountable(form: Expression, min: number, max: number): boolean {
  const wishes = counted({ min, max, forms: [form] });
  if (wishes.min === 0 && wishes.max === Number.POSITIVE_INFINITY) return true;
  try {
    return !isEmpty(wishedText(wishes)!);
  } catch (error) {
    if (error instanceof GrammarError) return false;
    throw error;
  }
}

/** A GrammarError of `make` becomes one that names its place. */
export function at<T>(source: SchemaSource, ref: SchemaRef, keyword: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    throw source.refuse(
      keyword === "" ? ref.path : source.child(ref, 0, keyword).path,
      error.message,
    );
  }
}

/** The automaton of all that is wished; undefined: nothing is. */
export function wishedText({ min, max, forms }: StringWishes): CharAutomaton | undefined {
  const parts = forms.map(automatonOf);
  if (min > 0 || max < Number.POSITIVE_INFINITY) parts.push(lengths(min, max));
  return parts.length === 0 ? undefined : parts.reduce(both);
}

/** Writes a string, with what stands around it. */
export function writeString(
  rules: JsonRules,
  from: number,
  wishes: StringWishes,
  to: number,
): void {
  const { builder, notation } = rules;
  const { min, max, forms } = wishes;
  const free = min === 0 && max === Number.POSITIVE_INFINITY;
  if (forms.length === 0 && free) {
    builder.call(from, rules.string, to);
    return;
  }
  if (notation.raw) {
    writeRaw(rules, notation.raw, from, wishes, to);
    return;
  }
  if (forms.length === 0) {
    if (min <= max) rules.put(from, freeString(min, max), to);
    return;
  }
  if (forms.length > 1 || !free) {
    rules.quoted(from, wishedText(wishes)!, to);
    return;
  }
  const [opened, closing] = [builder.state(), builder.state()];
  rules.text(from, '"', opened);
  writeExpression(builder, opened, forms[0]!, closing, writeInString);
  rules.text(closing, '"', to);
}

/** A string that stands as it is. Where its characters alone are counted, those that its end has are left out. */
function writeRaw(
  rules: JsonRules,
  { begin, end, without: ends }: NonNullable<Notation["raw"]>,
  from: number,
  wishes: StringWishes,
  to: number,
): void {
  const { builder } = rules;
  const { min, max, forms } = wishes;
  if (forms.length > 0) {
    rules.quoted(from, both(wishedText(wishes)!, allWithout(ends)), to);
    return;
  }
  if (min > max) return;
  const [opened, closing] = [builder.state(), builder.state()];
  rules.text(from, begin, opened);
  const part = oneOf(without(ANY_CHAR, chars("<")));
  rules.put(opened, { kind: "repeat", part, min, max, loop: "raw" }, closing);
  rules.text(closing, end, to);
}
