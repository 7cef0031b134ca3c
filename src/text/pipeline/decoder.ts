import { isJson, part, parts, text, unsupportedPart } from "./json.ts";
import { prependScheme } from "./pre-tokenizer.ts";

/**
 * Whether decoding takes away a space in front. Tokens are read in the byte alphabet, or with U+2581 for a space
 * and `<0x0A>` for a byte (src/text/token-text.ts).
 * @throws unsupported_model for a decoder that does something else.
 */
export function stripsLeadingSpace(value: unknown, field = "decoder"): boolean {
  if (value === undefined || value === null) return false;
  const json = part(value, field);
  switch (json.type) {
    case "Sequence":
      return parts(json.decoders, `${field}.decoders`)
        .map(([one, at]) => stripsLeadingSpace(one, at))
        .includes(true);
    case "Metaspace":
      return prependScheme(json, field) !== "never";
    case "Strip":
      if (text(json, "content", field) === " " && json.start === 1 && json.stop === 0) return true;
      if (json.start === 0 && json.stop === 0) return false;
      throw unsupportedPart(field, "what the decoder strips");
    case "Replace":
      if (isJson(json.pattern) && json.pattern.String === "▁" && json.content === " ") return false;
      throw unsupportedPart(field, "what the decoder replaces");
    case "ByteLevel":
    case "ByteFallback":
    case "Fuse":
      return false;
    default:
      throw unsupportedPart(field, `the decoder ${json.type}`);
  }
}
