import type { Arguments, Expression, FilterNode } from "./nodes.ts";
import { OperandParser } from "./parse-operand.ts";

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);
const NO_ARGUMENTS: Arguments = {
  positional: [],
  keywords: [],
  spread: undefined,
  keywordSpread: undefined,
};
/** Parses expressions with Jinja2's precedences. */
export class ExpressionParser extends OperandParser {
  /** `a if b else c` and all that binds closer. */
  expression(): Expression {
    return this.tokens.nested(() => {
      let node = this.or();
      while (this.tokens.is("name", "if")) {
        const { line } = this.tokens.next();
        const test = this.or();
        const otherwise = this.tokens.skip("name", "else") ? this.expression() : undefined;
        node = { kind: "if-else", test, value: node, otherwise, line };
      }
      return node;
    });
  }

  /** Without `a if b`. */
  protected withoutIf(): Expression {
    return this.or();
  }

  /** The filters of a statement, behind its name or a target. */
  protected filters(first: boolean): FilterNode[] {
    const filters: FilterNode[] = [];
    while (first || this.tokens.skip("operator", "|")) {
      first = false;
      filters.push(this.filter(undefined));
    }
    return filters;
  }

  private or(): Expression {
    let left = this.and();
    while (this.tokens.is("name", "or")) {
      const { line } = this.tokens.next();
      left = { kind: "logic", and: false, left, right: this.and(), line };
    }
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.tokens.is("name", "and")) {
      const { line } = this.tokens.next();
      left = { kind: "logic", and: true, left, right: this.not(), line };
    }
    return left;
  }

  private not(): Expression {
    if (!this.tokens.is("name", "not")) return this.comparison();
    const { line } = this.tokens.next();
    return { kind: "unary", operator: "not", operand: this.tokens.nested(() => this.not()), line };
  }

  private comparison(): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    const first = this.sum();
    const rest: [string, Expression][] = [];
    for (;;) {
      if (tokens.is("operator") && COMPARISONS.has(tokens.current.value))
        rest.push([tokens.next().value, this.sum()]);
      else if (tokens.skip("name", "in")) rest.push(["in", this.sum()]);
      else if (tokens.is("name", "not") && tokens.following?.value === "in") {
        tokens.next();
        tokens.next();
        rest.push(["not in", this.sum()]);
      } else break;
    }
    return rest.length === 0 ? first : { kind: "compare", first, rest, line };
  }

  private sum(): Expression {
    return this.binary(["+", "-"], () => this.concat());
  }

  private concat(): Expression {
    const { line } = this.tokens.current;
    const items = [this.product()];
    while (this.tokens.skip("operator", "~")) items.push(this.product());
    return items.length === 1 ? items[0]! : { kind: "concat", items, line };
  }

  private product(): Expression {
    return this.binary(["*", "/", "//", "%"], () => this.binary(["**"], () => this.unary(true)));
  }

  /** All of these, the power too, take their left side first. */
  private binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.tokens.is("operator") && operators.includes(this.tokens.current.value)) {
      const { value: operator, line } = this.tokens.next();
      left = { kind: "binary", operator, left, right: operand(), line };
    }
    return left;
  }

  private unary(withFilters: boolean): Expression {
    const { tokens } = this;
    const { value, line } = tokens.current;
    let node: Expression;
    if (tokens.isOperator("-") || tokens.isOperator("+")) {
      tokens.next();
      const operand = tokens.nested(() => this.unary(false));
      node = { kind: "unary", operator: value as "-" | "+", operand, line };
    } else node = this.primary();
    node = this.postfix(node);
    return withFilters ? this.filtersAndTests(node) : node;
  }

  private filtersAndTests(node: Expression): Expression {
    const { tokens } = this;
    for (;;) {
      const { line } = tokens.current;
      if (tokens.skip("operator", "|")) node = this.filter(node);
      else if (tokens.skip("name", "is")) node = this.test(node, line);
      else if (tokens.isOperator("("))
        node = { kind: "call", callee: node, args: this.args(), line };
      else return node;
    }
  }

  private filter(input: Expression | undefined): FilterNode {
    const { line } = this.tokens.current;
    const name = this.dottedName();
    const args = this.tokens.isOperator("(") ? this.args() : NO_ARGUMENTS;
    return { kind: "filter", input, name, args, line };
  }

  private test(input: Expression, line: number): Expression {
    const { tokens } = this;
    const negated = tokens.skip("name", "not");
    const name = this.dottedName();
    let args = NO_ARGUMENTS;
    if (tokens.isOperator("(")) args = this.args();
    else if (this.beginsArgument()) {
      if (tokens.is("name", "is")) throw tokens.error("tests cannot be chained");
      args = { ...NO_ARGUMENTS, positional: [this.postfix(this.primary())] };
    }
    const node: Expression = { kind: "test", input, name, args, line };
    return negated ? { kind: "unary", operator: "not", operand: node, line } : node;
  }

  /** Whether a test's one argument stands behind it without parentheses. */
  private beginsArgument(): boolean {
    const { type, value } = this.tokens.current;
    if (type === "name") return !["else", "or", "and"].includes(value);
    if (type === "operator") return value === "[" || value === "{";
    return type === "string" || type === "integer" || type === "float";
  }

  private dottedName(): string {
    let name = this.tokens.expect("name").value;
    while (this.tokens.skip("operator", ".")) name += `.${this.tokens.expect("name").value}`;
    return name;
  }
}
