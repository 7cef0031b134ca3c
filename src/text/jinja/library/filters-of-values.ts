import { attributeOf } from "../attributes.ts";
import { binary, isNumber, unary } from "../operators.ts";
import { TemplateError } from "../template-error.ts";
import { fixed } from "../texts/percent-format.ts";
import { jsonOf, reprOf } from "../texts/print.ts";
import {
  isTrue,
  itemsOf,
  lengthOf,
  or,
  plain,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../values.ts";
import { tickText } from "../work.ts";
import type { Filter } from "./filter-type.ts";

const length: Filter = [
  "",
  (value) => {
    const found = lengthOf(value);
    if (found === undefined)
      throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
    return BigInt(found);
  },
];

const fallback: Filter = [
  "default_value? boolean?",
  (value, given) => {
    const replaced =
      value instanceof Undefined || (isTrue(given.value("boolean")) && !isTrue(value));
    return replaced ? or(given.get("default_value"), () => "") : value;
  },
];

const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^(0b)?[01]+$/i,
  8: /^(0o)?[0-7]+$/i,
  16: /^(0x)?[\da-f]+$/i,
};

/** Python's `int(text, base)`, or undefined where it fails. */
function wholeOf(text: string, base: number): bigint | undefined {
  const [, sign = "", digits = ""] = /^([-+]?)(.*)$/s.exec(text.trim())!;
  if (!/^\w+$/.test(digits) || /^_|__|_$/.test(digits)) return undefined;
  const bare = digits.replaceAll("_", "");
  let value = 0n;
  if (base === 10 && /^\d+$/.test(bare)) value = BigInt(bare);
  else if (DIGITS[base]?.test(bare)) {
    const prefix = { 2: "0b", 8: "0o", 16: "0x" }[base as 2 | 8 | 16];
    value = BigInt(prefix + bare.replace(/^0[box]/i, ""));
  } else if (base !== 10 && base !== 16 && base >= 2 && base <= 36) {
    for (const char of bare.toLowerCase()) {
      const digit = Number.parseInt(char, base);
      if (Number.isNaN(digit)) return undefined;
      value = value * BigInt(base) + BigInt(digit);
    }
  } else return undefined;
  return sign === "-" ? -value : value;
}

/** Python's `float(text)`, or undefined where it fails. */
function floatOf(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  if (/^[-+]?(inf|infinity)$/.test(trimmed)) return trimmed.startsWith("-") ? -Infinity : Infinity;
  if (/^[-+]?nan$/.test(trimmed)) return Number.NaN;
  if (!/^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[-+]?\d+)?$/.test(trimmed)) return undefined;
  return Number(trimmed.replaceAll("_", ""));
}

function toInt(value: Value, other: Value, base: number): Value {
  if (value instanceof Undefined) value.fail();
  if (typeof value === "bigint" || typeof value === "boolean") return BigInt(value);
  if (typeof value === "number") return Number.isFinite(value) ? BigInt(Math.trunc(value)) : other;
  if (typeof value !== "string") return other;
  const whole = wholeOf(plain(value), base);
  if (whole !== undefined) return whole;
  const float = floatOf(plain(value));
  return float === undefined || !Number.isFinite(float) ? other : BigInt(Math.trunc(float));
}

function toFloat(value: Value, other: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (isNumber(value)) return Number(value);
  return typeof value === "string" ? (floatOf(plain(value)) ?? other) : other;
}

function rounded(value: Value, digits: number, method: string): Value {
  if (!["common", "ceil", "floor"].includes(method))
    throw new TemplateError("round: the method must be common, ceil or floor");
  if (!isNumber(value)) throw new TemplateError(`round needs a number, not ${typeName(value)}`);
  if (method !== "common") {
    const scale = 10 ** digits;
    return Math[method as "ceil" | "floor"](Number(value) * scale) / scale;
  }
  if (typeof value !== "number") {
    if (digits >= 0) return BigInt(value);
    const scale = 10n ** BigInt(-digits);
    const rest = ((BigInt(value) % scale) + scale) % scale;
    const down = BigInt(value) - rest;
    const up = 2n * rest > scale || (2n * rest === scale && (down / scale) % 2n !== 0n);
    return up ? down + scale : down;
  }
  if (!Number.isFinite(value)) return value;
  if (digits >= 0) return Number(fixed(value, digits));
  const scale = 10 ** -digits;
  return Number(fixed(value / scale, 0)) * scale;
}

function fileSize(value: Value, binaryUnits: boolean): string {
  const bytes = Number(toFloat(value, 0));
  const base = binaryUnits ? 1024 : 1000;
  const units = binaryUnits
    ? ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  let power = 1;
  while (power < units.length && bytes >= base ** (power + 1)) power++;
  return `${fixed(bytes / base ** power, 1)} ${units[power - 1]}`;
}

function separatorsOf(value: Value | undefined): readonly [string, string] | undefined {
  if (value === undefined || value === null) return undefined;
  const [item, key] = [...itemsOf(value)];
  if (typeof item !== "string" || typeof key !== "string")
    throw new TemplateError("tojson: separators are two texts");
  return [item, key];
}

export const VALUE_FILTERS: readonly (readonly [string, Filter])[] = [
  ["length", length],
  ["count", length],
  ["default", fallback],
  ["d", fallback],
  ["abs", ["", (value) => absolute(value)]],
  [
    "int",
    [
      "default? base?",
      (value, given) => toInt(value, given.get("default") ?? 0n, given.whole("base", 10)),
    ],
  ],
  ["float", ["default?", (value, given) => toFloat(value, given.get("default") ?? 0)]],
  [
    "round",
    [
      "precision? method?",
      (value, given) => rounded(value, given.whole("precision", 0), given.text("method", "common")),
    ],
  ],
  ["filesizeformat", ["binary?", (value, given) => fileSize(value, isTrue(given.value("binary")))]],
  ["attr", ["name", (value, given) => onlyAttribute(value, given.plain("name"))]],
  ["pprint", ["", (value) => onOneLine(reprOf(value))]],
  [
    "tojson",
    [
      "ensure_ascii? indent? separators? sort_keys?",
      (value, given) => {
        const indent = given.value("indent");
        const width = typeof indent === "string" ? indent : given.wholeOrNone("indent");
        if (typeof width === "number") tickText(width);
        return jsonOf(value, {
          ascii: isTrue(given.value("ensure_ascii")),
          indent: typeof width === "number" ? " ".repeat(Math.max(width, 0)) : width,
          separators: separatorsOf(given.get("separators")) ?? [
            width === undefined ? ", " : ",",
            ": ",
          ],
          sortKeys: isTrue(given.value("sort_keys")),
        });
      },
    ],
  ],
];

function absolute(value: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (!isNumber(value)) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
  return Number(value) < 0 ? unary("-", value) : binary("+", value, 0n);
}

/** Attributes alone: a dict's keys are none. */
function onlyAttribute(value: Value, name: string): Value {
  const found = attributeOf(value, name);
  const isKey = typeof found !== "object" || found === null || found instanceof Tuple;
  return isKey ? new Undefined(`'${typeName(value)} object' has no attribute '${name}'`) : found;
}

function onOneLine(text: string): string {
  if (text.length > 80) throw new TemplateError("pprint of more than a line is not supported");
  return text;
}
