/**
 * IEEE half precision and bfloat16 as bit patterns. Written by hand because Float16Array is missing
 * in Node 20 and in older browsers.
 */
const floatBits = new Float32Array(1);
const intBits = new Uint32Array(floatBits.buffer);

/** One f32 for each of the 65,536 half patterns, made on first use (256 KiB). */
let table: Float32Array | undefined;

function halfTable(): Float32Array {
  if (table !== undefined) return table;
  const bits = new Uint32Array(65_536);
  for (let half = 0; half < 65_536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) bits[half] = sign | 0x7f800000 | (fraction << 13);
    else if (exponent !== 0) bits[half] = sign | ((exponent + 112) << 23) | (fraction << 13);
    else {
      // Subnormal: fraction x 2^-24, exact in f32.
      floatBits[0] = fraction * 2 ** -24;
      bits[half] = sign | intBits[0]!;
    }
  }
  table = new Float32Array(bits.buffer);
  return table;
}

export const f16ToF32 = (half: number): number => halfTable()[half]!;

/** Rounds to nearest, ties to even; overflow gives infinity, as in IEEE 754. */
export function f32ToF16(value: number): number {
  floatBits[0] = value;
  const bits = intBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  // NaN: quiet, with the leading bits of its payload.
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal or zero: one unit is 2^-24.
    floatBits[0] = value < 0 ? -value : value;
    return sign | roundHalfEven(floatBits[0] * 2 ** 24);
  }
  // Rebias, then round: a carry runs into the exponent and, past the largest half, to infinity.
  const rebiased = magnitude - 0x38000000;
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

export function bf16ToF32(bits: number): number {
  intBits[0] = bits << 16;
  return floatBits[0]!;
}

/** Rounds to nearest, ties to even. */
export function f32ToBf16(value: number): number {
  floatBits[0] = value;
  const bits = intBits[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** `count` little-endian halves from `bytes`, which need not be aligned. */
export function f16BytesToF32(bytes: Uint8Array, count: number, out = new Float32Array(count)) {
  // Copying bit patterns, not numbers, keeps NaN payloads.
  const from = new Uint32Array(halfTable().buffer);
  const to = new Uint32Array(out.buffer, out.byteOffset, count);
  for (let i = 0, at = 0; i < count; i++, at += 2)
    to[i] = from[bytes[at]! | (bytes[at + 1]! << 8)]!;
  return out;
}

/** `count` little-endian bfloat16 from `bytes`, which need not be aligned. */
export function bf16BytesToF32(bytes: Uint8Array, count: number, out = new Float32Array(count)) {
  const to = new Uint32Array(out.buffer, out.byteOffset, count);
  for (let i = 0, at = 0; i < count; i++, at += 2)
    to[i] = (bytes[at]! << 16) | (bytes[at + 1]! << 24);
  return out;
}

export function f32ToF16Array(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = f32ToF16(values[i]!);
  return out;
}

export function f32ToBf16Array(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = f32ToBf16(values[i]!);
  return out;
}
