import { expect, it } from "vitest";
import { shaderStruct } from "../../../src/gpu/shader-struct.ts";
import { BATCH, EVICTION, LANE, LAYER_SHAPE, ROW } from "../../../src/kernels/records.ts";

const code = `
struct Other { a: u32 }
struct Mixed {
  count: u32, // not a: struct
  share: f32,
  pad: u32,
  step: i32,
}`;

it("packs records as the shader declares them, by field name", () => {
  const mixed = shaderStruct<"count" | "share" | "step">(code, "Mixed");
  expect(mixed.words).toBe(4);
  expect(mixed.at("step")).toBe(3);
  const words = mixed.pack({ step: -1, share: 0.5, count: 7 }, { count: 1, share: -2, step: 3 });
  const floats = new Float32Array(words.buffer);
  expect([words[0], floats[1], words[2], words[3]]).toEqual([7, 0.5, 0, 0xffffffff]);
  expect([words[4], floats[5], words[7]]).toEqual([1, -2, 3]);
});

it("says which field is missing or unknown, and what the shader does not declare", () => {
  const mixed = shaderStruct<string>(code, "Mixed");
  expect(() => mixed.pack({ count: 1, share: 1 })).toThrow("struct Mixed: step is missing");
  expect(() => mixed.pack({ count: 1, share: 1, step: 1, more: 1 })).toThrow("no field more");
  expect(() => shaderStruct(code, "Third")).toThrow("struct Third: the shader does not declare it");
  expect(() => shaderStruct("struct V { v: vec4<u32> }", "V")).toThrow("v is a vec4");
});

it("knows every record that the host writes, uniforms in sizes that they may have", () => {
  expect(LANE.words).toBeGreaterThan(0);
  for (const { words } of [ROW, BATCH, LAYER_SHAPE, EVICTION]) expect(words % 4).toBe(0);
});
