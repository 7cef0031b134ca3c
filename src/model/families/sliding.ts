import { type Gguf, getBooleanArray, getNumber } from "../../formats/gguf/gguf.ts";
import { bad, checkEntries } from "../config-fields.ts";
import type { OwnNumbers } from "./family.ts";

interface SlidingLayers {
  /** Every so-many-th layer is global, unless the file says otherwise. */
  readonly pattern: number;
  /** RoPE base of the sliding layers, unless the file says otherwise. */
  readonly ropeBase: number;
}

/** Tokens that a sliding window sees, 0 where the file names none. Throws bad_model_file. */
export function readWindow(gguf: Gguf, family: string): number {
  const field = `${family}.attention.sliding_window`;
  const window = getNumber(gguf, field, 0);
  if (!Number.isInteger(window) || window < 0 || window > 1 << 24)
    throw bad(field, `must be a whole number, found ${window}`);
  return window;
}

/** Which layers have a sliding window, and their RoPE base. Throws bad_model_file. */
export function readSliding(
  gguf: Gguf,
  family: string,
  layers: number,
  usual: SlidingLayers,
): Pick<OwnNumbers, "windows" | "localRopeBase"> {
  const field = `${family}.attention.sliding_window`;
  const window = readWindow(gguf, family);
  if (window === 0) throw bad(field, "is missing");
  const isLocal = slidingPattern(gguf, `${field}_pattern`, usual.pattern, layers);
  const localRopeBase = getNumber(gguf, `${family}.rope.freq_base_swa`, usual.ropeBase);
  if (!(localRopeBase > 1 && Number.isFinite(localRopeBase)))
    throw bad(`${family}.rope.freq_base_swa`, `found ${localRopeBase}`);
  const windows = Array.from({ length: layers }, (_, i) => (isLocal(i) ? window : 0));
  return { windows, localRopeBase };
}

/** Files say of how many layers in a row the last is global, or of each layer whether it has a window. */
function slidingPattern(
  gguf: Gguf,
  key: string,
  usual: number,
  layers: number,
): (layer: number) => boolean {
  if (Array.isArray(gguf.metadata.get(key))) {
    const flags = getBooleanArray(gguf, key);
    checkEntries(key, flags, layers);
    return (layer) => flags[layer] as boolean;
  }
  const pattern = getNumber(gguf, key, usual);
  if (!Number.isInteger(pattern) || pattern < 1)
    throw bad(key, `must be a positive whole number, found ${pattern}`);
  return (layer) => (layer + 1) % pattern !== 0;
}
