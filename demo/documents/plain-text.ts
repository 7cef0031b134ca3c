/** Decoding by the byte-order mark, else as UTF-8, else as what Windows wrote before it. */
export function decodeText(bytes: Uint8Array): string {
  const encoding = markOf(bytes);
  if (encoding !== null) return new TextDecoder(encoding).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Whether bytes are text: no NUL and few control characters at their start, unless a mark says UTF-16. */
export function isText(bytes: Uint8Array): boolean {
  if (markOf(bytes) !== null) return true;
  const start = bytes.subarray(0, 4096);
  let controls = 0;
  for (const byte of start) {
    if (byte === 0) return false;
    if (byte < 32 && !(byte >= 8 && byte <= 13) && byte !== 27) controls++;
  }
  return controls * 50 <= start.length;
}

function markOf([first, second, third]: Uint8Array): string | null {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  return first === 0xef && second === 0xbb && third === 0xbf ? "utf-8" : null;
}
