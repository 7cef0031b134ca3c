import { Given } from "../arguments.ts";
import { binary, compare, contains, equal, isNumber } from "../operators.ts";
import { TemplateError } from "../template-error.ts";
import { CHARACTER_TESTS } from "../texts/letters.ts";
import { textOf } from "../texts/print.ts";
import {
  Callable,
  Dict,
  iterable,
  type Keywords,
  plain,
  Range,
  Tuple,
  Undefined,
  type Value,
} from "../values.ts";

type Test = readonly [signature: string, run: (value: Value, given: Given) => boolean];

const simple = (run: (value: Value) => boolean): Test => ["", run];
const compared = (operator: string): Test => [
  "other",
  (value, given) => compare(operator, value, given.value("other")),
];
const divides = (value: Value, by: Value) => equal(binary("%", value, by), 0n);

const lettersAre = (name: "islower" | "isupper"): Test =>
  simple((value) => CHARACTER_TESTS.get(name)!(plain(textOf(value))));

/** `known` tells whether there is a filter of that name. */
export function testTable(known: (filter: string) => boolean): ReadonlyMap<string, Test> {
  const eq = compared("==");
  const tests: Map<string, Test> = new Map<string, Test>([
    ["boolean", simple((value) => typeof value === "boolean")],
    ["callable", simple((value) => value instanceof Callable || value instanceof Undefined)],
    ["defined", simple((value) => !(value instanceof Undefined))],
    ["undefined", simple((value) => value instanceof Undefined)],
    ["none", simple((value) => value === null)],
    ["true", simple((value) => value === true)],
    ["false", simple((value) => value === false)],
    ["string", simple((value) => typeof value === "string")],
    ["number", simple(isNumber)],
    ["integer", simple((value) => typeof value === "bigint")],
    ["float", simple((value) => typeof value === "number")],
    ["mapping", simple((value) => value instanceof Dict)],
    ["iterable", simple((value) => iterable(value) !== undefined)],
    ["sequence", simple(isSequence)],
    ["odd", simple((value) => equal(binary("%", value, 2n), 1n))],
    ["even", simple((value) => divides(value, 2n))],
    ["divisibleby", ["num", (value, given) => divides(value, given.value("num"))]],
    ["lower", lettersAre("islower")],
    ["upper", lettersAre("isupper")],
    ["escaped", simple(() => false)],
    ["sameas", ["other", (value, given) => same(value, given.value("other"))]],
    ["in", ["seq", (value, given) => contains(given.value("seq"), value)]],
    ["filter", simple((value) => typeof value === "string" && known(plain(value)))],
    ["test", simple((value) => typeof value === "string" && tests.has(plain(value)))],
  ]);
  const operators = {
    "==": "==",
    eq: "==",
    equalto: "==",
    "!=": "!=",
    ne: "!=",
    "<": "<",
    lt: "<",
    lessthan: "<",
    "<=": "<=",
    le: "<=",
    ">": ">",
    gt: ">",
    greaterthan: ">",
    ">=": ">=",
    ge: ">=",
  };
  for (const [name, operator] of Object.entries(operators))
    tests.set(name, operator === "==" ? eq : compared(operator));
  return tests;
}

function isSequence(value: Value): boolean {
  if (value instanceof Undefined) return true;
  return (
    typeof value === "string" ||
    Array.isArray(value) ||
    value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof Range
  );
}

/** Numbers and texts have no identity in JavaScript: equal ones of one type are the same. */
function same(a: Value, b: Value): boolean {
  return typeof a === typeof b && (a === b || (typeof a === "string" && equal(a, b)));
}

export function runTest(
  tests: ReadonlyMap<string, Test>,
  name: string,
  value: Value,
  args: readonly Value[],
  keywords: Keywords,
): boolean {
  const test = tests.get(name);
  if (!test) throw new TemplateError(`there is no test "${name}"`);
  return test[1](value, new Given(name, test[0], args, keywords));
}
