import { access, constants, open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { throwIfAborted, WinnowError } from "../errors.ts";
import { badModelFile } from "./bad-file.ts";
import { checkRange } from "./blob-source.ts";
import type { ByteSource } from "./byte-source.ts";

/** A file on disk, for Node. It is opened for each read, so there is nothing to close. */
export class NodeFileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #path: string;

  private constructor(path: string, size: number) {
    this.name = basename(path);
    this.size = size;
    this.#path = path;
  }

  /** @throws WinnowError `model_not_found` when there is no readable file at `path`. */
  static async open(path: string): Promise<NodeFileSource> {
    try {
      const file = await stat(path);
      if (!file.isFile()) throw new Error("is not a file");
      await access(path, constants.R_OK);
      return new NodeFileSource(path, file.size);
    } catch (cause) {
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
    const file = await open(this.#path, "r");
    try {
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        throwIfAborted(signal);
        if (bytesRead === 0)
          throw badModelFile(this.name, "range", offset + done, "the file ended early");
        done += bytesRead;
      }
    } finally {
      await file.close();
    }
    return bytes;
  }
}
