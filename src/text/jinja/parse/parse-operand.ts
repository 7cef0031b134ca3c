import type { Arguments, Expression, TupleNode } from "./nodes.ts";
import type { TokenStream } from "./token-stream.ts";

const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);

/** Parses what operators stand between: values, names, brackets, and what is taken of them. */
export abstract class OperandParser {
  /** Names read so far; a macro's parser asks for the special ones. */
  names = new Set<string>();
  protected readonly tokens: TokenStream;

  constructor(tokens: TokenStream) {
    this.tokens = tokens;
  }

  abstract expression(): Expression;

  /** Several expressions with commas between them are a tuple. `ends` tells where one with a last comma ends. */
  tuple(ends: () => boolean, inParentheses = false, item = () => this.expression()): Expression {
    const { line } = this.tokens.current;
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.tokens.expect("operator", ",");
      if (ends()) break;
      items.push(item());
      if (!this.tokens.isOperator(",")) break;
      isTuple = true;
    }
    if (!isTuple && items[0]) return items[0];
    if (items.length === 0 && !inParentheses) throw this.tokens.error("an expression is expected");
    return { kind: "tuple", items, line } satisfies TupleNode;
  }

  protected primary(): Expression {
    const { tokens } = this;
    const token = tokens.current;
    const { type, value, line } = token;
    if (type === "name") {
      tokens.next();
      if (CONSTANTS.has(value)) return { kind: "constant", value: CONSTANTS.get(value)!, line };
      this.names.add(value);
      return { kind: "name", name: value, line };
    }
    if (type === "string") {
      let text = "";
      while (tokens.is("string")) text += tokens.next().value;
      return { kind: "constant", value: text, line };
    }
    if (type === "integer" || type === "float") {
      const digits = tokens.next().value.replaceAll("_", "");
      return { kind: "constant", value: type === "float" ? Number(digits) : BigInt(digits), line };
    }
    if (tokens.skip("operator", "(")) {
      const inner = this.tuple(() => tokens.isOperator(")"), true);
      tokens.expect("operator", ")");
      return inner;
    }
    if (tokens.skip("operator", "[")) {
      const items = this.listUntil("]", () => this.expression());
      return { kind: "list", items, line };
    }
    if (tokens.skip("operator", "{")) {
      const pairs = this.listUntil("}", () => {
        const key = this.expression();
        tokens.expect("operator", ":");
        return [key, this.expression()] as const;
      });
      return { kind: "dict", pairs, line };
    }
    throw tokens.error("an expression is expected");
  }

  protected postfix(node: Expression): Expression {
    const { tokens } = this;
    for (;;) {
      const { line } = tokens.current;
      if (tokens.skip("operator", ".")) {
        const token = tokens.next();
        if (token.type === "name")
          node = { kind: "attribute", object: node, name: token.value, line };
        else if (token.type === "integer") {
          const key: Expression = { kind: "constant", value: BigInt(token.value), line };
          node = { kind: "item", object: node, key, line };
        } else throw tokens.error("a name or a number is expected behind a dot", token.line);
      } else if (tokens.skip("operator", "[")) {
        const items = this.listUntil("]", () => this.subscript());
        const key: Expression = items.length === 1 ? items[0]! : { kind: "tuple", items, line };
        node = { kind: "item", object: node, key, line };
      } else if (tokens.isOperator("("))
        node = { kind: "call", callee: node, args: this.args(), line };
      else return node;
    }
  }

  private listUntil<T>(closing: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.tokens.isOperator(closing)) {
      if (items.length > 0) this.tokens.expect("operator", ",");
      if (this.tokens.isOperator(closing)) break;
      items.push(item());
    }
    this.tokens.expect("operator", closing);
    return items;
  }

  private subscript(): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    const ends = () => tokens.isOperator(":") || tokens.isOperator("]") || tokens.isOperator(",");
    const parts = [ends() ? undefined : this.expression()];
    if (!tokens.isOperator(":")) {
      if (parts[0]) return parts[0];
      throw tokens.error("an expression is expected");
    }
    while (parts.length < 3 && tokens.skip("operator", ":"))
      parts.push(ends() ? undefined : this.expression());
    return { kind: "slice", parts, line };
  }

  protected args(): Arguments {
    const { tokens } = this;
    const positional: Expression[] = [];
    const keywords: [string, Expression][] = [];
    let spread: Expression | undefined;
    let keywordSpread: Expression | undefined;
    const check = (allowed: boolean) => {
      if (!allowed) throw tokens.error("the order of the arguments is not allowed");
    };
    tokens.expect("operator", "(");
    this.listUntil(")", () => {
      check(keywordSpread === undefined);
      if (tokens.skip("operator", "*")) {
        check(spread === undefined);
        spread = this.expression();
      } else if (tokens.skip("operator", "**")) keywordSpread = this.expression();
      else if (
        tokens.is("name") &&
        tokens.following?.type === "operator" &&
        tokens.following.value === "="
      ) {
        const name = tokens.next().value;
        tokens.next();
        keywords.push([name, this.expression()]);
      } else {
        check(spread === undefined && keywords.length === 0);
        positional.push(this.expression());
      }
    });
    return { positional, keywords, spread, keywordSpread };
  }
}
