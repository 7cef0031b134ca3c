import { invalidArgument } from "../errors.ts";

export interface StopResult {
  /** Text that may be shown: it neither holds a stop string nor begins one that ends later. */
  readonly text: string;
  /** The stop string found; nothing comes after it. */
  readonly hit: string | undefined;
}

/**
 * Looks for stop strings in text that arrives in pieces, and holds back what could be the beginning
 * of one. The stop string that is complete first wins (the longest, where several end together), so
 * the result does not depend on how the text was cut into pieces.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";
  #hit: string | undefined;

  /** @throws invalid_argument for an empty stop string. */
  constructor(stops: readonly string[]) {
    if (stops.some((stop) => typeof stop !== "string" || stop === ""))
      throw invalidArgument("stop", "a stop string is empty", "Leave it out instead.");
    this.#stops = stops;
  }

  /** Takes a piece of text and returns what is certain. After a hit every piece yields "". */
  push(piece: string): StopResult {
    if (this.#hit !== undefined) return { text: "", hit: this.#hit };
    const text = this.#held + piece;
    const start = this.#find(text);
    if (this.#hit !== undefined) {
      this.#held = "";
      return { text: text.slice(0, start), hit: this.#hit };
    }
    const certain = text.length - this.#openSuffix(text);
    this.#held = text.slice(certain);
    return { text: text.slice(0, certain), hit: undefined };
  }

  /** At the end of the text: what was held back turned out to be no stop string. */
  flush(): StopResult {
    const text = this.#held;
    this.#held = "";
    return { text, hit: this.#hit };
  }

  /** Sets the hit and returns where it begins. */
  #find(text: string): number {
    let [start, end] = [text.length, Number.POSITIVE_INFINITY];
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at === -1 || at + stop.length > end) continue;
      if (at + stop.length === end && at >= start) continue;
      [start, end, this.#hit] = [at, at + stop.length, stop];
    }
    return start;
  }

  /** Length of the longest end of the text that begins a stop string. */
  #openSuffix(text: string): number {
    return Math.max(0, ...this.#stops.map((stop) => begunAtEnd(text, stop)));
  }
}

/** Length of the longest end of the text that begins the literal and is not the whole of it. */
export function begunAtEnd(text: string, literal: string): number {
  for (let length = Math.min(literal.length - 1, text.length); length > 0; length--)
    if (text.endsWith(literal.slice(0, length))) return length;
  return 0;
}
