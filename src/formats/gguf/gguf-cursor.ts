import { throwIfAborted } from "../../errors.ts";
import { badModelFile } from "../bad-file.ts";
import type { ByteSource } from "../byte-source.ts";

/** No known model's header comes near this; it bounds what a hostile file can make us hold. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;

/** Internal signal: the bytes wanted lie in the file but have not been read yet. Never escapes. */
class NeedBytes {
  readonly end: number;
  constructor(end: number) {
    this.end = end;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const latin1 = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/**
 * Reads little-endian fields from the start of a source. Parsing is synchronous on the bytes at
 * hand; where they end, `step` fetches more (at least doubling, so the whole costs at most twice
 * one pass) and runs the interrupted step again. Nothing is allocated by a claimed count: a count
 * is first held against the bytes the file really has.
 */
export class GgufCursor {
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  readonly #limit: number;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #chunk: number;
  readonly #latin1 = new Set<string>();
  /** Offset of the next byte. */
  position = 0;

  constructor(source: ByteSource, chunkBytes: number, signal?: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
    this.#chunk = chunkBytes;
    this.#limit = Math.min(source.size, MAX_HEADER_BYTES);
  }

  /** What was read in another way than it is written. */
  get notices(): string[] {
    return [...this.#latin1].map((field) => `${field} is not valid UTF-8, and was read as Latin-1`);
  }

  /** Runs `parse`, again from the same position whenever it ran out of fetched bytes. */
  async step<T>(parse: () => T): Promise<T> {
    const start = this.position;
    for (;;) {
      try {
        return parse();
      } catch (thrown) {
        if (!(thrown instanceof NeedBytes)) throw thrown;
        this.position = start;
        await this.#fill(thrown.end);
      }
    }
  }

  async #fill(end: number): Promise<void> {
    throwIfAborted(this.#signal);
    const have = this.#bytes.length;
    const target = Math.min(Math.max(end, have + this.#chunk), this.#limit);
    this.#chunk = Math.max(this.#chunk, target);
    const more = await this.#source.read(have, target - have, this.#signal);
    const joined = new Uint8Array(target);
    joined.set(this.#bytes);
    joined.set(more, have);
    this.#bytes = joined;
    this.#view = new DataView(joined.buffer);
  }

  fail(field: string, problem: string, offset = this.position): never {
    throw badModelFile(this.#source.name, field, offset, problem);
  }

  /** Moves past `length` bytes of `field` and returns where they begin. */
  #take(length: number, field: string): number {
    const start = this.position;
    const end = start + length;
    if (end > this.#limit) {
      const left = this.#source.size - start;
      this.fail(
        field,
        end > this.#source.size
          ? `needs ${length} bytes, but the file ends after ${left}`
          : `the header would be larger than ${MAX_HEADER_BYTES} bytes`,
      );
    }
    if (end > this.#bytes.length) throw new NeedBytes(end);
    this.position = end;
    return start;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(1, field));
  }

  i8(field: string): number {
    return this.#view.getInt8(this.#take(1, field));
  }

  u16(field: string): number {
    return this.#view.getUint16(this.#take(2, field), true);
  }

  i16(field: string): number {
    return this.#view.getInt16(this.#take(2, field), true);
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#take(4, field), true);
  }

  i32(field: string): number {
    return this.#view.getInt32(this.#take(4, field), true);
  }

  f32(field: string): number {
    return this.#view.getFloat32(this.#take(4, field), true);
  }

  f64(field: string): number {
    return this.#view.getFloat64(this.#take(8, field), true);
  }

  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field), true);
  }

  i64(field: string): bigint {
    return this.#view.getBigInt64(this.#take(8, field), true);
  }

  /** A u64 that must be an exact JavaScript integer no larger than `max`. */
  count(field: string, max = Number.MAX_SAFE_INTEGER): number {
    const at = this.#take(8, field);
    const low = this.#view.getUint32(at, true);
    const high = this.#view.getUint32(at + 4, true);
    const value = high * 2 ** 32 + low;
    if (value > max) {
      const exact = this.#view.getBigUint64(at, true);
      this.fail(field, `${exact} is out of bounds (at most ${max})`, at);
    }
    return value;
  }

  /** Length prefix and UTF-8 bytes; bytes that are no UTF-8 are read as Latin-1, which is noted. */
  string(field: string, maxBytes = MAX_HEADER_BYTES): string {
    const length = this.count(field, maxBytes);
    const start = this.#take(length, field);
    const bytes = this.#bytes;
    // Most tokens are short ASCII; a loop beats the decoder's call overhead on those.
    if (length <= 24) {
      let text = "";
      let i = start;
      for (; i < start + length; i++) {
        const code = bytes[i] as number;
        if (code >= 0x80) break;
        text += String.fromCharCode(code);
      }
      if (i === start + length) return text;
    }
    const written = bytes.subarray(start, start + length);
    try {
      return utf8.decode(written);
    } catch {
      this.#latin1.add(field);
      return latin1(written);
    }
  }

  /** A copy of `length` bytes, at offset 0 of a buffer of its own. */
  bytes(length: number, field: string): Uint8Array<ArrayBuffer> {
    const start = this.#take(length, field);
    return this.#bytes.slice(start, start + length);
  }

  /**
   * Holds a claimed count against the file before anybody loops or allocates by it: `count`
   * elements of at least `minBytes` each must fit in what is left.
   */
  requireRoom(count: number, minBytes: number, field: string, offset: number): void {
    if (count * minBytes > this.#limit - this.position)
      this.fail(
        field,
        `claims ${count} elements, more than fit in the ${this.#source.size - this.position} bytes left`,
        offset,
      );
  }
}
