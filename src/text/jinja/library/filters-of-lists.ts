import { itemOf, pathOf } from "../attributes.ts";
import { binary, equal, order } from "../operators.ts";
import { TemplateError } from "../template-error.ts";
import { lowered } from "../texts/letters.ts";
import { textOf } from "../texts/print.ts";
import {
  charsOf,
  Dict,
  hashOf,
  Iter,
  isTrue,
  itemsOf,
  iterable,
  type Keywords,
  listOf,
  or,
  plain,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../values.ts";
import { tick, tickItems } from "../work.ts";
import type { Filter, FilterTools } from "./filter-type.ts";

type Given = Parameters<Filter[1]>[1];
type Key = (item: Value) => Value;

const folded = (value: Value): Value => (typeof value === "string" ? lowered(plain(value)) : value);

/** What items are compared by: an attribute where one is named, without regard to case unless that is asked for. */
function keyOf(given: Given, name = "attribute"): Key {
  const attribute = given.value(name);
  const path: Key = attribute === null ? (item) => item : pathOf(attribute);
  return isTrue(given.value("case_sensitive")) ? path : (item) => folded(path(item));
}

/** Several attributes with commas between them are compared one after the other. */
function sortKey(given: Given): Key {
  const attribute = given.value("attribute");
  if (typeof attribute !== "string" || !attribute.includes(",")) return keyOf(given);
  const paths = plain(attribute).split(",").map(pathOf);
  const fold: Key = isTrue(given.value("case_sensitive")) ? (item) => item : folded;
  return (item) => paths.map((path) => fold(path(item)));
}

function sorted(items: readonly Value[], key: Key, reverse: boolean): Value[] {
  const keyed = items.map((item) => [key(item), item] as const);
  const sign = reverse ? -1 : 1;
  return keyed.sort(([a], [b]) => sign * order(a, b)).map(([, item]) => item);
}

function extreme(value: Value, given: Given, sign: number): Value {
  const key = keyOf(given);
  let best: Value | undefined;
  for (const item of itemsOf(value))
    if (best === undefined || sign * order(key(item), key(best)) > 0) best = item;
  return best ?? new Undefined("No aggregated item, sequence was empty.");
}

function* unique(value: Value, key: Key): Generator<Value> {
  const seen = new Set<string>();
  for (const item of itemsOf(value)) {
    const hash = hashOf(key(item));
    if (!seen.has(hash)) yield item;
    seen.add(hash);
  }
}

/** What is false has no items, whatever it is. */
const anyOf = (value: Value): Iterable<Value> => (isTrue(value) ? itemsOf(value) : []);

/** `map('filter', ...)` and `map(attribute=..., default=...)`. */
function* mapped(
  value: Value,
  args: readonly Value[],
  keywords: Keywords,
  tools: FilterTools,
): Generator<Value> {
  const attribute = keywords.get("attribute");
  if (args.length === 0 && attribute !== undefined) {
    const path = pathOf(attribute, keywords.get("default"));
    for (const item of anyOf(value)) yield path(item);
    return;
  }
  const [name, ...rest] = args;
  if (typeof name !== "string") throw new TemplateError("map requires a filter argument");
  for (const item of anyOf(value)) yield tools.filter(plain(name), item, rest, keywords);
}

/** `select`, `reject`, `selectattr` and `rejectattr`: those of whom the test (truth, if none is named) holds, or does not. */
const chosen = (wanted: boolean, byAttribute: boolean): Filter => [
  "*",
  (value, _, { tools, args, keywords }) => {
    const [attribute, ...rest] = byAttribute ? args : [null, ...args];
    if (attribute === undefined) throw new TemplateError("an attribute's name is missing");
    const path: Key = byAttribute ? pathOf(attribute) : (item) => item;
    const [name, ...more] = rest;
    const holds = (item: Value) =>
      name === undefined ? isTrue(item) : tools.test(textOf(name), item, more, keywords);
    function* choose() {
      for (const item of anyOf(value)) if (holds(path(item)) === wanted) yield item;
    }
    return new Iter(choose());
  },
];

function grouped(value: Value, given: Given): Value[] {
  const own = pathOf(given.value("attribute"), given.get("default"));
  const sensitive = isTrue(given.value("case_sensitive"));
  const key: Key = (item) => (sensitive ? own(item) : folded(own(item)));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(listOf(value), key, false)) {
    const last = groups.at(-1);
    if (last && equal(last.key, key(item))) last.items.push(item);
    else groups.push({ key: key(item), items: [item] });
  }
  // A group is named as its first item spells it.
  return groups.map(({ items }) => new Tuple([own(items[0]!), items], ["grouper", "list"]));
}

function* batched(value: Value, given: Given): Generator<Value> {
  const size = given.whole("linecount", 0);
  const fill = given.value("fill_with");
  let batch: Value[] = [];
  for (const item of itemsOf(value)) {
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  if (fill !== null) {
    tickItems(size);
    while (batch.length < size) batch.push(fill);
  }
  yield batch;
}

function* sliced(value: Value, given: Given): Generator<Value> {
  const items = listOf(value);
  const slices = given.whole("slices", 1);
  const fill = given.value("fill_with");
  if (slices <= 0) throw new TemplateError("slice needs a number of slices above 0");
  const each = Math.floor(items.length / slices);
  const more = items.length % slices;
  let at = 0;
  for (let i = 0; i < slices; i++) {
    tick();
    const size = each + (i < more ? 1 : 0);
    const part = items.slice(at, at + size);
    at += size;
    if (fill !== null && i >= more && more > 0) part.push(fill);
    yield part;
  }
}

function dictSorted(value: Value, given: Given): Value[] {
  if (!(value instanceof Dict))
    throw new TemplateError(`dictsort needs a dict, not ${typeName(value)}`);
  const by = given.plain("by", "key");
  if (by !== "key" && by !== "value")
    throw new TemplateError('You can only sort by either "key" or "value"');
  const sensitive = isTrue(given.value("case_sensitive"));
  const pairs = Array.from(value.entries(), (pair) => new Tuple(pair));
  const part: Key = (pair) => itemOf(pair, by === "key" ? 0n : 1n);
  return sorted(
    pairs,
    sensitive ? part : (pair) => folded(part(pair)),
    isTrue(given.value("reverse")),
  );
}

function edge(value: Value, last: boolean): Value {
  const none = () => new Undefined(`No ${last ? "last" : "first"} item, sequence was empty.`);
  if (!last) for (const item of itemsOf(value)) return item;
  if (last) {
    if (value instanceof Iter) throw new TemplateError("'generator' object is not reversible");
    return or(listOf(value).at(-1), none);
  }
  return none();
}

function items(value: Value): Value {
  if (value instanceof Undefined) return new Iter([]);
  if (!(value instanceof Dict)) throw new TemplateError("Can only get item pairs from a mapping.");
  return new Iter(Array.from(value.entries(), (pair) => new Tuple(pair)));
}

function reversed(value: Value): Value {
  if (typeof value === "string") return Array.from(charsOf(value)).reverse().join("");
  if (iterable(value) === undefined) throw new TemplateError("argument must be iterable");
  return new Iter(listOf(value).reverse());
}

function sum(value: Value, given: Given): Value {
  const key: Key =
    given.value("attribute") === null ? (item) => item : pathOf(given.value("attribute"));
  let total: Value = given.get("start") ?? 0n;
  if (typeof total === "string") throw new TemplateError("sum() can't sum strings");
  for (const item of itemsOf(value)) total = binary("+", total, key(item));
  return total;
}

export const LIST_FILTERS: readonly (readonly [string, Filter])[] = [
  ["list", ["", listOf]],
  ["first", ["", (value) => edge(value, false)]],
  ["last", ["", (value) => edge(value, true)]],
  ["items", ["", items]],
  ["reverse", ["", reversed]],
  [
    "sort",
    [
      "reverse? case_sensitive? attribute?",
      (value, given) => sorted(listOf(value), sortKey(given), isTrue(given.value("reverse"))),
    ],
  ],
  ["dictsort", ["case_sensitive? by? reverse?", dictSorted]],
  [
    "unique",
    ["case_sensitive? attribute?", (value, given) => new Iter(unique(value, keyOf(given)))],
  ],
  ["max", ["case_sensitive? attribute?", (value, given) => extreme(value, given, 1)]],
  ["min", ["case_sensitive? attribute?", (value, given) => extreme(value, given, -1)]],
  ["sum", ["attribute? start?", sum]],
  ["groupby", ["attribute default? case_sensitive?", grouped]],
  ["batch", ["linecount fill_with?", (value, given) => new Iter(batched(value, given))]],
  ["slice", ["slices fill_with?", (value, given) => new Iter(sliced(value, given))]],
  [
    "map",
    ["*", (value, _, { tools, args, keywords }) => new Iter(mapped(value, args, keywords, tools))],
  ],
  ["select", chosen(true, false)],
  ["reject", chosen(false, false)],
  ["selectattr", chosen(true, true)],
  ["rejectattr", chosen(false, true)],
];
