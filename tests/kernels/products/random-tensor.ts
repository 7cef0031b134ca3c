import { dequantize } from "../../../src/formats/ggml/dequantize.ts";
import { f32ToF16 } from "../../../src/formats/ggml/float16.ts";
import {
  GGML_TYPES,
  type GgmlType,
  tensorByteLength,
} from "../../../src/formats/ggml/ggml-types.ts";
import { layoutOfType } from "../../../src/kernels/products/weight-layouts.ts";
import type { TensorSource } from "../../../src/kernels/products/weight-sections.ts";
import { seededRandom } from "../../../src/random.ts";

export const ALL_TYPES = Object.keys(GGML_TYPES) as GgmlType[];

/** Byte offsets in a block of its halves: [scale, minimum]. */
const HALVES: Partial<Record<GgmlType, readonly number[]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
  Q2_K: [80, 82],
  Q3_K: [108],
  IQ4_NL: [0],
  IQ4_XS: [0],
  MXFP4: [],
};

/** Sizes of scales that give weights of about 0.1. */
const SIZES: Partial<Record<GgmlType, number>> = {
  Q6_K: 2e-5,
  Q2_K: 4e-3,
  Q3_K: 8e-4,
  Q4_K: 4e-4,
  Q5_K: 4e-4,
  Q8_0: 1e-3,
  IQ4_NL: 1e-3,
  IQ4_XS: 4e-5,
};

export function randomFloats(count: number, seed: number, scale = 1): Float32Array {
  const next = seededRandom(seed);
  return Float32Array.from({ length: count }, () => (next() * 2 - 1) * scale);
}

export interface RandomTensor {
  readonly source: TensorSource;
  /** Dequantised, [rows, cols]. */
  readonly values: Float32Array;
}

/** A tensor of random codes, and scales of either sign that give weights of about 0.1. */
export function randomTensor(
  type: GgmlType,
  rows: number,
  cols: number,
  seed: number,
): RandomTensor {
  const next = seededRandom(seed);
  const bytes = new Uint8Array(rows * tensorByteLength(type, [cols]));
  const halves = HALVES[type];
  if (halves) {
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(next() * 256);
    const size = SIZES[type] ?? 0.01;
    for (let block = 0; block < bytes.length; block += GGML_TYPES[type].blockBytes) {
      // Its scale is a power of two.
      if (type === "MXFP4") bytes[block] = 121 + Math.floor(next() * 4);
      for (const at of halves) {
        const half = f32ToF16((next() * 2 - 1) * size);
        bytes[block + at] = half & 255;
        bytes[block + at + 1] = half >> 8;
      }
    }
  } else fillFloats(type, bytes, next);
  const values = dequantize(type, bytes, rows * cols);
  const source: TensorSource = {
    name: `random ${type}`,
    type,
    rows,
    cols,
    read: (offset, length) => bytes.slice(offset, offset + length),
  };
  return { source, values };
}

function fillFloats(type: GgmlType, bytes: Uint8Array, next: () => number): void {
  const view = new DataView(bytes.buffer);
  const { blockBytes } = GGML_TYPES[type];
  const word = new DataView(new ArrayBuffer(4));
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const value = (next() * 2 - 1) * 0.1;
    if (type === "F32") view.setFloat32(at, value, true);
    else if (type === "F16") view.setUint16(at, f32ToF16(value), true);
    else {
      word.setFloat32(0, value);
      view.setUint16(at, word.getUint16(0), true);
    }
  }
}

/** Two tensors [n, k], and their rows in turns: gate 0, up 0, gate 1, ... */
export function gateUp(n: number, k: number, ...types: readonly [GgmlType, GgmlType]) {
  const [gate, up] = types.map((type, i) => randomTensor(type, n, k, 100 + i));
  const weights = new Float32Array(2 * n * k);
  for (let row = 0; row < n; row++) {
    weights.set(gate!.values.subarray(row * k, (row + 1) * k), 2 * row * k);
    weights.set(up!.values.subarray(row * k, (row + 1) * k), (2 * row + 1) * k);
  }
  return { sources: [gate!.source, up!.source], weights };
}

/** A limit of bytes a binding that cuts a matrix of this type into parts of 16 rows. */
export const bindingOf16Rows = (type: GgmlType, cols: number, wide = true): number => {
  const widest = Math.max(...layoutOfType(type, wide).streams.map(({ words }) => words));
  return 16 * Math.ceil(cols / 32) * widest * 4;
};
