import type { ByteSource } from "./byte-source.ts";

/** A source whose bytes are read from the first to the last, in requests of at least so many bytes. */
export function readAhead(source: ByteSource, least: number): ByteSource {
  let held: Uint8Array = new Uint8Array(0);
  let start = 0;
  return {
    name: source.name,
    size: source.size,
    async read(offset, length, signal) {
      const isHeld = offset >= start && offset + length <= start + held.length;
      if (!isHeld) {
        const asked = Math.max(length, Math.min(least, source.size - offset));
        held = await source.read(offset, asked, signal);
        start = offset;
      }
      return held.slice(offset - start, offset - start + length);
    },
  };
}
