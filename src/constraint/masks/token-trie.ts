import type { Tokenizer } from "../../text/types.ts";

/** The bytes of all tokens that write text, as a tree in depth-first order. */
export interface TokenTrie {
  /** V */
  readonly vocabulary: number;
  /** Most characters that a token writes, parts of characters counted as one. */
  readonly longest: number;
  /** Most bytes that a token writes. */
  readonly depth: number;
  /** Of node n, which is not the root: its byte. */
  readonly bytes: Uint8Array;
  /** The first node that is not below node n. */
  readonly after: Int32Array;
  /** Bytes from the root to node n. */
  readonly depths: Uint16Array;
  /** The tokens of node n are ids[firstId[n]] to ids[firstId[n + 1] - 1]. */
  readonly firstId: Int32Array;
  readonly ids: Int32Array;
}

/** The root, whose bytes are none. */
export const ROOT = 0;

/** Tokens longer than that are never written under a constraint: the same text has others. */
const MOST_BYTES = 1000;

export function tokenTrie(tokenizer: Tokenizer): TokenTrie {
  const { vocabSize, endTokens } = tokenizer;
  const tokens: { text: string; id: number }[] = [];
  let longest = 0;
  let total = 1;
  for (let id = 0; id < vocabSize; id += 1) {
    if (endTokens.has(id)) continue;
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length === 0 || bytes.length > MOST_BYTES) continue;
    // A character a byte: strings are compared and sorted natively.
    tokens.push({ text: String.fromCharCode(...bytes), id });
    total += bytes.length;
    let begun = bytes[0]! >= 0x80 && bytes[0]! < 0xc0 ? 1 : 0;
    for (const byte of bytes) if ((byte & 0xc0) !== 0x80) begun += 1;
    longest = Math.max(longest, begun);
  }
  tokens.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.id - b.id));
  const bytes = new Uint8Array(total);
  const after = new Int32Array(total);
  const depths = new Uint16Array(total);
  const firstId = new Int32Array(total + 1);
  const ids = Int32Array.from(tokens, ({ id }) => id);
  let nodes = 1;
  /** Nodes from the root to the token before. */
  const path = [ROOT];
  let before = "";
  let depth = 0;
  tokens.forEach(({ text }, index) => {
    let common = 0;
    while (common < before.length && before[common] === text[common]) common += 1;
    while (path.length > common + 1) after[path.pop()!] = nodes;
    for (let at = common; at < text.length; at += 1) {
      bytes[nodes] = text.charCodeAt(at);
      depths[nodes] = at + 1;
      firstId[nodes] = index;
      path.push(nodes);
      nodes += 1;
    }
    before = text;
    depth = Math.max(depth, text.length);
  });
  for (const node of path) after[node] = nodes;
  firstId[nodes] = ids.length;
  return {
    vocabulary: vocabSize,
    longest,
    depth,
    bytes: bytes.slice(0, nodes),
    after: after.slice(0, nodes),
    depths: depths.slice(0, nodes),
    firstId: firstId.slice(0, nodes + 1),
    ids,
  };
}
