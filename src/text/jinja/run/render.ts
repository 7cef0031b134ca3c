import type { Expression, FilterNode, ForNode, MacroNode, Statement } from "../parse/nodes.ts";
import { TemplateError } from "../template-error.ts";
import { textOf } from "../texts/print.ts";
import {
  Callable,
  isTrue,
  itemsOf,
  Loop,
  listOf,
  Namespace,
  Tuple,
  type Value,
} from "../values.ts";
import { nested, tick, tickText } from "../work.ts";
import { applyFilter, call, evaluate } from "./evaluate.ts";
import { bindMacro } from "./macro.ts";
import { Scope } from "./scope.ts";

/** How a body ended: at its end, or at a `break` or `continue` of the loop around it. */
type Ending = "break" | "continue" | undefined;

/** Runs the statements of a template. */
export class Renderer {
  readonly #root: Scope;
  #out = "";

  constructor(root: Scope) {
    this.#root = root;
  }

  /** The text that `body` makes. */
  text(body: readonly Statement[], scope = this.#root): string {
    const outer = this.#out;
    this.#out = "";
    try {
      this.#run(body, scope);
      return this.#out;
    } finally {
      this.#out = outer;
    }
  }

  #write(text: string): void {
    this.#out += text;
    tickText(text.length);
  }

  #run(body: readonly Statement[], scope: Scope): Ending {
    for (const statement of body) {
      const ending = this.#locate(statement, scope);
      if (ending) return ending;
    }
    return undefined;
  }

  /** Says in what fails which line it is. */
  #locate(statement: Statement, scope: Scope): Ending {
    tick();
    try {
      return this.#statement(statement, scope);
    } catch (error) {
      if (error instanceof TemplateError) error.line ??= statement.line;
      throw error;
    }
  }

  #statement(node: Statement, scope: Scope): Ending {
    switch (node.kind) {
      case "data":
        this.#write(node.text);
        return undefined;
      case "output":
        this.#write(textOf(evaluate(node.value, scope)));
        return undefined;
      case "if":
        for (const [test, body] of node.branches)
          if (isTrue(evaluate(test, scope))) return this.#run(body, scope);
        return this.#run(node.otherwise, scope);
      case "for":
        this.#for(node, evaluate(node.iterable, scope), scope, 0);
        return undefined;
      case "set":
        assign(node.target, evaluate(node.value, scope), scope);
        return undefined;
      case "set-block":
        assign(node.target, this.#filtered(node, scope), scope);
        return undefined;
      case "filter-block":
        this.#write(textOf(this.#filtered(node, scope)));
        return undefined;
      case "with": {
        const inner = new Scope(scope);
        for (const [target, value] of node.assignments)
          assign(target, evaluate(value, scope), inner);
        return this.#run(node.body, inner);
      }
      case "macro":
        if (node.name !== undefined) scope.set(node.name, this.#macro(node, scope));
        return undefined;
      case "call-block":
        this.#callBlock(node.call, this.#macro(node.caller, scope), scope);
        return undefined;
      case "block":
        this.#run(node.body, new Scope(this.#root));
        return undefined;
      case "break":
      case "continue":
        return node.kind;
    }
  }

  #filtered(
    node: { readonly filters: readonly FilterNode[]; readonly body: readonly Statement[] },
    scope: Scope,
  ): Value {
    let value: Value = this.text(node.body, new Scope(scope));
    for (const filter of node.filters) value = applyFilter(filter, value, scope);
    return value;
  }

  #callBlock(node: Expression, caller: Value, scope: Scope): void {
    if (node.kind !== "call") return;
    this.#write(textOf(call(node.callee, node.args, scope, [["caller", caller]])));
  }

  #macro(node: MacroNode, scope: Scope): Callable {
    const attributes = new Map<string, Value>([
      ["name", node.name ?? null],
      ["arguments", new Tuple(node.parameters.map(([name]) => name))],
    ]);
    return new Callable(
      node.name ?? "caller",
      (args, keywords) =>
        nested(() => this.text(node.body, bindMacro(node, args, keywords, scope))),
      attributes,
    );
  }

  #for(node: ForNode, value: Value, scope: Scope, depth: number): void {
    const inner = (item: Value) => {
      const own = new Scope(scope);
      assign(node.target, item, own);
      return own;
    };
    let items = listOf(value);
    const { test } = node;
    if (test) items = items.filter((item) => isTrue(evaluate(test, inner(item))));
    if (items.length === 0) {
      this.#run(node.otherwise, new Scope(scope));
      return;
    }
    const again: Callable["call"] = ([next = null]) =>
      nested(() => {
        const outer = this.#out;
        this.#out = "";
        this.#for(node, next, scope, depth + 1);
        const made = this.#out;
        this.#out = outer;
        return made;
      });
    const loop = new Loop(items, depth, node.recursive ? again : undefined);
    nested(() => {
      for (const item of items) {
        const own = inner(item);
        own.set("loop", loop);
        if (this.#run(node.body, own) === "break") break;
        loop.index++;
      }
    });
  }
}

function assign(target: Expression, value: Value, scope: Scope): void {
  switch (target.kind) {
    case "name":
      scope.set(target.name, value);
      return;
    case "tuple": {
      const items = [...itemsOf(value)];
      if (items.length !== target.items.length)
        throw new TemplateError(
          `${target.items.length} values are needed to unpack, there are ${items.length}`,
        );
      target.items.forEach((part, i) => {
        assign(part, items[i]!, scope);
      });
      return;
    }
    case "namespace": {
      const namespace = scope.get(target.name);
      if (!(namespace instanceof Namespace))
        throw new TemplateError("cannot assign attribute on non-namespace object");
      namespace.set(target.attribute, value);
      return;
    }
    default:
      throw new TemplateError("a name to assign to is expected");
  }
}
