import { Given } from "../arguments.ts";
import { TemplateError } from "../template-error.ts";
import { textOf } from "../texts/print.ts";
import { strftime } from "../texts/strftime.ts";
import {
  Callable,
  Dict,
  type Keywords,
  listOf,
  Namespace,
  Range,
  Undefined,
  type Value,
} from "../values.ts";

/** `dict(mapping or pairs, **keywords)`. */
function makeDict(args: readonly Value[], keywords: Keywords): Dict {
  if (args.length > 1)
    throw new TemplateError(`dict expected at most 1 argument, got ${args.length}`);
  const [source = null] = args;
  const dict = new Dict();
  if (source instanceof Dict) for (const [key, value] of source.entries()) dict.set(key, value);
  else if (args.length > 0)
    for (const pair of listOf(source)) {
      const items = listOf(pair);
      if (items.length !== 2) throw new TemplateError("a dict is made of pairs");
      dict.set(items[0]!, items[1]!);
    }
  for (const [key, value] of keywords) dict.set(key, value);
  return dict;
}

function makeNamespace(args: readonly Value[], keywords: Keywords): Namespace {
  const namespace = new Namespace();
  for (const [key, value] of makeDict(args, keywords).entries()) namespace.set(textOf(key), value);
  return namespace;
}

function makeRange(args: readonly Value[]): Range {
  const bounds = args.map((arg) => {
    if (arg instanceof Undefined) arg.fail();
    if (typeof arg !== "bigint" && typeof arg !== "boolean")
      throw new TemplateError("range needs whole numbers");
    return BigInt(arg);
  });
  const [first, second, step = 1n] = bounds;
  if (first === undefined || bounds.length > 3)
    throw new TemplateError(`range takes 1 to 3 arguments, got ${bounds.length}`);
  return second === undefined ? new Range(0n, first, 1n) : new Range(first, second, step);
}

function makeCycler(items: readonly Value[]): Value {
  if (items.length === 0) throw new TemplateError("at least one item has to be provided");
  let at = 0;
  const cycler = new Namespace();
  const show = () => cycler.set("current", items[at]!);
  const step = (name: string, run: () => Value) =>
    cycler.set(
      name,
      new Callable(name, () => {
        const value = run();
        show();
        return value;
      }),
    );
  step("next", () => {
    const value = items[at]!;
    at = (at + 1) % items.length;
    return value;
  });
  step("reset", () => {
    at = 0;
    return null;
  });
  show();
  return cycler;
}

function makeJoiner(args: readonly Value[], keywords: Keywords): Value {
  const separator = new Given("joiner", "sep?", args, keywords).get("sep") ?? ", ";
  let used = false;
  return new Callable("joiner", () => {
    const text = used ? separator : "";
    used = true;
    return text;
  });
}

/** What a template finds besides its variables: Jinja2's functions and those that transformers adds. */
export const GLOBALS: ReadonlyMap<string, Value> = new Map(
  Object.entries<Callable["call"]>({
    range: makeRange,
    dict: makeDict,
    namespace: makeNamespace,
    cycler: makeCycler,
    joiner: makeJoiner,
    raise_exception: (args, keywords) => {
      const message = new Given("raise_exception", "message", args, keywords).value("message");
      throw new TemplateError(textOf(message), { raised: true });
    },
    strftime_now: (args, keywords) =>
      strftime(new Date(), new Given("strftime_now", "format", args, keywords).text("format")),
  }).map(([name, call]) => [name, new Callable(name, call)]),
);
