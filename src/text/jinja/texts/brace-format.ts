import { TemplateError } from "../template-error.ts";
import { charsOf, type Keywords, type Value } from "../values.ts";
import { tickText } from "../work.ts";
import { fixed, numberText } from "./percent-format.ts";
import { floatText, reprOf, textOf } from "./print.ts";

const FIELD = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g;

export interface Lookups {
  readonly attributeOf: (object: Value, name: string) => Value;
  readonly itemOf: (object: Value, key: Value) => Value;
}

/** Python's `text.format(...)`. */
export function braceFormat(
  text: string,
  args: readonly Value[],
  keywords: Keywords,
  { attributeOf, itemOf }: Lookups,
): string {
  let automatic = 0;
  const value = (field: string): Value => {
    const [, first = "", path = ""] = /^([^.[]*)(.*)$/s.exec(field)!;
    const key = first === "" ? String(automatic++) : first;
    let found = /^\d+$/.test(key) ? args[Number(key)] : keywords.get(key);
    if (found === undefined) throw new TemplateError(`format has no value for "${key}"`);
    for (const [, name, item] of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g))
      found =
        name !== undefined
          ? attributeOf(found, name)
          : itemOf(found, /^\d+$/.test(item!) ? BigInt(item!) : item!);
    return found;
  };
  const run = (part: string, nested: boolean): string =>
    part.replace(FIELD, (whole, field?: string, conversion?: string, spec = "") => {
      if (whole === "{{" || whole === "}}") return whole[0]!;
      if (field === undefined) throw new TemplateError(`format has a single ${whole}`);
      let found = value(field);
      if (conversion) found = conversion === "s" ? textOf(found) : reprOf(found);
      return formatted(found, nested ? spec : run(spec, true));
    });
  return run(text, false);
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;

/** Python's `format(value, spec)`. */
function formatted(value: Value, spec: string): string {
  if (spec === "") return textOf(value);
  const match = SPEC.exec(spec);
  if (!match) throw new TemplateError(`the format "${spec}" is not known`);
  const [, fill, align, sign = "", prefixed, zero, width = "0", comma, digits, type] = match;
  const numeric =
    typeof value === "bigint" ||
    typeof value === "number" ||
    (typeof value === "boolean" && type !== undefined);
  const precision = digits === undefined ? undefined : Number(digits);
  let body = numeric ? number(value, type, precision, Boolean(prefixed)) : textOf(value);
  if (!numeric && type !== undefined && type !== "s")
    throw new TemplateError(`the format "${type}" needs a number`);
  if (!numeric && precision !== undefined)
    body = Array.from(charsOf(body)).slice(0, precision).join("");
  if (comma)
    body = body.replace(
      /^(-?)(\d+)/,
      (_, minus, whole) => minus + whole.replace(/\B(?=(\d{3})+$)/g, comma),
    );
  if (numeric && !body.startsWith("-") && sign !== "-") body = sign + body;
  const missing = Number(width) - charsOf(body).length;
  if (missing <= 0) return body;
  tickText(Number(width));
  const by = (count: number) => (fill ?? (zero ? "0" : " ")).repeat(count);
  const side = align ?? (zero && numeric ? "=" : numeric ? ">" : "<");
  if (side === "<") return body + by(missing);
  if (side === "^") return by(Math.floor(missing / 2)) + body + by(Math.ceil(missing / 2));
  if (side === ">") return by(missing) + body;
  const front = /^[-+ ]?/.exec(body)![0];
  return front + by(missing) + body.slice(front.length);
}

function number(
  value: bigint | number | boolean,
  type: string | undefined,
  digits: number | undefined,
  prefixed: boolean,
): string {
  if (type === "%") return `${fixed(Number(value) * 100, digits ?? 6)}%`;
  if (type === "n" || type === undefined)
    return typeof value === "number"
      ? digits === undefined
        ? floatText(value)
        : numberText(value, "g", digits)
      : String(BigInt(value));
  if (!"bdoxXeEfFgG".includes(type)) throw new TemplateError(`the format "${type}" is not known`);
  return numberText(value, type, digits, prefixed);
}
