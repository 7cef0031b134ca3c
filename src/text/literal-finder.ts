interface Node {
  readonly next: Map<string, Node>;
  end: boolean;
}

/** A stretch of text: `literal` if it is one of the finder's strings, else what lies between. */
interface Piece {
  readonly text: string;
  readonly literal: boolean;
}

/**
 * Finds fixed strings in text, leftmost first and the longest where several start together, as
 * `tokenizers` finds its added tokens. A trie: vocabularies may name thousands of them.
 */
export class LiteralFinder {
  readonly size: number;
  readonly #root: Node = { next: new Map(), end: false };

  /** Empty strings are ignored. */
  constructor(literals: Iterable<string>) {
    let size = 0;
    for (const literal of literals) {
      if (literal === "") continue;
      size++;
      let node = this.#root;
      for (let i = 0; i < literal.length; i++) {
        let child = node.next.get(literal[i]!);
        if (child === undefined) {
          child = { next: new Map(), end: false };
          node.next.set(literal[i]!, child);
        }
        node = child;
      }
      node.end = true;
    }
    this.size = size;
  }

  /** Length of the longest literal that starts at `at`; 0 if none does. */
  matchAt(text: string, at: number): number {
    let node: Node | undefined = this.#root;
    let longest = 0;
    for (let i = at; i < text.length; i++) {
      node = node.next.get(text[i]!);
      if (node === undefined) break;
      if (node.end) longest = i + 1 - at;
    }
    return longest;
  }

  /** True if the text from `at` to its end could be the beginning of a longer literal. */
  mayContinueFrom(text: string, at: number): boolean {
    let node: Node | undefined = this.#root;
    for (let i = at; i < text.length; i++) {
      node = node.next.get(text[i]!);
      if (node === undefined) return false;
    }
    return node.next.size > 0;
  }

  /** Cuts the text at its literals; the pieces joined are the text, none is empty. */
  split(text: string): Piece[] {
    if (this.size === 0) return text === "" ? [] : [{ text, literal: false }];
    const pieces: Piece[] = [];
    let start = 0;
    for (let i = 0; i < text.length; ) {
      const length = this.matchAt(text, i);
      if (length === 0) {
        i++;
        continue;
      }
      if (i > start) pieces.push({ text: text.slice(start, i), literal: false });
      pieces.push({ text: text.slice(i, i + length), literal: true });
      i += length;
      start = i;
    }
    if (start < text.length) pieces.push({ text: text.slice(start), literal: false });
    return pieces;
  }
}
