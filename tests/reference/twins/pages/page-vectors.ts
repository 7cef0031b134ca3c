import { f16ToF32, f32ToF16 } from "../../../../src/formats/ggml/float16.ts";
import type { KvStorage } from "../../../../src/kernels/pages/page-format.ts";

/** A vector as pages hold it: u32 words, and its scale (1 where the storage has none). */
export interface StoredVector {
  words: Uint32Array;
  scale: number;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** `x` rounded to f16, cut to what it holds. */
const half = (x: number): number => f32ToF16(Math.min(65504, Math.max(-65504, x)));

const halfEven = (x: number): number => {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
};

/** The scale of q8: m / 127 of the largest magnitude m, in f32, rounded up to bfloat16. 0 below m = 2^-100. */
export function q8Scale(x: ArrayLike<number>): number {
  let most = 0;
  for (let d = 0; d < x.length; d += 1) most = Math.max(most, Math.abs(x[d]!));
  if (most <= 2 ** -100) return 0;
  float[0] = Math.fround(most) * Math.fround(1 / 127);
  bits[0] = (bits[0]! + 0xffff) & 0xffff0000;
  return float[0]!;
}

/** Codes of q8: x / scale, rounded to nearest, ties to even, within +-127. */
export function q8Codes(x: ArrayLike<number>, scale: number): Int8Array {
  const inverse = scale > 0 ? Math.fround(1 / scale) : 0;
  return Int8Array.from(x, (v) =>
    Math.min(127, Math.max(-127, halfEven(Math.fround(Math.fround(v) * inverse)))),
  );
}

/** Twin of SOURCE_write in shaders/lib/pages_*.wgsl, for a whole vector. */
export function storeVector(x: ArrayLike<number>, storage: KvStorage): StoredVector {
  if (storage === "f32") {
    return { words: new Uint32Array(Float32Array.from(x).buffer), scale: 1 };
  }
  if (storage === "f16") {
    return { words: new Uint32Array(Uint16Array.from(x, half).buffer), scale: 1 };
  }
  const scale = q8Scale(x);
  return { words: new Uint32Array(q8Codes(x, scale).buffer), scale };
}

/** Twin of SOURCE_octet and SOURCE_scales, for a whole vector. */
export function loadVector({ words, scale }: StoredVector, storage: KvStorage): Float32Array {
  const { buffer } = words.slice();
  if (storage === "f32") return new Float32Array(buffer);
  if (storage === "f16") return Float32Array.from(new Uint16Array(buffer), f16ToF32);
  return Float32Array.from(new Int8Array(buffer), (code) => scale * code);
}
