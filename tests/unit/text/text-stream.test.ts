import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopMatcher } from "../../../src/text/stop-matcher.ts";
import { StreamingDecoder } from "../../../src/text/streaming-decoder.ts";
import type { Tokenizer } from "../../../src/text/types.ts";

/** Token b is byte b; 256 is a control token. */
const bytes: Tokenizer = {
  vocabSize: 257,
  endTokens: new Set([256]),
  prefix: [],
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (ids) =>
    new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Uint8Array.from(ids.filter((id) => id < 256)),
    ),
  tokenBytes: (id) => (id < 256 ? Uint8Array.of(id) : new Uint8Array(0)),
};

const stream = (tokenizer: ConstructorParameters<typeof StreamingDecoder>[0], ids: number[]) => {
  const decoder = new StreamingDecoder(tokenizer);
  return ids.map((id) => decoder.push(id));
};

describe("StreamingDecoder", () => {
  it("waits for the last byte of a character", () => {
    expect(stream(bytes, bytes.encode("a😀é"))).toEqual(["a", "", "", "", "😀", "", "é"]);
  });

  it("ends an unfinished character as U+FFFD at the next one, and leaves it out at the end", () => {
    expect(stream(bytes, [0xf0, 0x9f])).toEqual(["", ""]);
    expect(stream(bytes, [0xf0, 0x41])).toEqual(["", "\ufffdA"]);
  });

  it("keeps a byte order mark and passes over control tokens", () => {
    expect(stream(bytes, [0xef, 0xbb, 0xbf, 256, 0x41]).join("")).toBe("\ufeffA");
    expect(stream(bytes, [0xc3, 256, 0xa9]).join("")).toBe("é");
  });

  it("equals decode for any bytes, but for an unfinished end", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 256 })), (ids) => {
        const text = stream(bytes, ids).join("");
        expect(bytes.decode(ids).slice(0, text.length)).toBe(text);
        expect(bytes.decode(ids).slice(text.length)).toMatch(/^\ufffd?$/);
        expect(stream(bytes, [...ids, 0x41]).join("")).toBe(bytes.decode([...ids, 0x41]));
      }),
    );
  });

  it("takes the space away that the tokenizer puts in front, once", () => {
    const say = (text: string) =>
      stream({ ...bytes, stripsLeadingSpace: true }, bytes.encode(text)).join("");
    expect(say("  a b")).toBe(" a b");
    expect(say(" a")).toBe("a");
    expect(say("a")).toBe("a");
  });
});

/** The text before the stop string that is complete first, and that stop string. */
function search(text: string, stops: string[]): { text: string; hit: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const hits = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (hits.length === 0) continue;
    const hit = hits.reduce((a, b) => (b.length > a.length ? b : a));
    return { text: text.slice(0, end - hit.length), hit };
  }
  return { text, hit: undefined };
}

function feed(pieces: string[], stops: string[]) {
  const matcher = new StopMatcher(stops);
  const shown = pieces.map((piece) => matcher.push(piece).text);
  const { text, hit } = matcher.flush();
  return { text: shown.join("") + text, hit };
}

describe("StopMatcher", () => {
  it("finds a stop string across pieces and shows nothing of it", () => {
    const matcher = new StopMatcher(["\nUser:"]);
    expect(matcher.push("Fine.")).toEqual({ text: "Fine.", hit: undefined });
    expect(matcher.push("\nUs")).toEqual({ text: "", hit: undefined });
    expect(matcher.push("er: hi")).toEqual({ text: "", hit: "\nUser:" });
    expect(matcher.push("more")).toEqual({ text: "", hit: "\nUser:" });
  });

  it("lets go of what turns out to be no stop string", () => {
    const matcher = new StopMatcher(["aab"]);
    expect(matcher.push("xaa").text).toBe("x");
    expect(matcher.push("a").text).toBe("a");
    expect(matcher.push("c").text).toBe("aac");
    expect(matcher.push("aa").text).toBe("");
    expect(matcher.flush()).toEqual({ text: "aa", hit: undefined });
  });

  it("passes everything without stop strings and refuses an empty one", () => {
    expect(feed(["a", "b"], [])).toEqual({ text: "ab", hit: undefined });
    expect(() => new StopMatcher(["x", ""])).toThrow(/stop/);
  });

  it("finds what a search of the whole text finds, however it is cut", () => {
    const text = (maxLength: number) =>
      fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength });
    const stops = fc.array(
      text(4).filter((stop) => stop !== ""),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(fc.array(text(6)), stops, (pieces, stop) => {
        expect(feed(pieces, stop)).toEqual(search(pieces.join(""), stop));
      }),
      { numRuns: 500 },
    );
  });
});
