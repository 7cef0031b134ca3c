import {
  ANY_CHAR,
  type CharSet,
  charSet,
  chars,
  complement,
  LAST_CHAR,
} from "../grammar/char-set.ts";
import { GrammarError } from "../grammar/grammar.ts";
import {
  choice,
  type Expression,
  MOST_REPEATS,
  mayBeEmpty,
  oneOf,
  repeat,
  sequence,
} from "./expression.ts";

/** One way through a regular expression, and whether it must lie at the text's beginning and end. */
export interface Branch {
  readonly expression: Expression;
  readonly fromStart: boolean;
  readonly toEnd: boolean;
}

const DIGIT = charSet([[0x30, 0x39]]);
const WORD = charSet([...DIGIT, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]);
const SPACE = charSet([
  ...chars("\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"),
  [0x2000, 0x200a],
]);
const NEWLINE = chars("\n\r\u2028\u2029");
const CONTROL: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  f: "\f",
  v: "\v",
  "0": "\0",
};

/**
 * The branches of a regular expression of JavaScript (flag u). Throws GrammarError for what no automaton can follow:
 * look-arounds, back references, word boundaries, and anchors anywhere but at the ends.
 */
export function parseRegex(pattern: string): Branch[] {
  let unicode = true;
  try {
    new RegExp(pattern, "u");
  } catch (cause) {
    unicode = false;
    try {
      new RegExp(pattern);
    } catch {
      throw new GrammarError(`it is no regular expression: ${(cause as Error).message}`);
    }
  }
  return new RegexParser(pattern, unicode).branches();
}

/** The expression of texts that match a regular expression as a whole. */
export const wholeMatch = (pattern: string): Expression =>
  choice(...parseRegex(pattern).map(({ expression }) => expression));

/** Every text. */
export const ANY_TEXT = repeat(oneOf(ANY_CHAR), 0, Number.POSITIVE_INFINITY);

/** Texts in which a regular expression of JavaScript finds something, behind at most so many other characters. */
export function foundIn(pattern: string, before = Number.POSITIVE_INFINITY): Expression {
  const branches = parseRegex(pattern);
  // Nothing at all is found in every text.
  if (branches.some((one) => mayBeEmpty(one.expression) && !(one.fromStart && one.toEnd)))
    return ANY_TEXT;
  return choice(
    ...branches.map(({ expression, fromStart, toEnd }) =>
      sequence(
        ...(fromStart ? [] : [repeat(oneOf(ANY_CHAR), 0, before)]),
        expression,
        ...(toEnd ? [] : [ANY_TEXT]),
      ),
    ),
  );
}

class RegexParser {
  private readonly source: string;
  private readonly unicode: boolean;
  private at = 0;

  constructor(source: string, unicode: boolean) {
    this.source = source;
    this.unicode = unicode;
  }

  branches(): Branch[] {
    const branches: Branch[] = [];
    do {
      let fromStart = false;
      while (this.take("^")) fromStart = true;
      const expression = this.terms();
      let toEnd = false;
      while (this.take("$")) toEnd = true;
      branches.push({ expression, fromStart, toEnd });
    } while (this.take("|"));
    if (this.at < this.source.length) this.refuse("an anchor is not at an end");
    return branches;
  }

  private alternatives(): Expression {
    const parts = [this.terms()];
    while (this.take("|")) parts.push(this.terms());
    return parts.length === 1 ? parts[0]! : choice(...parts);
  }

  private terms(): Expression {
    const parts: Expression[] = [];
    while (this.at < this.source.length && !"|)$".includes(this.source[this.at]!))
      parts.push(this.term());
    return parts.length === 1 ? parts[0]! : sequence(...parts);
  }

  private term(): Expression {
    if (this.source[this.at] === "^") this.refuse("an anchor is not at an end");
    const atom = this.atom();
    const bounds = this.quantifier();
    if (!bounds) return atom;
    // A lazy one matches the same texts.
    this.take("?");
    const [min, max] = bounds;
    if (Math.max(min, max === Number.POSITIVE_INFINITY ? 0 : max) > MOST_REPEATS)
      this.refuse(`it repeats more than ${MOST_REPEATS} times`);
    return repeat(atom, min, max);
  }

  private quantifier(): [number, number] | undefined {
    if (this.take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.take("?")) return [0, 1];
    const found = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.source.slice(this.at));
    if (!found) return undefined;
    this.at += found[0].length;
    const min = Number(found[1]);
    if (!found[2]) return [min, min];
    return [min, found[3] ? Number(found[3]) : Number.POSITIVE_INFINITY];
  }

  private atom(): Expression {
    if (this.take("(")) {
      if (this.take("?") && !this.take(":")) {
        const name = /^<[^=!][^>]*>/.exec(this.source.slice(this.at));
        if (!name) this.refuse("look-arounds and flags are not supported");
        this.at += name![0].length;
      }
      const inner = this.alternatives();
      if (!this.take(")")) this.refuse("an anchor is not at an end");
      return inner;
    }
    if (this.take(".")) return oneOf(complement(NEWLINE));
    if (this.take("[")) return oneOf(this.charClass());
    if (this.source[this.at] === "\\") return oneOf(this.escape(false).set);
    return oneOf([one(this.char())]);
  }

  private charClass(): CharSet {
    const negated = this.take("^");
    const ranges: [number, number][] = [];
    while (!this.take("]")) {
      const first = this.classAtom();
      const dash = this.source[this.at] === "-" && this.source[this.at + 1] !== "]";
      if (!dash || first.single === undefined) {
        ranges.push(...(first.set as [number, number][]));
        continue;
      }
      this.at += 1;
      const last = this.classAtom();
      if (last.single === undefined) {
        ranges.push(
          ...(first.set as [number, number][]),
          one(0x2d),
          ...(last.set as [number, number][]),
        );
      } else ranges.push([first.single, last.single]);
    }
    return negated ? complement(charSet(ranges)) : charSet(ranges);
  }

  private classAtom(): { set: CharSet; single?: number | undefined } {
    if (this.source[this.at] === "\\") return this.escape(true);
    const char = this.char();
    return { set: [one(char)], single: char };
  }

  private escape(inClass: boolean): { set: CharSet; single?: number | undefined } {
    this.at += 1;
    const letter = this.source[this.at] ?? "";
    const rest = this.source.slice(this.at);
    const property = /^[pP]\{[^}]*\}/.exec(rest);
    if (property && this.unicode) {
      this.at += property[0].length;
      return { set: scan(`\\${property[0]}`) };
    }
    const hex = /^(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|u\{([\da-fA-F]+)\})/.exec(rest);
    // Without the flag u these braces repeat a letter.
    if (hex && (this.unicode || hex[3] === undefined)) {
      this.at += hex[0].length;
      let code = Number.parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16);
      const low = /^\\u([dD][c-fC-F][\da-fA-F]{2})/.exec(this.source.slice(this.at));
      if (code >= 0xd800 && code < 0xdc00 && low) {
        this.at += low[0].length;
        code = 0x10000 + ((code - 0xd800) << 10) + (Number.parseInt(low[1]!, 16) - 0xdc00);
      }
      return single(code);
    }
    const control = /^c([a-zA-Z])/.exec(rest);
    if (control) {
      this.at += 2;
      return single(control[1]!.charCodeAt(0) % 32);
    }
    if (/^[1-9]/.test(rest) || rest.startsWith("k<"))
      this.refuse("back references are not supported");
    if (!inClass && /^[bB]/.test(rest)) this.refuse("word boundaries are not supported");
    const char = this.char();
    const classes: Readonly<Record<string, CharSet>> = { d: DIGIT, w: WORD, s: SPACE };
    const lower = classes[letter.toLowerCase()];
    if (lower) return { set: letter === letter.toLowerCase() ? lower : complement(lower) };
    if (inClass && letter === "b") return single(8);
    return single(CONTROL[letter]?.charCodeAt(0) ?? char);
  }

  /** The next character; what stands for itself. */
  private char(): number {
    const char = this.source.codePointAt(this.at)!;
    this.at += char > 0xffff ? 2 : 1;
    return char;
  }

  private take(char: string): boolean {
    if (this.source[this.at] !== char) return false;
    this.at += 1;
    return true;
  }

  private refuse(why: string): never {
    throw new GrammarError(`${why}, at character ${this.at} of ${JSON.stringify(this.source)}`);
  }
}

const one = (char: number): [number, number] => [char, char];
const single = (char: number): { set: CharSet; single: number } => ({
  set: [one(char)],
  single: char,
});

/** The characters that a class of JavaScript takes. */
function scan(source: string): CharSet {
  const test = new RegExp(`^${source}$`, "u");
  const ranges: [number, number][] = [];
  for (const [first, last] of ANY_CHAR)
    for (let char = first; char <= Math.min(last, LAST_CHAR); char += 1) {
      if (!test.test(String.fromCodePoint(char))) continue;
      const before = ranges.at(-1);
      if (before?.[1] === char - 1) before[1] = char;
      else ranges.push([char, char]);
    }
  return ranges;
}
