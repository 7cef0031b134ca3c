import { WinnowError } from "../../../errors.ts";
import type { ByteSource } from "../../../formats/byte-source.ts";
import {
  type Fail,
  headerLength,
  parseHeader,
  type SafetensorsEntry,
} from "../../../formats/checkpoint/safetensors.ts";
import type { TensorShape } from "./chat-record.ts";

/** Most bytes of a header: its longest part is what was said. */
const MAX_HEADER = 64 * 2 ** 20;
const SIZES = { U32: 4, F32: 4 } as const;

/** What sources throw of a file that has changed or gone. */
const CHANGED: readonly string[] = ["bad_model_file", "model_not_found"];

/** Most letters of a message: a hostile file may name its parts by a million. */
const LONGEST = 500;

const DAMAGED =
  "The file is damaged, cut short, or no saved chat: fetch it again, or save the chat again.";

/** Throws bad_cache_file: what a field has, and what is wrong with it. */
export type FailField = (field: string, problem: string, hint?: string) => never;

/** A saved chat whose header is read, and whose tensors are read when they are asked for. */
export class ChatFile {
  readonly metadata: ReadonlyMap<string, string>;
  private readonly source: ByteSource;
  private readonly dataStart: number;
  private readonly entries: ReadonlyMap<string, SafetensorsEntry<keyof typeof SIZES>>;

  /** Throws bad_cache_file, and what the source throws. */
  static async open(source: ByteSource, signal?: AbortSignal): Promise<ChatFile> {
    const fail: Fail = (field, offset, problem) => {
      throw badFile(source.name, field, `at byte ${offset}: ${problem}`, DAMAGED);
    };
    const start = await ChatFile.read(source, 0, Math.min(8, source.size), signal);
    const failLength: Fail = looksLikePage(start)
      ? () => {
          throw badFile(source.name, "format", "is a web page", IS_PAGE);
        }
      : fail;
    const length = headerLength(start, source.size, failLength);
    if (length > MAX_HEADER) fail("header length", 0, `${length} bytes, at most ${MAX_HEADER}`);
    const bytes = await ChatFile.read(source, 8, length, signal);
    const dataStart = 8 + length;
    const { metadata, entries } = parseHeader(bytes, source.size - dataStart, SIZES, fail);
    return new ChatFile(source, dataStart, metadata, entries);
  }

  /** Bytes of the file, or bad_cache_file where it has changed or gone. */
  private static async read(
    source: ByteSource,
    offset: number,
    length: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    try {
      return await source.read(offset, length, signal);
    } catch (error) {
      if (!(error instanceof WinnowError) || !CHANGED.includes(error.code)) throw error;
      const { message, hint, details } = error;
      throw new WinnowError("bad_cache_file", message, { hint, details, cause: error });
    }
  }

  private constructor(
    source: ByteSource,
    dataStart: number,
    metadata: ReadonlyMap<string, string>,
    entries: readonly SafetensorsEntry<keyof typeof SIZES>[],
  ) {
    this.source = source;
    this.dataStart = dataStart;
    this.metadata = metadata;
    this.entries = new Map(entries.map((entry) => [entry.key, entry]));
  }

  readonly fail: FailField = (field, problem, hint = DAMAGED) => {
    throw badFile(this.source.name, field, problem, hint);
  };

  /** A text of the metadata. */
  text(name: string): string {
    return this.metadata.get(name) ?? this.fail(name, "is missing");
  }

  /** JSON of the metadata. */
  json(name: string): unknown {
    try {
      return JSON.parse(this.text(name));
    } catch (error) {
      if (error instanceof WinnowError) throw error;
      return this.fail(name, "is not JSON");
    }
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  /** Throws unless a tensor is there, of this type and shape. */
  check({ name, dtype, shape }: TensorShape): void {
    const found = this.entries.get(name) ?? this.fail(name, "the tensor is missing");
    if (found.dtype !== dtype || String(found.shape) !== String(shape))
      this.fail(
        name,
        `${found.dtype} [${found.shape.join(", ")}] where ${dtype} [${shape.join(", ")}] belongs`,
      );
  }

  /** Throws unless all these tensors are there, and no others. */
  checkAll(tensors: readonly TensorShape[]): void {
    for (const tensor of tensors) this.check(tensor);
    const known = new Set(tensors.map(({ name }) => name));
    for (const name of this.entries.keys())
      if (!known.has(name)) this.fail(name, "is no tensor of a saved chat");
  }

  /** The words of a tensor that must be there. */
  async words(tensor: TensorShape, signal?: AbortSignal): Promise<Uint32Array> {
    this.check(tensor);
    const { begin, end } = this.entries.get(tensor.name)!;
    const bytes = await ChatFile.read(this.source, this.dataStart + begin, end - begin, signal);
    // A copy where the view does not begin at a word.
    const own = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    return new Uint32Array(own.buffer, own.byteOffset, own.byteLength / 4);
  }
}

const IS_PAGE =
  "Check the address of the saved chat: many servers answer any path with the app's page.";

/** Whether a file begins as HTML does. */
const looksLikePage = (start: Uint8Array): boolean =>
  /^\s*<[!?a-z]/i.test(new TextDecoder().decode(start));

/** A value of the file in the words of a message: JSON has values that no text can be made of. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

const cut = (text: string): string =>
  text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;

const badFile = (file: string, field: string, problem: string, hint: string): WinnowError =>
  new WinnowError("bad_cache_file", cut(`${file}: ${field}: ${problem}`), {
    hint: cut(hint),
    details: { field: cut(field) },
  });
