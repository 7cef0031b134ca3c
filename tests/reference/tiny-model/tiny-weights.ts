/** Seeded random tensors in GGUF's types, for tiny-model.ts. Only exact arithmetic: same everywhere. */

export type TinyType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ4_NL"
  | "IQ4_XS"
  | "MXFP4";

/** Uniform in [0, 1). */
export type Random = () => number;

/** Weights and bytes of one block. */
const BLOCKS: Record<TinyType, [weights: number, bytes: number]> = {
  F32: [1, 4],
  F16: [1, 2],
  BF16: [1, 2],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
  IQ4_NL: [32, 18],
  IQ4_XS: [256, 136],
  MXFP4: [32, 17],
};

/** Standard deviation of the integer part of a block's weights, to turn a wanted spread into a scale. */
const SPREAD: Record<TinyType, number> = {
  F32: 1,
  F16: 1,
  BF16: 1,
  Q4_0: 4.6,
  Q4_1: 4.6,
  Q5_0: 9.2,
  Q5_1: 9.2,
  Q8_0: 74,
  Q2_K: 14,
  Q3_K: 43,
  Q4_K: 230,
  Q5_K: 460,
  Q6_K: 1370,
  IQ4_NL: 66,
  IQ4_XS: 1220,
  MXFP4: 5.85,
};

/** f16 bits of a positive value, rounded down; subnormal below 2^-14, as K-quant scales often are. */
function halfBits(value: number): number {
  if (value < 2 ** -14) return Math.floor(value * 2 ** 24);
  let exponent = 15;
  let mantissa = value;
  for (; mantissa >= 2; mantissa /= 2) exponent++;
  for (; mantissa < 1; mantissa *= 2) exponent--;
  return (exponent << 10) | Math.floor((mantissa - 1) * 1024);
}

function fillBlock(view: DataView, at: number, type: TinyType, std: number, draw: Random): void {
  const [, bytes] = BLOCKS[type];
  for (let i = 0; i < bytes; i++) view.setUint8(at + i, Math.floor(draw() * 256));
  const scale = (std / SPREAD[type]) * (0.75 + 0.5 * draw());
  const sign = 0x8000;
  const half = (offset: number, value: number, bits = 0) =>
    view.setUint16(at + offset, halfBits(value) | bits, true);
  switch (type) {
    case "Q4_1":
      half(0, scale);
      half(2, scale * 7.5, sign);
      break;
    case "Q5_1":
      half(0, scale);
      half(2, scale * 15.5, sign);
      break;
    case "Q2_K":
      half(80, scale);
      half(82, scale * 1.5);
      break;
    case "Q3_K":
      half(108, scale);
      break;
    case "MXFP4":
      view.setUint8(at, 128 + Math.round(Math.log2(scale)));
      break;
    case "Q4_K":
      half(0, scale);
      half(2, scale * 7.5);
      break;
    case "Q5_K":
      half(0, scale);
      half(2, scale * 15.5);
      break;
    case "Q6_K":
      half(208, scale);
      break;
    default:
      half(0, scale);
  }
}

/** Sum of four uniforms, centred: bell-shaped, mean 0, standard deviation 1. */
const bell = (draw: Random) => (draw() + draw() + draw() + draw() - 2) * Math.sqrt(3);

function fillFloat(view: DataView, at: number, type: TinyType, value: number): void {
  if (type === "F32") view.setFloat32(at, value, true);
  else if (type === "BF16") {
    const f32 = new DataView(new ArrayBuffer(4));
    f32.setFloat32(0, value);
    view.setUint16(at, f32.getUint16(0), true);
  } else {
    view.setUint16(at, halfBits(Math.abs(value)) | (value < 0 ? 0x8000 : 0), true);
  }
}

/** `rows` rows of `columns` weights in `type`'s blocks, with a spread of 1.4 / sqrt(columns). */
export function randomTensor(
  type: TinyType,
  rows: number,
  columns: number,
  draw: Random,
): Uint8Array<ArrayBuffer> {
  const [weights, bytes] = BLOCKS[type];
  if (columns % weights) throw new RangeError(`${type} rows need a multiple of ${weights} weights`);
  const std = 1.4 / Math.sqrt(columns);
  const data = new Uint8Array(((rows * columns) / weights) * bytes);
  const view = new DataView(data.buffer);
  for (let at = 0; at < data.length; at += bytes) {
    if (weights === 1) fillFloat(view, at, type, bell(draw) * std);
    else fillBlock(view, at, type, std, draw);
  }
  return data;
}
