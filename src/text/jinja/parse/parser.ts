import { TemplateError } from "../template-error.ts";
import { tokenize } from "./lexer.ts";
import type { Expression, MacroNode, Statement } from "./nodes.ts";
import { ExpressionParser } from "./parse-expression.ts";
import { TokenStream } from "./token-stream.ts";

const SPECIAL_NAMES = ["caller", "varargs", "kwargs"];

/**
 * Parses a template: Jinja2's statements, and transformers' `generation`, `break` and `continue`.
 * @throws TemplateError with the line.
 */
export function parse(source: string): Statement[] {
  const parser = new StatementParser(new TokenStream(tokenize(source)));
  return parser.template();
}

class StatementParser extends ExpressionParser {
  /** Loops around the statement, within the same macro. */
  #loops = 0;

  template(): Statement[] {
    return this.#statements([]);
  }

  /** Statements up to one whose name is among `ends`; that name is the current token then. */
  #statements(ends: readonly string[]): Statement[] {
    const { tokens } = this;
    return tokens.nested(() => {
      const body: Statement[] = [];
      for (;;) {
        const { type, line } = tokens.current;
        if (type === "data") body.push({ kind: "data", text: tokens.next().value, line });
        else if (type === "variable_begin") {
          tokens.next();
          const value = this.tuple(() => tokens.is("variable_end"));
          tokens.expect("variable_end");
          body.push({ kind: "output", value, line });
        } else if (type === "block_begin") {
          tokens.next();
          if (tokens.is("name") && ends.includes(tokens.current.value)) return body;
          body.push(...this.#statement());
          tokens.expect("block_end");
        } else if (ends.length === 0) return body;
        else throw tokens.error(`${ends.join(" or ")} is expected`);
      }
    });
  }

  /** The body of a block statement, and the statement that ends it. */
  #bodyUntil(end: string): Statement[] {
    this.tokens.expect("block_end");
    const body = this.#statements([end]);
    this.tokens.next();
    return body;
  }

  #statement(): Statement[] {
    const { tokens } = this;
    const { value: name, line } = tokens.expect("name");
    switch (name) {
      case "if":
        return [this.#if(line)];
      case "for":
        return [this.#for(line)];
      case "set":
        return [this.#set(line)];
      case "macro":
        return [this.#macro(line)];
      case "call":
        return [this.#call(line)];
      case "with":
        return [this.#with(line)];
      case "filter": {
        const filters = this.filters(true);
        return [{ kind: "filter-block", filters, body: this.#bodyUntil("endfilter"), line }];
      }
      case "generation":
        // A call of its body, so that what is set within stays within.
        return [{ kind: "with", assignments: [], body: this.#outsideLoops("endgeneration"), line }];
      case "block": {
        const block = tokens.expect("name").value;
        const body = this.#outsideLoops("endblock");
        tokens.skip("name", block);
        return [{ kind: "block", body, line }];
      }
      case "print":
        return this.#print(line);
      case "break":
      case "continue":
        if (this.#loops === 0) throw tokens.error(`${name} is outside a loop`, line);
        return [{ kind: name, line }];
    }
    throw new TemplateError(`the statement "${name}" is not supported or not expected here`, {
      line,
    });
  }

  #if(line: number): Statement {
    const { tokens } = this;
    const branches: [Expression, Statement[]][] = [];
    let otherwise: Statement[] = [];
    for (;;) {
      const test = this.tuple(
        () => tokens.is("block_end"),
        false,
        () => this.withoutIf(),
      );
      tokens.expect("block_end");
      branches.push([test, this.#statements(["elif", "else", "endif"])]);
      const { value } = tokens.next();
      if (value === "elif") continue;
      if (value === "else") otherwise = this.#bodyUntil("endif");
      return { kind: "if", branches, otherwise, line };
    }
  }

  #for(line: number): Statement {
    const { tokens } = this;
    const target = this.#target();
    if (namesOf(target).includes("loop"))
      throw tokens.error("a loop's variable cannot be called loop", line);
    tokens.expect("name", "in");
    const iterable = this.#iterable();
    const test = tokens.skip("name", "if") ? this.expression() : undefined;
    const recursive = tokens.skip("name", "recursive");
    tokens.expect("block_end");
    this.#loops++;
    const body = this.#statements(["endfor", "else"]);
    this.#loops--;
    const otherwise = tokens.next().value === "else" ? this.#bodyUntil("endfor") : [];
    return { kind: "for", target, iterable, test, recursive, body, otherwise, line };
  }

  /** A loop's own `if` filters its items, so what it goes through has none. */
  #iterable(): Expression {
    const { tokens } = this;
    const ends = () => tokens.is("block_end") || tokens.is("name", "recursive");
    return this.tuple(ends, false, () => this.withoutIf());
  }

  #set(line: number): Statement {
    const { tokens } = this;
    const target = this.#target(true);
    if (tokens.skip("operator", "=")) {
      const value = this.tuple(() => tokens.is("block_end"));
      return { kind: "set", target, value, line };
    }
    const filters = this.filters(false);
    return { kind: "set-block", target, filters, body: this.#bodyUntil("endset"), line };
  }

  #with(line: number): Statement {
    const { tokens } = this;
    const assignments: [Expression, Expression][] = [];
    while (!tokens.is("block_end")) {
      if (assignments.length > 0) tokens.expect("operator", ",");
      const target = this.#target();
      tokens.expect("operator", "=");
      assignments.push([target, this.expression()]);
    }
    return { kind: "with", assignments, body: this.#bodyUntil("endwith"), line };
  }

  #macro(line: number): MacroNode {
    const target = this.primary();
    if (target.kind !== "name") throw this.tokens.error("a macro's name is expected", line);
    return this.#function(target.name, "endmacro", line);
  }

  #call(line: number): Statement {
    const { tokens } = this;
    const parameters = tokens.isOperator("(") ? this.#parameters() : [];
    const call = this.postfix(this.primary());
    if (call.kind !== "call") throw tokens.error("a call is expected", line);
    const caller = this.#function(undefined, "endcall", line, parameters);
    return { kind: "call-block", call, caller, line };
  }

  #function(
    name: string | undefined,
    end: string,
    line: number,
    parameters = this.#parameters(),
  ): MacroNode {
    const names = this.names;
    this.names = new Set();
    const body = this.#outsideLoops(end);
    const uses = new Set(SPECIAL_NAMES.filter((special) => this.names.has(special)));
    this.names = new Set([...names, ...this.names]);
    return { kind: "macro", name, parameters, body, uses, line };
  }

  #outsideLoops(end: string): Statement[] {
    const loops = this.#loops;
    this.#loops = 0;
    const body = this.#bodyUntil(end);
    this.#loops = loops;
    return body;
  }

  #parameters(): [string, Expression | undefined][] {
    const { tokens } = this;
    const parameters: [string, Expression | undefined][] = [];
    tokens.expect("operator", "(");
    while (!tokens.skip("operator", ")")) {
      if (parameters.length > 0) tokens.expect("operator", ",");
      const target = this.primary();
      if (target.kind !== "name" || parameters.some(([name]) => name === target.name))
        throw tokens.error("a parameter's name is expected");
      const fallback = tokens.skip("operator", "=") ? this.expression() : undefined;
      if (!fallback && parameters.at(-1)?.[1])
        throw tokens.error("a parameter without a default follows one that has one");
      parameters.push([target.name, fallback]);
    }
    return parameters;
  }

  #print(line: number): Statement[] {
    const { tokens } = this;
    const outputs: Statement[] = [];
    while (!tokens.is("block_end")) {
      if (outputs.length > 0) tokens.expect("operator", ",");
      outputs.push({ kind: "output", value: this.expression(), line });
    }
    return outputs;
  }

  /** What can be assigned to: a name, several of them, and a namespace's attribute where that is allowed. */
  #target(namespaces = false): Expression {
    const { line } = this.tokens.current;
    const target = this.tuple(
      () => this.tokens.is("block_end"),
      false,
      () => {
        const node = this.primary();
        if (!namespaces || node.kind !== "name" || !this.tokens.skip("operator", ".")) return node;
        const attribute = this.tokens.expect("name").value;
        return { kind: "namespace", name: node.name, attribute, line };
      },
    );
    if (!canAssign(target)) throw this.tokens.error("a name to assign to is expected", line);
    return target;
  }
}

function canAssign(target: Expression): boolean {
  if (target.kind === "tuple") return target.items.every(canAssign);
  return target.kind === "name" || target.kind === "namespace";
}

function namesOf(target: Expression): string[] {
  if (target.kind === "tuple") return target.items.flatMap(namesOf);
  return target.kind === "name" ? [target.name] : [];
}
