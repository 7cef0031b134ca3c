import { TemplateError } from "../template-error.ts";
import { charsOf, Dict, Tuple, typeName, Undefined, type Value } from "../values.ts";
import { tickText } from "../work.ts";
import { floatText, reprOf, textOf } from "./print.ts";

/** What JavaScript's numbers can be written with. */
const MAX_DIGITS = 100;

const DIRECTIVE = /%(?:\(([^)]*)\))?([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?(.)?/gs;

/** Python's `text % values`. */
export function percentFormat(text: string, values: Value): string {
  const list = values instanceof Tuple ? values.items : [values];
  let used = 0;
  const next = (): Value => {
    const value = list[used++];
    if (value === undefined) throw new TemplateError("not enough arguments for format string");
    return value;
  };
  const formatted = text.replace(
    DIRECTIVE,
    (_, key?: string, flags = "", width?: string, digits?: string, type?: string) => {
      if (type === "%") return "%";
      const number = (text?: string) =>
        text === "*" ? Number(next()) : text === undefined ? undefined : Number(text);
      const [minimum, precision] = [number(width), number(digits)];
      let value: Value;
      if (key === undefined) value = next();
      else {
        if (!(values instanceof Dict)) throw new TemplateError("format requires a mapping");
        const found = values.get(key);
        if (found === undefined) throw new TemplateError(`there is no key "${key}" to format`);
        value = found;
      }
      const body = converted(value, type, flags, precision);
      return padded(body, {
        width: minimum ?? 0,
        left: flags.includes("-"),
        zeros: flags.includes("0") && type !== "s" && type !== "r",
      });
    },
  );
  if (used < list.length && !takesAny(values))
    throw new TemplateError("not all arguments converted during string formatting");
  return formatted;
}

/** Python lets these be left unused. */
const takesAny = (values: Value): boolean =>
  values instanceof Dict || values instanceof Undefined || Array.isArray(values);

function converted(value: Value, type: string | undefined, flags: string, digits?: number): string {
  if (type === "s" || type === "r" || type === "a") {
    const text = type === "s" ? textOf(value) : reprOf(value);
    return digits === undefined ? text : Array.from(charsOf(text)).slice(0, digits).join("");
  }
  if (type === "c")
    return typeof value === "bigint" ? String.fromCodePoint(Number(value)) : textOf(value);
  if (type === undefined || !"diuxXofFeEgG".includes(type))
    throw new TemplateError(`unsupported format character "${type ?? ""}"`);
  return signed(numberText(value, type, digits, flags.includes("#")), flags);
}

/** A number as the presentation `type` of Python writes it, with "-" where it is negative. */
export function numberText(value: Value, type: string, digits?: number, prefixed = false): string {
  if (typeof value === "boolean") value = BigInt(value);
  if (typeof value !== "bigint" && typeof value !== "number")
    throw new TemplateError(`%${type} format: a number is required, not ${typeName(value)}`);
  const base = { x: 16, X: 16, o: 8, b: 2 }[type];
  if (base !== undefined || "diu".includes(type)) {
    const whole = typeof value === "bigint" ? value : BigInt(Math.trunc(value));
    tickText(digits ?? 0);
    const body = (whole < 0n ? -whole : whole).toString(base ?? 10).padStart(digits ?? 1, "0");
    const prefix = prefixed && base ? `0${type}` : "";
    return (whole < 0n ? "-" : "") + prefix + (type === "X" ? body.toUpperCase() : body);
  }
  return floatFormat(Number(value), type, digits ?? 6);
}

function floatFormat(value: number, type: string, digits: number): string {
  if (!Number.isFinite(value)) return floatText(value);
  const small = type.toLowerCase();
  let text: string;
  if (small === "f") text = fixed(value, digits);
  else if (small === "e") text = exponential(value, digits);
  else {
    const power =
      value === 0 ? 0 : Number(value.toExponential(Math.max(digits, 1) - 1).split("e")[1]);
    const scientific = power < -4 || power >= Math.max(digits, 1);
    text = scientific
      ? exponential(value, Math.max(digits, 1) - 1)
      : fixed(value, Math.max(digits, 1) - 1 - power);
    if (text.includes(".")) text = text.replace(/\.?0+(?=e|$)/, "");
  }
  return type === small ? text : text.toUpperCase();
}

/** Rounds half to even on the exact value, as `toFixed` does on it but for exact halves. */
export function fixed(value: number, digits: number): string {
  checkDigits(digits);
  if (Math.abs(value) >= 1e21)
    return `${BigInt(value)}${digits > 0 ? `.${"0".repeat(digits)}` : ""}`;
  const text = value.toFixed(digits);
  const scaled = Math.abs(value) * 10 ** digits;
  const isHalf =
    digits < 16 &&
    scaled % 1 === 0.5 &&
    scaled / 10 ** digits === Math.abs(value) &&
    Number.isInteger(value * 2 ** 20);
  if (!isHalf) return text;
  const even = 2 * Math.round(scaled / 2);
  return (value < 0 ? "-" : "") + (even / 10 ** digits).toFixed(digits);
}

function checkDigits(digits: number): void {
  if (digits > MAX_DIGITS)
    throw new TemplateError(
      `formats a number with more than ${MAX_DIGITS} digits behind the point`,
    );
}

function exponential(value: number, digits: number): string {
  checkDigits(digits);
  return value.toExponential(digits).replace(/e([+-])(\d)$/, "e$10$2");
}

const signed = (text: string, flags: string): string =>
  text.startsWith("-")
    ? text
    : flags.includes("+")
      ? `+${text}`
      : flags.includes(" ")
        ? ` ${text}`
        : text;

function padded(
  text: string,
  { width, left, zeros }: { width: number; left: boolean; zeros: boolean },
): string {
  const missing = width - charsOf(text).length;
  if (missing <= 0) return text;
  tickText(width);
  if (left) return text + " ".repeat(missing);
  if (!zeros) return " ".repeat(missing) + text;
  const sign = /^[-+ ]/.exec(text)?.[0] ?? "";
  return sign + "0".repeat(missing) + text.slice(sign.length);
}
