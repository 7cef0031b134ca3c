import { Given } from "./arguments.ts";
import { equal } from "./operators.ts";
import { TemplateError } from "./template-error.ts";
import { braceFormat } from "./texts/brace-format.ts";
import { reprOf } from "./texts/print.ts";
import { textMethod } from "./texts/text-methods.ts";
import {
  Callable,
  charsOf,
  Dict,
  Loop,
  Namespace,
  or,
  plain,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** `object.name`: a method, else what the object holds under that name. */
export function attributeOf(object: Value, name: string): Value {
  if (object instanceof Undefined) object.fail();
  const found = or(own(object, name), () => held(object, name));
  return or(found, () => missing(object, name));
}

/** `object[key]`: what the object holds, else the method of that name. */
export function itemOf(object: Value, key: Value): Value {
  if (object instanceof Undefined) object.fail();
  const named = () => (typeof key === "string" ? own(object, plain(key)) : undefined);
  return or(or(held(object, key), named), () => missing(object, key));
}

function missing(object: Value, key: Value): Undefined {
  const type = object === null ? "None" : `${typeName(object)} object`;
  return new Undefined(
    typeof key === "string"
      ? `'${type}' has no attribute ${reprOf(key)}`
      : `${type} has no element ${reprOf(key)}`,
  );
}

function held(object: Value, key: Value): Value | undefined {
  if (object instanceof Dict)
    return typeof key === "object" && key !== null && !(key instanceof Tuple)
      ? undefined
      : object.get(key);
  if (typeof key !== "bigint" && typeof key !== "boolean") return undefined;
  const at = (length: number) => (Number(key) < 0 ? Number(key) + length : Number(key));
  if (typeof object === "string") {
    const chars = charsOf(object);
    return chars[at(chars.length)];
  }
  if (Array.isArray(object)) return object[at(object.length)];
  if (object instanceof Tuple) return object.items[at(object.items.length)];
  if (!(object instanceof Range)) return undefined;
  const index = at(object.length);
  return index >= 0 && index < object.length ? object.at(index) : undefined;
}

/** Python's private attributes are there, but the sandbox lets nobody use them. */
const PRIVATE = /^__\w+__$/;

const CHANGING: Readonly<Record<string, readonly string[]>> = {
  list: ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"],
  dict: ["clear", "pop", "popitem", "setdefault", "update"],
};

function own(object: Value, name: string): Value | undefined {
  if (PRIVATE.test(name) || CHANGING[typeName(object)]?.includes(name))
    return new Undefined(`access to attribute '${name}' of '${typeName(object)}' object is unsafe`);
  if (object instanceof Namespace) return object.attributes.get(name);
  if (object instanceof Loop) return loopAttribute(object, name);
  if (object instanceof Callable) return object.attributes.get(name);
  if (object instanceof Tuple && object.names.includes(name))
    return object.items[object.names.indexOf(name)];
  const method = methodOf(object, name);
  return method && new Callable(name, method);
}

function methodOf(object: Value, name: string): Callable["call"] | undefined {
  if (typeof object === "string")
    return name === "format"
      ? (args, keywords) => braceFormat(object, args, keywords, { attributeOf, itemOf })
      : textMethod(object, name);
  if (object instanceof Dict) return dictMethod(object, name);
  if (Array.isArray(object) || object instanceof Tuple) return listMethod(object, name);
  if (typeof object === "number" && name === "is_integer") return () => Number.isInteger(object);
  if ((typeof object === "bigint" || typeof object === "boolean") && name === "bit_length")
    return () =>
      BigInt(
        object === 0n || object === false
          ? 0
          : String(BigInt(object).toString(2)).replace("-", "").length,
      );
  return undefined;
}

function dictMethod(dict: Dict, name: string): Callable["call"] | undefined {
  switch (name) {
    case "get":
      return (args, keywords) => {
        const given = new Given(name, "key default?", args, keywords);
        return or(dict.get(given.value("key")), () => given.value("default"));
      };
    case "items":
    case "keys":
    case "values":
      return () => new View(name, dict);
    case "copy":
      return () => new Dict(dict.entries());
  }
  return undefined;
}

function listMethod(list: Value[] | Tuple, name: string): Callable["call"] | undefined {
  const items = list instanceof Tuple ? list.items : list;
  switch (name) {
    case "index":
      return ([wanted = null]) => {
        const at = items.findIndex((item) => equal(item, wanted));
        if (at === -1) throw new TemplateError(`${reprOf(wanted)} is not in the list`);
        return BigInt(at);
      };
    case "count":
      return ([wanted = null]) => BigInt(items.filter((item) => equal(item, wanted)).length);
    case "copy":
      return Array.isArray(list) ? () => [...list] : undefined;
  }
  return undefined;
}

function loopAttribute(loop: Loop, name: string): Value | undefined {
  const { index, items } = loop;
  switch (name) {
    case "index":
      return BigInt(index + 1);
    case "index0":
      return BigInt(index);
    case "revindex":
      return BigInt(items.length - index);
    case "revindex0":
      return BigInt(items.length - index - 1);
    case "first":
      return index === 0;
    case "last":
      return index === items.length - 1;
    case "length":
      return BigInt(items.length);
    case "previtem":
      return or(items[index - 1], () => new Undefined("there is no previous item"));
    case "nextitem":
      return or(items[index + 1], () => new Undefined("there is no next item"));
    case "depth":
      return BigInt(loop.depth + 1);
    case "depth0":
      return BigInt(loop.depth);
    case "cycle":
      return new Callable(name, (args) => {
        if (args.length === 0) throw new TemplateError("no items for cycling given");
        return args[index % args.length]!;
      });
    case "changed":
      return new Callable(name, (args) => {
        const now = new Tuple(args);
        const changed = loop.seen === undefined || !equal(loop.seen, now);
        loop.seen = now;
        return changed;
      });
  }
  return undefined;
}

/** `a.b.0`: what `map(attribute=...)` and its kin take out of each item; `fallback` where a step finds nothing. */
export function pathOf(path: Value, fallback?: Value): (item: Value) => Value {
  const step = (value: Value, key: Value): Value => {
    const found = itemOf(value, key);
    return found instanceof Undefined && fallback !== undefined ? fallback : found;
  };
  if (typeof path !== "string") return (item) => step(item, path);
  const keys: Value[] = plain(path)
    .split(".")
    .map((key) => (/^\d+$/.test(key) ? BigInt(key) : key));
  return (item) => keys.reduce(step, item);
}
