import type { Wgsl } from "../gpu/kernel.ts";

/**
 * Writes out loops whose arrays must live in registers: software adapters do not unroll, and an array
 * indexed by a loop variable costs them ten times as much. Lines from `//: for NAME` to its `//: end`
 * are repeated `counts[NAME]` times with `$NAME` replaced by 0, 1, ...; `$NAME.even` and `$NAME.odd` by
 * 2i and 2i + 1. Loops nest. Throws on a name without a count and on an unbalanced end.
 */
export const unroll = (code: Wgsl, counts: Readonly<Record<string, number>>): string[] =>
  [code].flat().map((text) => unrollText(text, counts));

function unrollText(code: string, counts: Readonly<Record<string, number>>): string {
  const lines = code.split("\n");
  let at = 0;
  const block = (nested: boolean): string[] => {
    const out: string[] = [];
    while (at < lines.length) {
      const line = lines[at]!;
      at += 1;
      const [, name] = /^\s*\/\/: for (\w+)\s*$/.exec(line) ?? [];
      if (/^\s*\/\/: end\s*$/.test(line)) {
        if (nested) return out;
        throw new Error("unroll: end without for");
      }
      if (name === undefined) out.push(line);
      else {
        const count = counts[name];
        if (count === undefined) throw new Error(`unroll: no count for ${name}`);
        const body = block(true).join("\n");
        for (let i = 0; i < count; i += 1) out.push(copy(body, name, i));
      }
    }
    if (nested) throw new Error("unroll: for without end");
    return out;
  };
  return block(false).join("\n");
}

/** `$j` may be followed by a suffix as in `$ju`, so the name ends where it ends. */
const copy = (body: string, name: string, i: number): string =>
  body
    .replaceAll(`$${name}.even`, `${2 * i}`)
    .replaceAll(`$${name}.odd`, `${2 * i + 1}`)
    .replaceAll(`$${name}`, `${i}`);
