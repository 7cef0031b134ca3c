import { WinnowError } from "../errors.ts";

/** What sets a model family apart from the common decoder block. A new family is an entry here. */
export interface Architecture {
  /** `general.architecture` in the GGUF. */
  readonly name: string;
  /** Q and K rows are stored for interleaved RoPE (pairs 2i, 2i+1) and are put back to half-split order. */
  readonly interleavedRope: boolean;
}

export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { name: "llama", interleavedRope: true },
};

/** Throws unsupported_model, naming the architecture and those supported. */
export function architectureNamed(name: string): Architecture {
  const found = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (found) return found;
  throw new WinnowError("unsupported_model", `general.architecture: "${name}" is not supported`, {
    hint: `Use a model of: ${Object.keys(ARCHITECTURES).join(", ")}.`,
    details: { field: "general.architecture", value: name },
  });
}
