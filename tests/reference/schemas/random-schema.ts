import { pick } from "../../../src/random.ts";
import { SCHEMA_KINDS } from "./schema-kinds.ts";

export type Schema = boolean | Record<string, unknown>;

const NAMES = [
  "id",
  "name",
  "größe",
  "a b",
  "x-1",
  "tags",
  "名前",
  'q"',
  "items",
  "next",
  "value",
  "kind",
];
const WORDS = ["red", "green", "blå", "a\nb", '"', "", "long words with spaces", "\u{1f600}"];
const PATTERNS = [
  "^[a-z]{1,6}$",
  "^\\d{2}-\\d{2}$",
  "a|b",
  "^(yes|no)",
  "[0-9]+$",
  "^[^\\s]{1,5}$",
  "^\\w+@\\w+$",
];
const FORMATS = [
  "date",
  "time",
  "date-time",
  "uuid",
  "email",
  "ipv4",
  "ipv6",
  "uri",
  "hostname",
  "duration",
];

/** A JSON schema that depends on the random numbers alone: all that `SCHEMA_KINDS` has, nested and mixed. */
export function randomSchema(random: () => number): Schema {
  const references = random() < 0.4;
  const whole = new Generator(random, references ? ["first", "second"] : []);
  const schema = whole.schema(0);
  if (!references || typeof schema === "boolean") return schema;
  return { $defs: { first: whole.object(1), second: whole.leaf() }, ...schema };
}

class Generator {
  private readonly random: () => number;
  private readonly names: readonly string[];

  constructor(random: () => number, names: readonly string[]) {
    this.random = random;
    this.names = names;
  }

  schema(depth: number): Schema {
    const { random } = this;
    const chance = random();
    if (depth > 0 && this.names.length > 0 && chance < 0.15)
      return { $ref: `#/$defs/${pick(random, this.names)}` };
    if (chance < 0.2) return pick(random, Object.values(SCHEMA_KINDS).filter(isPlain));
    if (depth > 2 || (depth > 0 && chance < 0.5)) return this.leaf();
    if (chance < 0.62) return this.array(depth);
    if (chance < 0.72) return { [pick(random, ["anyOf", "oneOf"])]: this.several(depth) };
    if (chance < 0.76)
      return {
        allOf: [this.object(depth + 1), { properties: { [pick(random, NAMES)]: this.leaf() } }],
      };
    return this.object(depth);
  }

  object(depth: number): Schema {
    const { random } = this;
    const names = NAMES.filter(() => random() < 0.3);
    const properties = Object.fromEntries(names.map((name) => [name, this.schema(depth + 1)]));
    const required = names.filter(() => random() < 0.6);
    return {
      type: "object",
      properties,
      ...(random() < 0.8 && { required }),
      ...(random() < 0.7 && { additionalProperties: false }),
      ...(random() < 0.1 && { additionalProperties: this.leaf(), maxProperties: names.length + 1 }),
      ...(random() < 0.1 && { minProperties: Math.min(1, names.length) }),
    };
  }

  leaf(): Schema {
    const { random } = this;
    const int = (most: number): number => Math.floor(random() * most);
    switch (int(9)) {
      case 0:
        return {
          type: "string",
          ...(random() < 0.5 && { minLength: int(4) }),
          maxLength: 4 + int(40),
        };
      case 1:
        return {
          type: "string",
          pattern: pick(random, PATTERNS),
          ...(random() < 0.3 && { maxLength: 12 }),
        };
      case 2:
        return { type: "string", format: pick(random, FORMATS) };
      case 3:
        return { enum: [pick(random, WORDS), pick(random, WORDS), int(100), null] };
      case 4: {
        const low = int(2000) - 1000;
        return {
          type: "integer",
          minimum: low,
          maximum: low + int(500),
          ...(random() < 0.2 && { multipleOf: 1 + int(9) }),
        };
      }
      case 5: {
        const low = Math.round(random() * 1000) / 8 - 50;
        return {
          type: "number",
          [pick(random, ["minimum", "exclusiveMinimum"])]: low,
          maximum: low + 0.5 + random(),
        };
      }
      case 6:
        return { type: pick(random, ["integer", "number", "boolean", "null"]) };
      case 7:
        return { const: pick(random, [1, "one", null, true, [1, "a"], { a: { b: [] } }] as const) };
      default:
        return { type: ["boolean", "null"], description: pick(random, WORDS) };
    }
  }

  private array(depth: number): Schema {
    const { random } = this;
    const least = Math.floor(random() * 3);
    const bounds = { minItems: least, maxItems: least + Math.floor(random() * 4) };
    if (random() < 0.2)
      return { type: "array", prefixItems: [this.leaf(), this.schema(depth + 1)], items: false };
    return {
      type: "array",
      items: this.schema(depth + 1),
      ...bounds,
      ...(random() < 0.1 && { uniqueItems: true }),
    };
  }

  private several(depth: number): Schema[] {
    const { random } = this;
    if (random() < 0.4) return ["x", "y", "z"].map((kind) => tagged(kind, this.schema(depth + 1)));
    return [this.leaf(), this.schema(depth + 1)];
  }
}

const tagged = (kind: string, value: Schema): Schema => ({
  type: "object",
  properties: { kind: { const: kind }, value },
  required: ["kind", "value"],
  additionalProperties: false,
});

/** Those that refer to their own root would refer to another one elsewhere. */
const isPlain = (schema: Schema): boolean => !JSON.stringify(schema).includes("$ref");
