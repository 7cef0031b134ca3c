import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { throwIfAborted, WinnowError } from "../errors.ts";
import { badModelFile } from "./bad-file.ts";
import { checkRange } from "./blob-source.ts";
import type { ByteSource } from "./byte-source.ts";

/** A file on disk, for Node. Close it when done. */
export class NodeFileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: FileHandle;

  private constructor(name: string, size: number, file: FileHandle) {
    this.name = name;
    this.size = size;
    this.#file = file;
  }

  /** @throws WinnowError `model_not_found` when there is no readable file at `path`. */
  static async open(path: string, name = basename(path)): Promise<NodeFileSource> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, "r");
      const stat = await file.stat();
      if (!stat.isFile()) throw new Error("is not a file");
      return new NodeFileSource(name, stat.size, file);
    } catch (cause) {
      await file?.close();
      throw new WinnowError("model_not_found", `${path}: ${(cause as Error).message}`, {
        hint: "Check the path.",
        details: { path },
        cause,
      });
    }
  }

  async read(
    offset: number,
    length: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, offset + done);
      throwIfAborted(signal);
      if (bytesRead === 0)
        throw badModelFile(this.name, "range", offset + done, "the file ended early");
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
