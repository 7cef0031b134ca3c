import { TemplateError } from "../template-error.ts";
import type { Token, TokenType } from "./lexer.ts";

/** How deep expressions and statements may nest in a template's source. */
const MAX_NESTING = 100;

/** The tokens of a template and where its parser stands in them. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;
  #nesting = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at]!;
  }

  get following(): Token | undefined {
    return this.#tokens[this.#at + 1];
  }

  next(): Token {
    const token = this.current;
    if (token.type !== "end") this.#at++;
    return token;
  }

  is(type: TokenType, value?: string): boolean {
    const { current } = this;
    return current.type === type && (value === undefined || current.value === value);
  }

  isOperator(value: string): boolean {
    return this.is("operator", value);
  }

  /** Takes the token if it is that one. */
  skip(type: TokenType, value?: string): boolean {
    if (!this.is(type, value)) return false;
    this.next();
    return true;
  }

  /** @throws TemplateError if the token is another one. */
  expect(type: TokenType, value?: string): Token {
    if (!this.is(type, value)) throw this.error(`${value ?? type.replace("_", " ")} is expected`);
    return this.next();
  }

  nested<T>(action: () => T): T {
    if (++this.#nesting > MAX_NESTING) throw this.error("it is nested too deep");
    const parsed = action();
    this.#nesting--;
    return parsed;
  }

  error(problem: string, line = this.current.line): TemplateError {
    const { type, value } = this.current;
    const found = value === "" ? type.replace("_", " ") : `"${value.slice(0, 40)}"`;
    return new TemplateError(`${problem}, and ${found} found`, { line });
  }
}
