import { TemplateError } from "../template-error.ts";
import {
  Callable,
  Dict,
  Iter,
  Loop,
  Namespace,
  plain,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "../values.ts";
import { guard, nested, tick } from "../work.ts";

/** Python's `str`. */
export function textOf(value: Value): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : reprOf(value);
}

/** Python's `repr`. */
export function reprOf(value: Value): string {
  tick();
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return floatText(value);
  if (typeof value === "string") return quoted(value);
  return nested(() => compound(value));
}

function compound(value: Exclude<Value, null | boolean | bigint | number | string>): string {
  if (Array.isArray(value)) return `[${value.map(reprOf).join(", ")}]`;
  if (value instanceof Tuple)
    return `(${value.items.map(reprOf).join(", ")}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Dict) return `{${pairs(value).join(", ")}}`;
  if (value instanceof View) return `dict_${value.kind}([${value.items.map(reprOf).join(", ")}])`;
  if (value instanceof Range)
    return `range(${value.start}, ${value.stop}${value.step === 1n ? "" : `, ${value.step}`})`;
  if (value instanceof Namespace)
    return `<Namespace {${[...value.attributes].map(([k, v]) => `${reprOf(k)}: ${reprOf(v)}`).join(", ")}}>`;
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Loop) return `<LoopContext ${value.index + 1}/${value.items.length}>`;
  if (value instanceof Callable) throw new TemplateError(`a function (${value.name}) is printed`);
  if (value instanceof Iter)
    throw new TemplateError("a generator is printed: its items need the filter list or join");
  throw new TemplateError(`a ${typeName(value)} cannot be printed`);
}

const pairs = (dict: Dict): string[] =>
  Array.from(dict.entries(), ([key, value]) => `${reprOf(key)}: ${reprOf(value)}`);

/** Python's text of a float: the shortest that reads back, in plain digits from 1e-4 to 1e16. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 16)
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  const text =
    power < 0
      ? value.toFixed(Math.max(0, digits.replace(/\D/g, "").length - 1) - power)
      : String(value);
  return text.includes(".") ? text : `${text}.0`;
}

const SHORT: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\\": "\\\\",
};
const UNPRINTABLE = /[\\]|(?! )[\p{C}\p{Z}]/gu;

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(UNPRINTABLE, (char) => {
    if (char === guard) return char;
    const code = char.codePointAt(0)!;
    if (SHORT[char]) return SHORT[char];
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote;
}

export interface JsonOptions {
  ascii: boolean;
  /** What one level is indented by; undefined for one line. */
  indent: string | undefined;
  separators: readonly [item: string, key: string];
  sortKeys: boolean;
}

/** Python's `json.dumps`. @throws TemplateError for what JSON has no form of. */
export function jsonOf(value: Value, options: JsonOptions, level = 0): string {
  tick();
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return jsonNumber(value);
  if (typeof value === "string") return jsonText(value, options.ascii);
  const inner = (item: Value) => nested(() => jsonOf(item, options, level + 1));
  if (Array.isArray(value)) return bracketed("[]", value.map(inner), options, level);
  if (value instanceof Tuple) return bracketed("[]", value.items.map(inner), options, level);
  if (!(value instanceof Dict))
    throw new TemplateError(
      value instanceof Undefined
        ? `tojson of what has no value: ${value.why}`
        : `Object of type ${typeName(value)} is not JSON serializable`,
    );
  let entries = Array.from(value.entries(), ([key, item]) => [jsonKey(key), item] as const);
  if (options.sortKeys) entries = entries.sort(([a], [b]) => (plain(a) < plain(b) ? -1 : 1));
  const members = entries.map(
    ([key, item]) => jsonText(key, options.ascii) + options.separators[1] + inner(item),
  );
  return bracketed("{}", members, options, level);
}

function bracketed(
  brackets: string,
  members: readonly string[],
  { indent, separators }: JsonOptions,
  level: number,
): string {
  if (members.length === 0) return brackets;
  const [open, close] = brackets;
  if (indent === undefined) return open + members.join(separators[0]) + close;
  const line = `\n${indent.repeat(level)}`;
  return open + line + indent + members.join(separators[0] + line + indent) + line + close;
}

function jsonNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return floatText(value);
}

function jsonKey(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null || typeof key === "boolean") return String(key);
  if (typeof key === "bigint") return String(key);
  if (typeof key === "number") return jsonNumber(key);
  throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function jsonText(text: string, ascii: boolean): string {
  const json = JSON.stringify(text);
  if (!ascii) return json;
  return json.replace(/[^ -~]/g, (unit) =>
    unit === guard ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
