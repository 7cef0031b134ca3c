/** A model that exists only while it is read: every tensor that a shape asks for, of random blocks. */
import { WinnowError } from "../../../errors.ts";
import { checkRange } from "../../../formats/blob-source.ts";
import type { ByteSource } from "../../../formats/byte-source.ts";
import { decoderConfig } from "../../../formats/checkpoint/hub-config.ts";
import { badConfig } from "../../../formats/checkpoint/hub-errors.ts";
import { f32ToF16 } from "../../../formats/ggml/float16.ts";
import { GGML_TYPES, type GgmlType, tensorByteLength } from "../../../formats/ggml/ggml-types.ts";
import type { Gguf, GgufTensor } from "../../../formats/gguf/gguf.ts";
import type { GgufValue } from "../../../formats/gguf/gguf-metadata.ts";
import { architectureOf } from "../../../model/architectures.ts";
import { readConfig } from "../../../model/config.ts";
import { findTensors } from "../../../model/tensors.ts";
import { seededRandom } from "../../../random.ts";
import { mixtureOf } from "./q4-k-m.ts";
import { shapeMetadata } from "./shape-metadata.ts";
import type { ShapeConfig } from "./shapes.ts";

/** Bytes of random blocks of a type, from which its tensors are cut. */
const PATTERN_BYTES = 1 << 20;
/** Standard deviation of weights. */
const SPREAD = 0.02;

/** Of blocks of a type: where the scale is, the deviation of weights at a scale of 1, and where a minimum is, in scales. */
const SCALES: Partial<Record<GgmlType, { at: number; unit: number; minimum?: [number, number] }>> =
  {
    Q4_K: { at: 0, unit: 230, minimum: [2, 7.5] },
    Q5_0: { at: 0, unit: 9.2 },
    Q6_K: { at: 208, unit: 1370 },
    Q8_0: { at: 0, unit: 74 },
  };

/** A GGUF's header and bytes (`parseModel` takes the header from it), of the mixture Q4_K_M. */
export class RandomModel implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly gguf: Gguf;
  private readonly patterns = new Map<string, Uint8Array>();
  private readonly given: ReadonlyMap<string, Uint8Array>;

  private constructor(name: string, gguf: Gguf, given: ReadonlyMap<string, Uint8Array>) {
    this.name = name;
    this.gguf = gguf;
    this.given = given;
    this.size = [...gguf.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Throws bad_model_file and unsupported_model, as a checkpoint with this config.json. */
  static async of(name: string, config: ShapeConfig): Promise<RandomModel> {
    const { metadata, architecture, ropeFactors } = shapeMetadata(config);
    const text = decoderConfig(config) as ShapeConfig;
    const { vocab_size: count } = text;
    if (!(Number.isInteger(count) && (count as number) > 0))
      throw badConfig("vocab_size", `is ${JSON.stringify(count)}`);
    const header = new Map<string, GgufValue>([
      ["general.architecture", architecture],
      ["general.name", name],
      ...metadata,
      ...vocabulary(count as number),
    ]);
    const shapes = await shapesOf(header, text);
    for (const [tensor, { length }] of Object.entries(ropeFactors)) shapes.set(tensor, [length]);
    const given = Object.entries(ropeFactors).map(
      ([tensor, factors]) => [tensor, new Uint8Array(factors.buffer)] as const,
    );
    return new RandomModel(name, ggufOf(header, shapes), new Map(given));
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    for (const tensor of this.gguf.tensors.values()) {
      const first = Math.max(offset, tensor.offset);
      const end = Math.min(offset + length, tensor.offset + tensor.byteLength);
      if (first >= end) continue;
      const part = bytes.subarray(first - offset, end - offset);
      this.fill(part, tensor, first - tensor.offset);
    }
    return bytes;
  }

  /** Writes the tensor's bytes from `from` on. */
  private fill(out: Uint8Array, { name, type }: GgufTensor, from: number): void {
    // What a DeltaNet layer forgets has a rate below 0.
    const sign = name.endsWith("ssm_a") ? -1 : 1;
    const key = `${type} ${sign}`;
    const random = this.patterns.get(key) ?? randomBlocks(type, sign);
    this.patterns.set(key, random);
    const pattern = this.given.get(name) ?? random;
    for (let at = 0; at < out.length; ) {
      const start = (from + at) % pattern.length;
      const part = pattern.subarray(start, start + out.length - at);
      out.set(part, at);
      at += part.length;
    }
  }
}

/** Tokens of no meaning, as many as the model has. */
const vocabulary = (count: number): [string, GgufValue][] => [
  ["tokenizer.ggml.model", "gpt2"],
  ["tokenizer.ggml.pre", "default"],
  ["tokenizer.ggml.tokens", Array.from({ length: count }, (_, id) => `token${id}`)],
  ["tokenizer.ggml.merges", []],
];

/** Whether the head has weights of its own, as the configuration classes have it where a file does not say. */
const hasOwnHead = ({ tie_word_embeddings: tied, model_type: type }: ShapeConfig): boolean =>
  !(tied ?? /^(gemma|lfm2)/.test(String(type)));

/** The shapes of the tensors that the model's family asks for: each that it misses is added. */
async function shapesOf(
  metadata: ReadonlyMap<string, GgufValue>,
  config: ShapeConfig,
): Promise<Map<string, readonly number[]>> {
  const embedding = [Number(config.hidden_size), Number(config.vocab_size)];
  const shapes = new Map<string, readonly number[]>([["token_embd.weight", embedding]]);
  if (hasOwnHead(config)) shapes.set("output.weight", embedding);
  const family = await architectureOf(ggufOf(metadata, shapes));
  for (;;) {
    const gguf = ggufOf(metadata, shapes);
    try {
      findTensors(NO_BYTES, gguf, readConfig(gguf, family));
      return shapes;
    } catch (error) {
      if (!(error instanceof WinnowError)) throw error;
      const { field, needed, found } = error.details;
      if (!Array.isArray(needed) || found !== undefined) throw error;
      shapes.set(String(field), needed);
    }
  }
}

const NO_BYTES: ByteSource = { name: "", size: 0, read: async () => new Uint8Array() };

function ggufOf(
  metadata: ReadonlyMap<string, GgufValue>,
  shapes: ReadonlyMap<string, readonly number[]>,
): Gguf {
  const list = [...shapes].map(([name, shape]) => ({ name, shape }));
  const types = mixtureOf(list);
  let offset = 0;
  const tensors = list.map(({ name, shape }, i): GgufTensor => {
    const byteLength = tensorByteLength(types[i]!, shape);
    offset += byteLength;
    return { name, type: types[i]!, shape, offset: offset - byteLength, byteLength };
  });
  return {
    version: 3,
    metadata,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    unreadable: new Map(),
    notices: [],
    alignment: 1,
    dataOffset: 0,
  };
}

/** The upper half of an f32. */
const bf16 = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;

function randomBlocks(type: GgmlType, sign: number): Uint8Array {
  const { blockBytes } = GGML_TYPES[type];
  const random = seededRandom(1);
  const count = Math.ceil(PATTERN_BYTES / blockBytes);
  const bytes = new Uint8Array(count * blockBytes);
  const view = new DataView(bytes.buffer);
  if (type === "F32" || type === "F16" || type === "BF16") {
    for (let at = 0; at < bytes.length; at += blockBytes)
      if (type === "F32") view.setFloat32(at, sign * (0.75 + 0.5 * random()), true);
      else if (type === "BF16") view.setUint16(at, bf16(4 * SPREAD * (random() - 0.5)), true);
      else view.setUint16(at, f32ToF16(4 * SPREAD * (random() - 0.5)), true);
    return bytes;
  }
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = Math.floor(256 * random());
  const { at, unit, minimum } = SCALES[type]!;
  for (let block = 0; block < bytes.length; block += blockBytes) {
    view.setUint16(block + at, f32ToF16(SPREAD / unit), true);
    if (minimum) view.setUint16(block + minimum[0], f32ToF16((minimum[1] * SPREAD) / unit), true);
  }
  return bytes;
}
