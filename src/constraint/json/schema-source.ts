import { invalidArgument, type WinnowError } from "../../errors.ts";

/** A schema, or what stands in a schema's place, and where: the path behind the name of the request's field. */
export interface SchemaRef {
  readonly schema: unknown;
  readonly path: string;
}

export type SchemaObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is SchemaObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A JSON schema and its parts, by place. */
export class SchemaSource {
  /** Name of the request's field that holds it. */
  readonly field: string;
  readonly root: SchemaRef;
  private anchors: Map<string, SchemaRef> | undefined;

  constructor(schema: unknown, field: string) {
    this.field = field;
    this.root = { schema, path: "" };
  }

  refuse(path: string, problem: string, hint = ""): WinnowError {
    return invalidArgument(`${this.field}${path}`, problem, hint);
  }

  child({ path }: SchemaRef, schema: unknown, ...names: (string | number)[]): SchemaRef {
    const step = (name: string | number): string =>
      typeof name === "number"
        ? `[${name}]`
        : /^[\w$-]+$/.test(name)
          ? `.${name}`
          : `[${JSON.stringify(name)}]`;
    return { schema, path: path + names.map(step).join("") };
  }

  /** The parts of a keyword that holds a list of schemas. */
  list(ref: SchemaRef, keyword: string): SchemaRef[] {
    const value = (ref.schema as SchemaObject)[keyword];
    if (value === undefined) return [];
    if (!Array.isArray(value) || (value.length === 0 && keyword !== "prefixItems"))
      throw this.refuse(
        this.child(ref, 0, keyword).path,
        "must be a list of schemas that is not empty",
      );
    return value.map((schema, i) => this.child(ref, schema, keyword, i));
  }

  /** The parts of a keyword that holds schemas by name. */
  named(ref: SchemaRef, keyword: string): Map<string, SchemaRef> {
    const value = (ref.schema as SchemaObject)[keyword];
    if (value === undefined) return new Map();
    if (!isObject(value))
      throw this.refuse(this.child(ref, 0, keyword).path, "must be an object of schemas");
    return new Map(
      Object.entries(value).map(([name, schema]) => [name, this.child(ref, schema, keyword, name)]),
    );
  }

  /** What `$ref` names. Only places within the schema can be had. */
  resolve(ref: SchemaRef, target: unknown): SchemaRef {
    const place = this.child(ref, 0, "$ref").path;
    const id = isObject(this.root.schema) ? this.root.schema.$id : undefined;
    let text = target;
    if (typeof text === "string" && typeof id === "string" && text.startsWith(id))
      text = text.slice(id.length) || "#";
    if (typeof text !== "string" || !text.startsWith("#"))
      throw this.refuse(
        place,
        `${JSON.stringify(target)} is not within the schema`,
        'Write it into "$defs".',
      );
    if (text === "#") return this.root;
    const found = text.startsWith("#/") ? this.byPointer(text) : this.byAnchor(text.slice(1));
    if (found) return found;
    throw this.refuse(place, `nothing is at ${JSON.stringify(target)}`);
  }

  private byPointer(pointer: string): SchemaRef | undefined {
    let at = this.root;
    for (const part of pointer.slice(2).split("/")) {
      let name: string;
      try {
        name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      } catch {
        return undefined;
      }
      const { schema } = at;
      if (Array.isArray(schema) && /^\d+$/.test(name) && Number(name) < schema.length)
        at = this.child(at, schema[Number(name)], Number(name));
      else if (isObject(schema) && Object.hasOwn(schema, name))
        at = this.child(at, schema[name], name);
      else return undefined;
    }
    return at;
  }

  private byAnchor(name: string): SchemaRef | undefined {
    if (!this.anchors) {
      const anchors = new Map<string, SchemaRef>();
      const look = (ref: SchemaRef): void => {
        const { schema } = ref;
        if (Array.isArray(schema))
          for (const [i, one] of schema.entries()) look(this.child(ref, one, i));
        if (!isObject(schema)) return;
        if (typeof schema.$anchor === "string") anchors.set(schema.$anchor, ref);
        for (const [key, value] of Object.entries(schema))
          if (key !== "enum" && key !== "const") look(this.child(ref, value, key));
      };
      look(this.root);
      this.anchors = anchors;
    }
    return this.anchors.get(name);
  }
}
