/** The part of OPFS that the store uses, in memory, with its locks and a quota. */
export class FakeDirectory {
  readonly files = new Map<string, Uint8Array>();
  readonly locked = new Set<string>();
  quota = Number.POSITIVE_INFINITY;

  get handle(): FileSystemDirectoryHandle {
    const directory = {
      getFileHandle: async (name: string, options?: { create?: boolean }) => {
        if (!this.files.has(name)) {
          if (!options?.create) throw new DOMException(name, "NotFoundError");
          this.files.set(name, new Uint8Array(0));
        }
        return {
          getFile: async () => new File([this.files.get(name)!.slice()], name),
          createSyncAccessHandle: async () => this.#access(name),
        };
      },
      removeEntry: async (name: string) => {
        if (this.locked.has(name)) throw new DOMException(name, "NoModificationAllowedError");
        if (!this.files.delete(name)) throw new DOMException(name, "NotFoundError");
      },
      keys: async function* (this: void) {
        yield* names();
      },
    };
    const names = () => [...this.files.keys()];
    return directory as unknown as FileSystemDirectoryHandle;
  }

  #access(name: string) {
    if (this.locked.has(name)) throw new DOMException(name, "NoModificationAllowedError");
    this.locked.add(name);
    const check = () => {
      if (!this.locked.has(name)) throw new DOMException("closed", "InvalidStateError");
    };
    return {
      read: (buffer: Uint8Array, { at }: { at: number }) => {
        check();
        const part = this.files.get(name)!.subarray(at, at + buffer.length);
        buffer.set(part);
        return part.length;
      },
      write: (bytes: Uint8Array, { at }: { at: number }) => {
        check();
        const old = this.files.get(name)!;
        if (at + bytes.length > this.quota) throw new DOMException("full", "QuotaExceededError");
        const grown = new Uint8Array(Math.max(old.length, at + bytes.length));
        grown.set(old);
        grown.set(bytes, at);
        this.files.set(name, grown);
        return bytes.length;
      },
      truncate: (size: number) => {
        check();
        const resized = new Uint8Array(size);
        resized.set(this.files.get(name)!.subarray(0, size));
        this.files.set(name, resized);
      },
      getSize: () => this.files.get(name)!.length,
      flush: check,
      close: () => void this.locked.delete(name),
    };
  }
}
