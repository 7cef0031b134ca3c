import { ANY_CHAR, type CharSet, charSet, complement } from "../grammar/char-set.ts";
import { type GrammarBuilder, GrammarError, type Rule } from "../grammar/grammar.ts";
import {
  choice,
  type Expression,
  MOST_REPEATS,
  oneOf,
  repeat,
  sequence,
  writeExpression,
} from "./expression.ts";

/** The rule that a text begins with. */
const ROOT = "root";
/** Groups within groups, at most: each takes some of the stack. */
const DEEPEST = 200;
const NAME = /\w[\w-]*/y;
const BLANK = /(?:[ \t]|#[^\n]*)+/y;
const BLANKS = /(?:\s|#[^\n]*)+/y;

/**
 * A grammar in the notation of llama.cpp (GBNF), which is also XGrammar's: `root ::= "yes" | "no" | digits`, strings, classes
 * of characters, `.`, groups, `*`, `+`, `?`, `{2,5}`, `{,3}`, comments after `#`. Throws GrammarError.
 */
export function writeGbnf(builder: GrammarBuilder, text: string): Rule {
  const rules = new GbnfParser(text).rules();
  if (!rules.has(ROOT)) throw new GrammarError(`it has no rule "${ROOT}"`);
  const rule = (name: string): Rule => {
    const expression = rules.get(name);
    if (!expression) throw new GrammarError(`it has no rule ${JSON.stringify(name)}`);
    return builder.rule(name, (from, to) => open.push(() => put(from, expression, to)));
  };
  const open: (() => void)[] = [];
  const put = (from: number, expression: Expression, to: number): void =>
    writeExpression(builder, from, expression, to, undefined, rule);
  const root = rule(ROOT);
  for (let write = open.pop(); write; write = open.pop()) write();
  return root;
}

class GbnfParser {
  private readonly text: string;
  private at = 0;
  private depth = 0;

  constructor(text: string) {
    this.text = text;
  }

  rules(): Map<string, Expression> {
    const rules = new Map<string, Expression>();
    this.skip(BLANKS);
    while (this.at < this.text.length) {
      const name = this.match(NAME) ?? this.refuse("a rule's name is expected");
      this.skip(BLANK);
      if (!this.take("::=")) this.refuse('"::=" is expected');
      if (rules.has(name)) this.refuse(`the rule ${JSON.stringify(name)} is there twice`);
      rules.set(name, this.choice());
      this.skip(BLANKS);
    }
    return rules;
  }

  private choice(): Expression {
    const parts: Expression[] = [];
    do parts.push(this.sequence());
    while (this.takeAfter(BLANKS, "|"));
    return parts.length === 1 ? parts[0]! : choice(...parts);
  }

  private sequence(): Expression {
    const parts: Expression[] = [];
    for (;;) {
      const before = this.at;
      // Within a group, and before a rule's first part, lines may end.
      this.skip(this.depth > 0 || parts.length === 0 ? BLANKS : BLANK);
      if (parts.length === 0 && this.depth === 0 && this.startsRule()) {
        this.at = before;
        break;
      }
      const part = this.part();
      if (!part) break;
      parts.push(this.repeated(part));
    }
    return parts.length === 1 ? parts[0]! : sequence(...parts);
  }

  private startsRule(): boolean {
    const { at } = this;
    const found = this.match(NAME) !== undefined;
    this.skip(BLANK);
    const starts = found && this.text.startsWith("::=", this.at);
    this.at = at;
    return starts;
  }

  private part(): Expression | undefined {
    if (this.take('"')) return this.quoted();
    if (this.take("[")) return oneOf(this.charClass());
    if (this.take(".")) return oneOf(ANY_CHAR);
    if (this.take("(")) {
      this.depth += 1;
      if (this.depth > DEEPEST) this.refuse("groups nest too deeply");
      const inner = this.choice();
      this.skip(BLANKS);
      if (!this.take(")")) this.refuse('")" is expected');
      this.depth -= 1;
      return inner;
    }
    const name = this.match(NAME);
    return name === undefined ? undefined : { kind: "rule", name };
  }

  private repeated(part: Expression): Expression {
    if (this.take("*")) return repeat(part, 0, Number.POSITIVE_INFINITY);
    if (this.take("+")) return repeat(part, 1, Number.POSITIVE_INFINITY);
    if (this.take("?")) return repeat(part, 0, 1);
    const bounds = this.match(/\{\s*(?:\d+(?:\s*,\s*\d*)?|,\s*\d+)\s*\}/y);
    if (bounds === undefined) return part;
    const [, least, rest, most] = /\{\s*(\d*)(\s*,\s*(\d*))?/.exec(bounds)!;
    const min = Number(least);
    const max = rest === undefined ? min : most ? Number(most) : Number.POSITIVE_INFINITY;
    if (min > max) this.refuse("the counts are the wrong way round");
    if (Math.max(min, max === Number.POSITIVE_INFINITY ? 0 : max) > MOST_REPEATS)
      this.refuse(`it repeats more than ${MOST_REPEATS} times`);
    return repeat(part, min, max);
  }

  private quoted(): Expression {
    const parts: Expression[] = [];
    while (!this.take('"')) {
      const char = this.char();
      parts.push(oneOf([[char, char]]));
    }
    return sequence(...parts);
  }

  private charClass(): CharSet {
    const negated = this.take("^");
    const ranges: [number, number][] = [];
    while (!this.take("]")) {
      const first = this.char();
      if (this.text[this.at] === "-" && this.text[this.at + 1] !== "]") {
        this.at += 1;
        const last = this.char();
        if (last < first) this.refuse("a range of characters is the wrong way round");
        ranges.push([first, last]);
      } else ranges.push([first, first]);
    }
    return negated ? complement(charSet(ranges)) : charSet(ranges);
  }

  private char(): number {
    const code = this.text.codePointAt(this.at);
    if (code === undefined || code === 0x0a) this.refuse("a text or class is not closed");
    if (code !== 0x5c) {
      this.at += code! > 0xffff ? 2 : 1;
      return code!;
    }
    const code16 =
      this.match(/\\x[\da-fA-F]{2}/y) ??
      this.match(/\\u[\da-fA-F]{4}/y) ??
      this.match(/\\U[\da-fA-F]{8}/y);
    if (code16) return Number.parseInt(code16.slice(2), 16);
    const letter = this.match(/\\[^\n]/uy) ?? this.refuse("an escape is not closed");
    const known = { n: "\n", r: "\r", t: "\t" }[letter.slice(1)];
    return (known ?? letter.slice(1)).codePointAt(0)!;
  }

  private takeAfter(blank: RegExp, text: string): boolean {
    const { at } = this;
    this.skip(blank);
    if (this.take(text)) return true;
    this.at = at;
    return false;
  }

  private take(text: string): boolean {
    if (!this.text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private skip(blank: RegExp): void {
    this.match(blank);
  }

  private match(form: RegExp): string | undefined {
    form.lastIndex = this.at;
    const found = form.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private refuse(problem: string): never {
    const before = this.text.slice(0, this.at).split("\n");
    throw new GrammarError(
      `line ${before.length}, column ${before.at(-1)!.length + 1}: ${problem}`,
    );
  }
}
