import { describe, expect, it } from "vitest";
import { minifyShader, shortNames } from "../../shaders/build/minify.ts";
import { allShaders, wordsOfKernels } from "../../shaders/build/vite-plugin.ts";
import { ofSource } from "../../src/kernels/page-code.ts";
import { unroll } from "../../src/kernels/unroll.ts";

const none = new Map<string, string>();
const minified = (code: string, ...taken: string[]): string =>
  minifyShader(code, shortNames([code], new Set(taken)));

describe("minifyShader", () => {
  it("drops comments and spaces, but for those that keep tokens apart", () => {
    const code = `
      // words
      fn f(a: i32) -> i32 {
        let b = a - -1; // two signs
        return select( 0, a, b > = 1 ) / 2;
      }`;
    expect(minifyShader(code, none)).toBe(
      "fn f(a:i32)->i32{let b=a- -1;return select(0,a,b> =1)/2;}",
    );
  });

  it("leaves instructions on lines of their own", () => {
    const code = "let x = 1u;\n  //: for h\n  let acc$h = x +\n    $hu;\n  //: end\nreturn;";
    expect(minifyShader(code, none)).toBe(
      "let x=1u;\n//: for h\nlet acc$h=x+$hu;\n//: end\nreturn;",
    );
  });
});

describe("shortNames", () => {
  it("gives a name one short name wherever it is", () => {
    const code =
      "struct Pair { first: f32, second: f32, }\nfn sum_of(pair: Pair) -> f32 { return pair.first + pair.second; }";
    const out = minified(code);
    const [, type, first, second] = /^struct (\w)\{(\w):f32,(\w):f32,\}/.exec(out)!;
    expect(out).toMatch(
      new RegExp(`fn \\w\\((\\w):${type}\\)->f32\\{return \\1\\.${first}\\+\\1\\.${second};\\}$`),
    );
    expect(new Set([type, first, second]).size).toBe(3);
  });

  it("keeps what WGSL defines, members of vectors, entry points and the words it is told", () => {
    const code =
      "fn main(@builtin(workgroup_id) group: vec3<u32>) { let length = length(vec2(1.0)); let HEAD_DIM = group.xyz; }";
    expect(minified(code, "HEAD_DIM")).toBe(
      "fn main(@builtin(workgroup_id)group:vec3<u32>){let length=length(vec2(1.0));let HEAD_DIM=group.xyz;}",
    );
  });

  it("keeps names that are made of others: of a binding's name, and by counting", () => {
    const code = `fn source_octet(unit: u32) -> u32 { return pages_octet(unit); }
      fn own_octet(a0: u32) { let acc$h = 1u; let total$h_low = acc0; let cuts = acc$h; }`;
    const names = shortNames([code], new Set());
    expect([...names.keys()].sort()).toEqual(["cuts", "total", "unit"]);
    expect(minifyShader("total$h_low", names)).toMatch(/^[b-zA-Z]\$h_low$/);
  });

  it("takes no name that is there already, in any shader or outside", () => {
    const names = shortNames(["let a = b; let longest = 1;", "let c0 = 1;"], new Set(["d"]));
    expect(names).toEqual(new Map([["longest", "e"]]));
  });
});

describe("the shaders of this repository", () => {
  const shaders = allShaders();
  const names = shortNames(shaders, wordsOfKernels());
  const back = new Map([...names].map(([long, short]) => [short, long]));
  const words = (code: string): string[] =>
    code.replace(/\/\/(?!:).*/g, "").match(/[A-Za-z_]\w*|\d[\w.]*|[^\s\w]/g) ?? [];
  const restored = (code: string): string[] =>
    words(code).map((word) => word.replace(/^[A-Za-z]+(?=$|\d)/, (name) => back.get(name) ?? name));

  it("are the same, token for token, once loops are written out and the names are put back", () => {
    expect(back.size).toBe(names.size);
    const counts = {
      c: 2,
      cached: 1,
      d: 3,
      e: 2,
      g: 2,
      h: 3,
      i: 2,
      j: 4,
      m: 2,
      n: 4,
      o: 2,
      r: 2,
      s: 2,
      v: 2,
    };
    for (const code of shaders) {
      const [before, after] = [code, minifyShader(code, names)].map((text) => unroll(text, counts));
      expect(restored(after!)).toEqual(words(before!));
    }
  });

  it("are the same, too, where page code is written for a binding", () => {
    const paged = shaders.filter((code) => code.includes("source"));
    expect(paged.length).toBeGreaterThan(3);
    for (const code of paged)
      expect(restored(ofSource(minifyShader(code, names), "pages"))).toEqual(
        words(ofSource(code, "pages")),
      );
  });

  it("lose more than two fifths of their bytes", () => {
    const length = (all: readonly string[]): number => all.join("").length;
    const after = length(shaders.map((code) => minifyShader(code, names)));
    expect(after).toBeLessThan(0.6 * length(shaders));
    expect(names.size).toBeGreaterThan(200);
  });
});
