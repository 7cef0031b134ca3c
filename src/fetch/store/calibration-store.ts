/** Keeps calibrations by model; the file's bytes mean nothing here. */
export interface CalibrationStore {
  /**
   * The calibration kept for a model of `bytes` bytes, if there is one. `sha256` is asked for only where one
   * of that size is kept: hashing a model takes seconds.
   */
  find(bytes: number, sha256: () => Promise<string>): Promise<Uint8Array | undefined>;
  /** Keeps it in place of an older one. */
  save(bytes: number, sha256: string, file: Uint8Array): Promise<void>;
  /** Forgets it; says whether there was one. */
  remove(bytes: number, sha256: string): Promise<boolean>;
  /** Whether the user does not want this model to calibrate itself. */
  refused(bytes: number, sha256: string): Promise<boolean>;
  refuse(bytes: number, sha256: string): Promise<void>;
}

/** Where named files are: a folder on disk, or one in the origin private file system. */
export interface FileFolder {
  names(): Promise<string[]>;
  read(name: string): Promise<Uint8Array>;
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** False where there is no such file. */
  remove(name: string): Promise<boolean>;
}

const nameOf = (bytes: number, sha256: string): string => `${bytes}-${sha256}.safetensors`;

const refusalOf = (bytes: number, sha256: string): string => `${bytes}-${sha256}.refused`;

/** A store of files named for the model's size and SHA-256. What cannot be read is as good as not there. */
export function calibrationStore(open: () => Promise<FileFolder>): CalibrationStore {
  return {
    async find(bytes, sha256) {
      try {
        const folder = await open();
        const kept = (await folder.names()).filter(
          (name) => name.startsWith(`${bytes}-`) && name.endsWith(".safetensors"),
        );
        if (kept.length === 0) return undefined;
        const name = nameOf(bytes, await sha256());
        return kept.includes(name) ? await folder.read(name) : undefined;
      } catch {
        return undefined;
      }
    },
    async save(bytes, sha256, file) {
      await (await open()).write(nameOf(bytes, sha256), file);
    },
    async remove(bytes, sha256) {
      return (await open()).remove(nameOf(bytes, sha256));
    },
    async refused(bytes, sha256) {
      try {
        return (await (await open()).names()).includes(refusalOf(bytes, sha256));
      } catch {
        return false;
      }
    },
    async refuse(bytes, sha256) {
      await (await open()).write(refusalOf(bytes, sha256), new Uint8Array(0));
    },
  };
}
