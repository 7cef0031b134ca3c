import { attributeOf, itemOf } from "../attributes.ts";
import type { FilterTools } from "../library/filter-type.ts";
import { isFilter, runFilter } from "../library/filters.ts";
import { runTest, testTable } from "../library/tests.ts";
import { binary, compare, slice, unary } from "../operators.ts";
import type { Arguments, Expression, FilterNode } from "../parse/nodes.ts";
import { TemplateError } from "../template-error.ts";
import { textOf } from "../texts/print.ts";
import {
  Callable,
  Dict,
  isTrue,
  type Keywords,
  Loop,
  listOf,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../values.ts";
import { tick, tickText } from "../work.ts";
import type { Scope } from "./scope.ts";

const TESTS = testTable(isFilter);
const TOOLS: FilterTools = {
  filter: (name, value, args, keywords) => runFilter(TOOLS, name, value, args, keywords),
  test: (name, value, args, keywords) => runTest(TESTS, name, value, args, keywords),
};

/** The value of an expression. @throws TemplateError */
export function evaluate(node: Expression, scope: Scope): Value {
  tick();
  switch (node.kind) {
    case "constant":
      return node.value;
    case "name":
      return scope.get(node.name);
    case "tuple":
      return new Tuple(all(node.items, scope));
    case "list":
      return all(node.items, scope);
    case "dict":
      return new Dict(
        node.pairs.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]),
      );
    case "attribute":
      return attributeOf(evaluate(node.object, scope), node.name);
    case "item":
      return item(node.object, node.key, scope);
    case "call":
      return call(node.callee, node.args, scope);
    case "filter":
      return applyFilter(node, evaluate(node.input!, scope), scope);
    case "test": {
      const value = evaluate(node.input, scope);
      const [args, keywords] = given(node.args, scope);
      return runTest(TESTS, node.name, value, args, keywords);
    }
    case "unary":
      if (node.operator === "not") return !isTrue(evaluate(node.operand, scope));
      return unary(node.operator, evaluate(node.operand, scope));
    case "binary":
      return binary(node.operator, evaluate(node.left, scope), evaluate(node.right, scope));
    case "logic": {
      const left = evaluate(node.left, scope);
      return isTrue(left) === node.and ? evaluate(node.right, scope) : left;
    }
    case "concat": {
      const text = all(node.items, scope).map(textOf).join("");
      tickText(text.length);
      return text;
    }
    case "compare":
      return compareAll(evaluate(node.first, scope), node.rest, scope);
    case "if-else":
      if (isTrue(evaluate(node.test, scope))) return evaluate(node.value, scope);
      if (node.otherwise) return evaluate(node.otherwise, scope);
      return new Undefined("the inline if-expression is false and has no else");
    case "slice":
    case "namespace":
      throw new TemplateError("this is not an expression by itself");
  }
}

const all = (nodes: readonly Expression[], scope: Scope): Value[] =>
  nodes.map((node) => evaluate(node, scope));

/** `a < b < c`: each operand is evaluated once, and none behind a comparison that fails. */
function compareAll(
  left: Value,
  rest: readonly (readonly [string, Expression])[],
  scope: Scope,
): boolean {
  for (const [operator, node] of rest) {
    const right = evaluate(node, scope);
    if (!compare(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function item(object: Expression, key: Expression, scope: Scope): Value {
  const value = evaluate(object, scope);
  if (key.kind !== "slice") return itemOf(value, evaluate(key, scope));
  return slice(
    value,
    [0, 1, 2].map((i) => key.parts[i] && evaluate(key.parts[i], scope)),
  );
}

/** Applies a filter, in an expression or to a block's text. */
export function applyFilter(node: FilterNode, input: Value, scope: Scope): Value {
  const [args, keywords] = given(node.args, scope);
  return TOOLS.filter(node.name, input, args, keywords);
}

function given(args: Arguments, scope: Scope): readonly [Value[], Keywords] {
  const positional = all(args.positional, scope);
  const keywords = new Map(args.keywords.map(([name, value]) => [name, evaluate(value, scope)]));
  if (args.spread) positional.push(...listOf(evaluate(args.spread, scope)));
  if (args.keywordSpread) {
    const more = evaluate(args.keywordSpread, scope);
    if (!(more instanceof Dict)) throw new TemplateError("** needs a dict");
    for (const [key, value] of more.entries()) keywords.set(textOf(key), value);
  }
  return [positional, keywords];
}

/** Calls what `callee` stands for, with `more` keyword arguments besides those of the call. */
export function call(
  callee: Expression,
  args: Arguments,
  scope: Scope,
  more: readonly (readonly [string, Value])[] = [],
): Value {
  const target = evaluate(callee, scope);
  const [positional, keywords] = given(args, scope);
  const named = new Map([...keywords, ...more]);
  if (target instanceof Undefined) target.fail();
  if (target instanceof Callable) return target.call(positional, named);
  if (target instanceof Loop) {
    if (!target.recurse)
      throw new TemplateError(
        "The loop must have the 'recursive' marker to be called recursively.",
      );
    return target.recurse(positional, named);
  }
  throw new TemplateError(`'${typeName(target)}' object is not callable`);
}
