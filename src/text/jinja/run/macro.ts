import type { MacroNode } from "../parse/nodes.ts";
import { TemplateError } from "../template-error.ts";
import { Dict, type Keywords, Tuple, Undefined, type Value } from "../values.ts";
import { evaluate } from "./evaluate.ts";
import { Scope } from "./scope.ts";

/** The scope that a macro's body runs in, within the one where the macro stands. @throws TemplateError */
export function bindMacro(
  { name = "caller", parameters, uses }: MacroNode,
  args: readonly Value[],
  keywords: Keywords,
  around: Scope,
): Scope {
  const scope = new Scope(around);
  const left = new Map(keywords);
  const caller = left.get("caller");
  if (uses.has("caller") && !parameters.some(([parameter]) => parameter === "caller")) {
    scope.set("caller", caller ?? new Undefined("No caller defined"));
    left.delete("caller");
  }
  parameters.forEach(([parameter, fallback], i) => {
    const value = args[i] ?? left.get(parameter);
    if (i < args.length && left.has(parameter))
      throw new TemplateError(`macro '${name}' got two values for ${parameter}`);
    left.delete(parameter);
    if (value !== undefined) scope.set(parameter, value);
    else if (i < args.length) scope.set(parameter, null);
    else if (fallback) scope.set(parameter, evaluate(fallback, scope));
    else scope.set(parameter, new Undefined(`parameter '${parameter}' was not provided`));
  });
  if (uses.has("kwargs")) scope.set("kwargs", new Dict(left));
  else if (left.size > 0)
    throw new TemplateError(`macro '${name}' takes no keyword argument '${[...left.keys()][0]}'`);
  if (uses.has("varargs")) scope.set("varargs", new Tuple(args.slice(parameters.length)));
  else if (args.length > parameters.length)
    throw new TemplateError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  return scope;
}
