/**
 * A checkpoint of Hugging Face's `transformers` (safetensors, config.json, tokenizer.json) under the
 * names a GGUF would use, so that nothing above needs to know.
 */
import { WinnowError } from "../../errors.ts";
import { checkRange, MemorySource } from "../blob-source.ts";
import type { ByteSource } from "../byte-source.ts";
import type { GgmlType } from "../ggml/ggml-types.ts";
import { type Gguf, type GgufTensor, passedOver, tensorNamed } from "../gguf/gguf.ts";
import type { GgufValue } from "../gguf/gguf-metadata.ts";
import { JoinedSource } from "../gguf/gguf-split.ts";
import { configMetadata, decoderConfig } from "./hub-config.ts";
import type { HubConfig } from "./hub-fields.ts";
import { ggufName, holdsOneLess, isInterleaved, PlusOne } from "./hub-tensors.ts";
import { tokenizerMetadata } from "./hub-tokenizer.ts";

export interface SafetensorsFiles {
  /** The weights; several where they are sharded, in any order. */
  readonly weights: readonly ByteSource[];
  /** Parsed model.safetensors.index.json of a sharded checkpoint. */
  readonly index?: { readonly weight_map?: Readonly<Record<string, string>> };
  readonly config: HubConfig;
  /** Parsed tokenizer.json. */
  readonly tokenizer: unknown;
  /** Parsed tokenizer_config.json: the chat template and end tokens. */
  readonly tokenizerConfig?: unknown;
  /** Parsed generation_config.json: more end tokens. */
  readonly generationConfig?: unknown;
  /** For people. */
  readonly name?: string;
}

/** The bytes of all shards one behind the other, with the header already read. */
export class SafetensorsModel implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly gguf: Gguf;
  readonly #joined: JoinedSource;
  readonly #headDim: number;
  readonly #turned: readonly GgufTensor[];

  private constructor(
    joined: JoinedSource,
    gguf: Gguf,
    name: string,
    headDim: number,
    turned: readonly GgufTensor[],
  ) {
    this.#joined = joined;
    this.#headDim = headDim;
    this.#turned = turned;
    this.gguf = gguf;
    this.name = name;
    this.size = joined.size;
  }

  /**
   * Reads the headers only.
   * @throws bad_model_file naming the file and field: a damaged header, a shard that is missing, a
   *   tensor of another shape than config.json gives; unsupported_model for an architecture, type
   *   or tokenizer that is not supported.
   */
  static async open(files: SafetensorsFiles, signal?: AbortSignal): Promise<SafetensorsModel> {
    checkShards(files);
    const name = files.name ?? files.weights[0]?.name ?? "model.safetensors";
    const { architecture, metadata, ropeFactors } = configMetadata(files.config);
    const config = decoderConfig(files.config);
    const shards = new JoinedSource(files.weights, name);
    const made: ByteSource[] = [];
    let end = shards.size;
    const make = (tensor: string, source: ByteSource): GgufTensor => {
      made.push(source);
      end += source.size;
      return {
        name: tensor,
        type: "F32",
        shape: [source.size / 4],
        offset: end - source.size,
        byteLength: source.size,
      };
    };
    const tensors = new Map<string, GgufTensor>();
    const unreadable = new Map<string, string>();
    for (const [i, shard] of files.weights.entries()) {
      for (const [key, entry] of await readHeader(shard, signal)) {
        const mapped = ggufName(key, architecture);
        if (entry.type === undefined) unreadable.set(mapped ?? key, entry.dtype);
        if (mapped === undefined || entry.type === undefined) continue;
        if (tensors.has(mapped)) throw bad(shard.name, key, "is there twice");
        const { type, shape, begin, end } = entry;
        if (holdsOneLess(mapped, architecture)) {
          const count = shape.reduce((product, n) => product * n, 1);
          tensors.set(mapped, make(mapped, new PlusOne(shard, key, { type, begin, count })));
          continue;
        }
        const offset = (shards.starts[i] as number) + begin;
        tensors.set(mapped, { name: mapped, type, shape, offset, byteLength: end - begin });
      }
    }
    if (config.tie_word_embeddings === true) tensors.delete("output.weight");
    for (const [tensor, factors] of Object.entries(ropeFactors))
      tensors.set(tensor, make(tensor, new MemorySource(new Uint8Array(factors.buffer))));
    const joined = new JoinedSource([...files.weights, ...made], name);
    const all = new Map<string, GgufValue>([
      ["general.name", name],
      ...metadata,
      ...tokenizerMetadata(files.tokenizer, files.tokenizerConfig, config, files.generationConfig),
    ]);
    all.set("general.architecture", architecture);
    const gguf: Gguf = {
      version: 3,
      metadata: all,
      tensors,
      unreadable,
      notices: passedOver(unreadable),
      alignment: 1,
      dataOffset: 0,
    };
    checkShapes(config, gguf);
    const headDim = metadata.get(`${architecture}.attention.key_length`) as number;
    const turned = !isInterleaved(architecture)
      ? []
      : [...tensors.values()].filter((tensor) => /attn_[qk]\.weight$/.test(tensor.name));
    return new SafetensorsModel(joined, gguf, name, headDim, turned);
  }

  /**
   * Bytes as a GGUF would have them: rows of q and k of llama in the order of interleaved RoPE
   * (row 2i of a head is row i here, row 2i + 1 is row i + D/2). Only a read inside one such tensor
   * is put in order; one across tensors gives the files' bytes.
   */
  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const tensor = this.#turned.find(
      (one) => one.offset <= offset && offset + length <= one.offset + one.byteLength,
    );
    if (tensor === undefined || length === 0) return this.#joined.read(offset, length, signal);
    const row = tensor.byteLength / (tensor.shape[1] as number);
    const head = row * this.#headDim;
    const half = this.#headDim / 2;
    const first = Math.floor((offset - tensor.offset) / head) * head;
    const last = Math.ceil((offset + length - tensor.offset) / head) * head;
    const bytes = await this.#joined.read(tensor.offset + first, last - first, signal);
    const ordered = new Uint8Array(bytes.length);
    for (let to = 0; to * row < bytes.length; to++) {
      const i = to % this.#headDim;
      const from = to - i + (i % 2 === 0 ? i / 2 : (i - 1) / 2 + half);
      ordered.set(bytes.subarray(from * row, (from + 1) * row), to * row);
    }
    const start = offset - tensor.offset - first;
    return ordered.slice(start, start + length);
  }
}

const bad = (file: string, field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${file}: ${field}: ${problem}`, {
    hint: "The file is damaged, incomplete or of another model; get it again from one repository.",
    details: { file, field },
  });

function checkShards({ weights, index }: SafetensorsFiles): void {
  if (weights.length === 0) throw bad("model.safetensors", "file", "is missing");
  const wanted = new Set(Object.values(index?.weight_map ?? {}));
  for (const name of wanted)
    if (!weights.some((source) => source.name === name))
      throw bad(name, "file", "the part is missing");
  if (index !== undefined)
    for (const { name } of weights)
      if (!wanted.has(name)) throw bad(name, "file", "is not in model.safetensors.index.json");
  const part = /-(\d{5})-of-(\d{5})\.safetensors$/.exec(weights[0]?.name ?? "");
  if (part !== null && weights.length !== Number(part[2]))
    throw bad(
      weights[0]?.name ?? "",
      "file",
      `${weights.length} of ${Number(part[2])} parts are here`,
    );
}

interface Entry {
  /** undefined for a type that is not read. */
  readonly type: GgmlType | undefined;
  readonly dtype: string;
  /** ggml order: the contiguous dimension first. */
  readonly shape: number[];
  /** Bytes from the start of the shard. */
  readonly begin: number;
  readonly end: number;
}

const MAX_HEADER = 64 * 1024 * 1024;
const BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

async function readHeader(shard: ByteSource, signal?: AbortSignal): Promise<Map<string, Entry>> {
  if (shard.size < 8) throw bad(shard.name, "header length", "the file is too short");
  const prefix = await shard.read(0, 8, signal);
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8);
  const length = Number(view.getBigUint64(0, true));
  if (length > Math.min(MAX_HEADER, shard.size - 8))
    throw bad(shard.name, "header length", `${length} bytes, but the file has ${shard.size}`);
  let header: Record<string, { dtype?: unknown; shape?: unknown; data_offsets?: unknown }>;
  try {
    header = JSON.parse(new TextDecoder().decode(await shard.read(8, length, signal)));
  } catch (error) {
    if (error instanceof WinnowError) throw error;
    throw bad(shard.name, "header", `is not JSON (${(error as Error).message})`);
  }
  const entries = new Map<string, Entry>();
  for (const [key, value] of Object.entries(header ?? {})) {
    if (key === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = value ?? {};
    const sizes = (list: unknown): list is number[] =>
      Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!sizes(shape) || shape.length > 4)
      throw bad(shard.name, `${key}.shape`, "is not a list of sizes");
    if (!sizes(offsets) || offsets.length !== 2)
      throw bad(shard.name, `${key}.data_offsets`, "is not a pair of offsets");
    const [begin, end] = offsets as [number, number];
    if (typeof dtype !== "string")
      throw bad(shard.name, `${key}.dtype`, `${JSON.stringify(dtype)} is no name of a type`);
    const bytes = Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
    const needed = bytes && shape.reduce((product, n) => product * n, bytes);
    if ((needed !== undefined && end - begin !== needed) || 8 + length + end > shard.size)
      throw bad(
        shard.name,
        `${key}.data_offsets`,
        `[${begin}, ${end}) does not hold ${needed ?? end - begin} bytes of the file`,
      );
    entries.set(key, {
      type: bytes === undefined ? undefined : (dtype as GgmlType),
      dtype,
      shape: shape.toReversed(),
      begin: 8 + length + begin,
      end: 8 + length + end,
    });
  }
  return entries;
}

/** config.json against the embedding: what everything else is measured by. */
function checkShapes(config: HubConfig, gguf: Gguf): void {
  const embedding = tensorNamed(gguf, "token_embd.weight");
  if (embedding === undefined)
    throw bad("model.safetensors", "model.embed_tokens.weight", "is missing");
  const [hidden, vocabulary] = embedding.shape;
  if (hidden !== config.hidden_size)
    throw bad(
      "config.json",
      "hidden_size",
      `is ${config.hidden_size}, but the embedding has ${hidden}`,
    );
  if (config.vocab_size !== undefined && vocabulary !== config.vocab_size)
    throw bad(
      "config.json",
      "vocab_size",
      `is ${config.vocab_size}, but the embedding has ${vocabulary} rows`,
    );
  const layers = Number(config.num_hidden_layers);
  const attends = (layer: number): boolean =>
    ["attn_q", "attn_qkv"].some((part) => tensorNamed(gguf, `blk.${layer}.${part}.weight`));
  for (let layer = 0; layer < layers; layer++)
    if (!attends(layer))
      throw bad(
        "config.json",
        "num_hidden_layers",
        `is ${layers}, but layer ${layer} has no weights`,
      );
  if (attends(layers))
    throw bad(
      "config.json",
      "num_hidden_layers",
      `is ${layers}, but there are weights of more layers`,
    );
}
