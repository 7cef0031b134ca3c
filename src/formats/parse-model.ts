import { loadLater } from "../errors.ts";
import { badPart } from "./bad-part.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Gguf, parseGguf } from "./gguf/gguf.ts";
import type { JoinedSource } from "./gguf/gguf-split.ts";

/**
 * The header of a model, whatever it is kept in: a GGUF, one in parts, or a safetensors checkpoint.
 * Tensor offsets are those of `source`.
 * @throws as `parseGguf`; bad_model_file naming the part where parts do not belong together.
 */
export async function parseModel(
  source: ByteSource,
  options: { signal?: AbortSignal; chunkBytes?: number } = {},
): Promise<Gguf> {
  if (hasHeader(source)) return source.gguf;
  if (isJoined(source)) {
    const { parseParts } = await loadLater("models in parts", () => import("./parse-parts.ts"));
    return parseParts(source, options);
  }
  const gguf = await parseGguf(source, options);
  const count = gguf.metadata.get("split.count");
  if (typeof count === "number" && count > 1)
    throw badPart(source.name, `is one of ${count} parts, and the others are not here`);
  return gguf;
}

/** A checkpoint's header is made when it is opened (src/formats/checkpoint/safetensors-model.ts). */
const hasHeader = (source: ByteSource): source is ByteSource & { readonly gguf: Gguf } =>
  "gguf" in source;

const isJoined = (source: ByteSource): source is JoinedSource => "parts" in source;
