import { throwIfAborted } from "../errors.ts";
import { badModelFile } from "./bad-file.ts";
import type { ByteSource } from "./byte-source.ts";

/** Throws `bad_model_file` unless [offset, offset + length) lies inside the source. */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  if (offset < 0 || length < 0 || !(offset + length <= source.size))
    throw badModelFile(
      source.name,
      "range",
      offset,
      `${length} bytes were asked for, but the file has ${source.size}`,
    );
}

/** A Blob is known by its shape: a File of an iframe or of jsdom is of another class and holds the same. */
export function isBlob(value: unknown): value is Blob {
  const blob = value as Blob | null | undefined;
  return (
    typeof blob === "object" &&
    typeof blob?.slice === "function" &&
    typeof blob.size === "number" &&
    typeof blob.type === "string"
  );
}

/** Some Blobs that are no browser's own have no `arrayBuffer`. */
function readBlob(blob: Blob): Promise<ArrayBuffer> {
  if (typeof blob.arrayBuffer === "function") return blob.arrayBuffer();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as ArrayBuffer);
    reader.onerror = () => reject(reader.error);
    reader.readAsArrayBuffer(blob);
  });
}

/** The bytes of a File or Blob. */
export class BlobSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #blob: Blob;

  constructor(blob: Blob, name?: string) {
    this.#blob = blob;
    this.name = name ?? ("name" in blob ? String(blob.name) : "blob");
    this.size = blob.size;
  }

  async read(
    offset: number,
    length: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    let bytes: ArrayBuffer;
    try {
      bytes = await readBlob(this.#blob.slice(offset, offset + length));
    } catch (cause) {
      // A File whose file was changed or removed since it was picked.
      throw badModelFile(this.name, "range", offset, "the file can no longer be read", {
        hint: "Choose the file again.",
        cause,
      });
    }
    throwIfAborted(signal);
    if (bytes.byteLength !== length)
      throw badModelFile(
        this.name,
        "range",
        offset,
        `the file ended after ${bytes.byteLength} bytes`,
      );
    return new Uint8Array(bytes);
  }
}

/** Bytes already in memory. `read` copies, so that the caller owns what it gets. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = "bytes") {
    this.#bytes = bytes;
    this.name = name;
    this.size = bytes.length;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    return this.#bytes.slice(offset, offset + length);
  }
}
