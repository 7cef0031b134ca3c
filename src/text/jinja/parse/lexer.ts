import { TemplateError } from "../template-error.ts";

export type TokenType =
  | "data"
  | "variable_begin"
  | "variable_end"
  | "block_begin"
  | "block_end"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "end";

export interface Token {
  readonly type: TokenType;
  /** A string's content, or the operator. */
  readonly value: string;
  readonly line: number;
}

const RAW_BEGIN = /\{%([-+]?)\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const COMMENT_END = /(?:\+#\}|-#\}\s*|#\}\n?)/g;
const BLOCK_END = /(?:\+%\}|-%\}\s*|%\}\n?)/y;
const VARIABLE_END = /-?\}\}/y;
const SPACE = /\s+/y;
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy;
const OPERATOR = /\*\*|\/\/|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;

const PATTERNS = [
  ["float", FLOAT],
  ["integer", INTEGER],
  ["name", NAME],
  ["string", STRING],
] as const;

const OPENING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/**
 * Cuts a template into tokens with `trim_blocks` and `lstrip_blocks`: the newline behind a statement or comment goes,
 * and so do the spaces in front of one on its line. Line ends become "\n"; one at the end of the source goes.
 * @throws TemplateError with the line.
 */
export function tokenize(source: string): Token[] {
  return new Lexer(source.replace(/\r\n?/g, "\n").replace(/\n$/, "")).run();
}

class Lexer {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #counted = 0;
  /** What is before `#at` ends a line. */
  #lineStarts = true;

  constructor(text: string) {
    this.#text = text;
  }

  run(): Token[] {
    for (;;) {
      const open = this.#nextOpening();
      if (open === -1) break;
      this.#at = open;
      const raw = this.#match(RAW_BEGIN);
      if (raw) this.#raw(raw);
      else if (this.#text[open + 1] === "#") this.#comment();
      else this.#tag(this.#text[open + 1] === "%" ? "block" : "variable");
    }
    this.#data(this.#text.slice(this.#at));
    this.#push("end", "", this.#text.length);
    return this.#tokens;
  }

  /** Where the next tag begins; what is before it becomes data. */
  #nextOpening(): number {
    let open = this.#at - 1;
    do open = this.#text.indexOf("{", open + 1);
    while (open !== -1 && !/[{%#]/.test(this.#text[open + 1] ?? ""));
    if (open === -1) return -1;
    const sign = this.#text[open + 2];
    const before = this.#text.slice(this.#at, open);
    this.#data(this.#stripBefore(before, sign, this.#text[open + 1] !== "{"));
    return open;
  }

  #stripBefore(before: string, sign: string | undefined, strips: boolean): string {
    if (sign === "-") return before.trimEnd();
    if (sign === "+" || !strips) return before;
    const line = before.lastIndexOf("\n") + 1;
    if (line === 0 && !this.#lineStarts) return before;
    return before.slice(line).trim() === "" ? before.slice(0, line) : before;
  }

  #raw(begin: string): void {
    this.#ends(begin);
    RAW_END.lastIndex = this.#at;
    const end = RAW_END.exec(this.#text);
    if (!end) throw this.#error("there is no endraw for this raw");
    this.#data(this.#stripBefore(this.#text.slice(this.#at, end.index), end[1], true));
    this.#at = end.index + end[0].length;
    this.#ends(end[0]);
  }

  #comment(): void {
    COMMENT_END.lastIndex = this.#at + 2;
    const end = COMMENT_END.exec(this.#text);
    if (!end) throw this.#error("there is no end of this comment");
    this.#at = end.index + end[0].length;
    this.#ends(end[0]);
  }

  #tag(kind: "block" | "variable"): void {
    this.#push(`${kind}_begin`, "");
    this.#at += 2;
    if (/[-+]/.test(this.#text[this.#at] ?? "")) this.#at++;
    const closing: string[] = [];
    for (;;) {
      this.#match(SPACE);
      const begin = this.#at;
      const end = closing.length === 0 && this.#match(kind === "block" ? BLOCK_END : VARIABLE_END);
      if (end) {
        this.#push(`${kind}_end`, "", begin);
        if (end.startsWith("-")) this.#match(SPACE);
        this.#ends(this.#text.slice(begin, this.#at));
        return;
      }
      this.#inner(closing);
    }
  }

  /** One token within a tag. */
  #inner(closing: string[]): void {
    const begin = this.#at;
    // Behind a dot a number is an index: `a.1.2`.
    for (const [type, pattern] of begin > 0 && this.#text[begin - 1] === "."
      ? PATTERNS.slice(1)
      : PATTERNS) {
      const found = this.#match(pattern);
      if (found === undefined) continue;
      const value = type === "string" ? this.#unescape(found.slice(1, -1)) : found;
      this.#push(type, value, begin);
      return;
    }
    const operator = this.#match(OPERATOR);
    if (!operator) {
      const what = begin < this.#text.length ? this.#text[begin] : "the end of the template";
      throw this.#error(`${what} is unexpected`);
    }
    if (OPENING[operator]) closing.push(OPENING[operator]);
    else if (")]}".includes(operator) && closing.pop() !== operator)
      throw this.#error(`${operator} is unexpected`);
    this.#push("operator", operator, begin);
  }

  /** Reads a string's escapes as Python does; escapes that it does not know stay. */
  #unescape(text: string): string {
    if (!text.includes("\\")) return text;
    return text.replace(ESCAPE, (whole, octal?: string, hex?: string, char = "") => {
      if (octal) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (hex) {
        const code = Number.parseInt(hex.slice(1), 16);
        const digits = { x: 2, u: 4, U: 8 }[hex[0] as "x" | "u" | "U"];
        if (hex.length - 1 < digits || code > 0x10ffff)
          throw this.#error(`the escape \\${hex} in a string is not a character`);
        return String.fromCodePoint(code);
      }
      if (char === "N") throw this.#error("names of characters (\\N) are not supported");
      return SIMPLE_ESCAPES[char] ?? whole;
    });
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return found;
  }

  #ends(part: string): void {
    this.#lineStarts = part.endsWith("\n");
  }

  #data(text: string): void {
    if (text !== "") this.#push("data", text);
  }

  #push(type: TokenType, value: string, at = this.#at): void {
    this.#tokens.push({ type, value, line: this.#lineAt(at) });
  }

  #lineAt(at: number): number {
    for (; this.#counted < at; this.#counted++)
      if (this.#text[this.#counted] === "\n") this.#line++;
    return this.#line;
  }

  #error(message: string): TemplateError {
    return new TemplateError(message, { line: this.#lineAt(this.#at) });
  }
}

const ESCAPE = /\\(?:([0-7]{1,3})|(x[\da-fA-F]{0,2}|u[\da-fA-F]{0,4}|U[\da-fA-F]{0,8})|(.))/gs;
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};
