import { WinnowError } from "../errors.ts";
import type { Wgsl } from "./kernel.ts";

/** A WGSL struct of 32-bit numbers, laid out as its shader declares it. */
export interface ShaderStruct<Field extends string> {
  /** 32-bit words of one record. */
  readonly words: number;
  /** The word of a field. */
  at(field: Field): number;
  /** Records one after the other, their padding 0. Throws internal where a field is missing or unknown. */
  pack(...records: Readonly<Record<Field, number>>[]): Uint32Array<ArrayBuffer>;
}

/** Fields that nobody reads. */
const isPadding = (name: string): boolean => name.startsWith("pad");

/** The struct `name` of a shader, whose members are all u32, i32 or f32. */
export function shaderStruct<Field extends string>(
  shader: Wgsl,
  name: string,
): ShaderStruct<Field> {
  const code = [shader]
    .flat()
    .join("\n")
    .replace(/\/\/.*/g, "");
  const [, body = ""] = new RegExp(`struct ${name}\\s*\\{([^}]*)\\}`).exec(code) ?? [];
  const members = [...body.matchAll(/(\w+)\s*:\s*(\w+)/g)].map(([, field, type]) => ({
    field: field!,
    type: type!,
  }));
  const wrong = (problem: string): WinnowError =>
    new WinnowError("internal", `struct ${name}: ${problem}`);
  if (members.length === 0) throw wrong("the shader does not declare it");
  const odd = members.find(({ type }) => !["u32", "i32", "f32"].includes(type));
  if (odd) throw wrong(`${odd.field} is a ${odd.type}`);
  const words = members.length;
  return {
    words,
    at(field) {
      const word = members.findIndex((member) => member.field === field);
      if (word < 0) throw wrong(`no field ${field}`);
      return word;
    },
    pack(...records) {
      const out = new Uint32Array(records.length * words);
      const floats = new Float32Array(out.buffer);
      records.forEach((record, i) => {
        const values: Readonly<Record<string, number>> = record;
        for (const field of Object.keys(values)) this.at(field as Field);
        members.forEach(({ field, type }, word) => {
          if (isPadding(field)) return;
          const value = values[field];
          if (value === undefined) throw wrong(`${field} is missing`);
          (type === "f32" ? floats : out)[i * words + word] = value;
        });
      });
      return out;
    },
  };
}
