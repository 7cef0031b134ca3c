/** Pages that come from a file, and may be anything. */
import {
  type CacheShape,
  PAGE_SLOTS,
  pagesFor,
  pageWords,
  windowOf,
} from "../kernels/pages/cache-shape.ts";
import { pageParts } from "../kernels/pages/page-format.ts";
import type { SequenceBooks } from "./sequence/sequence-books.ts";

/** Throws what is wrong with a part of a file. */
export type FailAt = (place: string, problem: string) => never;

/**
 * Throws unless the pages of a layer, u32 [pages, words], kv head by kv head, are such as `books` tell: keys, values and
 * scores are numbers, and positions are those of tokens that were seen, each once per head and within a ring's window.
 */
export function checkPages(
  shape: CacheShape,
  { counts, seen }: SequenceBooks,
  layer: number,
  words: Uint32Array,
  fail: FailAt,
): void {
  const window = windowOf(shape, layer);
  const whole = counts.every((heads) => heads.every((count) => count === seen));
  const parts = pageParts(shape);
  const isNumber = numberTest(shape.storage);
  const marked = new Uint8Array(seen);
  for (const { kvHead, page, slots, first } of headPages(shape, counts[layer]!)) {
    if (first === 0) marked.fill(0);
    const place = (slot: number) => `layer ${layer}, kv head ${kvHead}, slot ${first + slot}`;
    const own = words.subarray(page, page + pageWords(shape));
    for (let slot = 0; slot < slots; slot += 1) {
      const position = own[parts.positions + slot]!;
      if (position >= seen) fail(place(slot), `position ${position} of ${seen} tokens seen`);
      if (window > 0 && position < seen - window)
        fail(place(slot), `position ${position} is outside of the window`);
      if (marked[position]) fail(place(slot), `position ${position} is there twice`);
      marked[position] = 1;
      const right = window > 0 ? position % window : position;
      if ((window > 0 || whole) && right !== first + slot)
        fail(place(slot), `position ${position} belongs to slot ${right}`);
      if (isNaNBits(own[parts.scores + slot]!)) fail(place(slot), "its score is no number");
      if (!isNumber(own, slot, parts)) fail(place(slot), "its key or value is no number");
    }
  }
}

/** Makes slots zero that hold no pair. */
export function clearUnused(
  shape: CacheShape,
  counts: readonly number[],
  words: Uint32Array,
): void {
  const { vectorWords, scales, positions, scores } = pageParts(shape);
  for (const { page, slots } of headPages(shape, counts)) {
    const clear = (part: number, each: number): void => {
      words.fill(0, page + part + slots * each, page + part + PAGE_SLOTS * each);
    };
    clear(0, vectorWords);
    clear(PAGE_SLOTS * vectorWords, vectorWords);
    if (scales !== undefined) clear(scales, 1);
    clear(positions, 1);
    clear(scores, 1);
  }
}

/** Each page of a layer: its first word, and how many pairs it holds, of which slot of the head on. */
function* headPages(
  shape: CacheShape,
  counts: readonly number[],
): Iterable<{ kvHead: number; page: number; slots: number; first: number }> {
  let page = 0;
  for (const [kvHead, count] of counts.entries())
    for (let index = 0; index < pagesFor(count); index += 1) {
      const first = index * PAGE_SLOTS;
      yield { kvHead, page, slots: Math.min(PAGE_SLOTS, count - first), first };
      page += pageWords(shape);
    }
}

type NumberTest = (
  page: Uint32Array,
  slot: number,
  parts: Pick<ReturnType<typeof pageParts>, "vectorWords" | "scales">,
) => boolean;

/** Whether a slot's key and value are finite: words of f32, of two f16, or codes whose two scales are bfloat16. */
function numberTest(storage: CacheShape["storage"] = "f16"): NumberTest {
  if (storage === "q8")
    return (page, slot, { scales }) => {
      const pair = page[scales! + slot]!;
      return (pair & 0x7f80) !== 0x7f80 && (pair & 0x7f800000) !== 0x7f800000;
    };
  const [low, high] = storage === "f32" ? [0, 0x7f800000] : [0x7c00, 0x7c000000];
  return (page, slot, { vectorWords }) => {
    for (const vector of [slot, slot + PAGE_SLOTS])
      for (let at = vector * vectorWords; at < (vector + 1) * vectorWords; at += 1) {
        const word = page[at]!;
        if ((word & high) === high || (low > 0 && (word & low) === low)) return false;
      }
    return true;
  };
}

const isNaNBits = (word: number): boolean => (word & 0x7fffffff) > 0x7f800000;
