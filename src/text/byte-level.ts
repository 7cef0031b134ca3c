/**
 * The byte alphabet of GPT-2: byte-level BPE writes every byte as one printable character, so that
 * a vocabulary is plain text. Printable Latin-1 stands for itself, the rest is moved to U+0100 up.
 */
const charOfByte: readonly string[] = buildAlphabet();
const byteOfChar: ReadonlyMap<string, number> = new Map(
  charOfByte.map((char, byte) => [char, byte]),
);

const utf8 = new TextEncoder();

function buildAlphabet(): string[] {
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : 0x100 + moved++);
  });
}

/** The UTF-8 bytes of `text` in the byte alphabet. */
export function toByteAlphabet(text: string): string {
  let out = "";
  for (const byte of utf8.encode(text)) out += charOfByte[byte];
  return out;
}

/** The bytes a token of the byte alphabet stands for; undefined if it uses any other character. */
export function fromByteAlphabet(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfChar.get(token[i]!);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
