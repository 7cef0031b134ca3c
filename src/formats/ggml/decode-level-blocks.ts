/** Decoders of types whose four-bit codes stand for levels (`CODE_FORMATS[type].levels`). See decode-blocks.ts. */
import { type Decoder, nibbles16 } from "./block-decoder.ts";
import { half } from "./plain-formats.ts";

export const LEVEL_DECODERS = {
  // d:f16, 16 nibble bytes; weight = d level
  IQ4_NL(bytes, at, { codes, scales, mins }, w, g) {
    scales[g] = half(bytes, at);
    mins[g] = 0;
    nibbles16(bytes, at + 2, codes, w);
  },
  // d:f16, top scale bits:u16, 4 bytes of scale nibbles, 8 x 16 nibble bytes; weight = d (s - 32) level
  IQ4_XS(bytes, at, { codes, scales, mins }, w, g) {
    const d = half(bytes, at);
    const high = bytes[at + 2]! | (bytes[at + 3]! << 8);
    for (let j = 0; j < 8; j++) {
      const low = (bytes[at + 4 + (j >> 1)]! >> (4 * (j & 1))) & 15;
      scales[g + j] = d * ((low | (((high >> (2 * j)) & 3) << 4)) - 32);
      mins[g + j] = 0;
      nibbles16(bytes, at + 8 + 16 * j, codes, w + 32 * j);
    }
  },
  // exponent e:u8, 16 nibble bytes; weight = 2^(e - 128) level
  MXFP4(bytes, at, { codes, scales, mins }, w, g) {
    scales[g] = 2 ** (bytes[at]! - 128);
    mins[g] = 0;
    nibbles16(bytes, at + 1, codes, w);
  },
} satisfies Record<string, Decoder>;
