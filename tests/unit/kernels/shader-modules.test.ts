import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { stripShader } from "../../../shaders/build/strip.mjs";
import remember from "../../../shaders/pages/lib/remember.wgsl";
import { moduleOf } from "../../../src/gpu/kernel.ts";
import { unroll } from "../../../src/kernels/unroll.ts";

const folder = fileURLToPath(new URL("../../../shaders", import.meta.url));
const shaders = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".wgsl"))
  .map((name) => readFileSync(`${folder}/${name}`, "utf8"));

describe("stripShader", () => {
  it("drops comments and spaces, but for those that keep tokens apart", () => {
    const code = `
      // words
      fn f(a: i32) -> i32 {
        let b = a - -1; // two signs
        return select( 0, a, b > = 1 ) / 2;
      }`;
    expect(stripShader(code)).toBe("fn f(a:i32)->i32{let b=a- -1;return select(0,a,b> =1)/2;}");
  });

  it("leaves instructions on lines of their own", () => {
    const code = "let x = 1u;\n  //: for h\n  let acc$h = x +\n    $hu;\n  //: end\nreturn;";
    expect(stripShader(code)).toBe("let x=1u;\n//: for h\nlet acc$h=x+$hu;\n//: end\nreturn;");
  });

  it("keeps every token of this repository's shaders, also once loops are written out", () => {
    const words = (code: string): string[] =>
      code.replace(/\/\/(?!:).*/g, "").match(/[A-Za-z_]\w*|\d[\w.]*|[^\s\w]/g) ?? [];
    const counts = Object.fromEntries([..."cdeghijmnorsv"].map((name, i) => [name, 1 + (i % 3)]));
    for (const code of shaders) {
      const [before, after] = [code, stripShader(code)].map(
        (text) => unroll(text, { ...counts, cached: 1 })[0]!,
      );
      expect(words(after!)).toEqual(words(before!));
    }
    expect(shaders.map(stripShader).join("").length).toBeLessThan(0.7 * shaders.join("").length);
  });
});

describe("imports of shaders", () => {
  it("bring each text once, those that others import first", () => {
    const own = (name: string): string => remember.find((text) => text.includes(name)) ?? "";
    const order = [
      "struct Row",
      "struct LayerShape",
      "struct Octet",
      "fn remainder_logit",
      "fn remainder_add(",
    ];
    expect(remember).toEqual(order.map(own));
  });

  it("are held once by a kernel that is joined from several shaders", () => {
    const spec = { label: "twice", code: ["const A = 1u;", remember, ["const B = 2u;"], remember] };
    expect(moduleOf(spec)).toBe(["const A = 1u;", ...remember, "const B = 2u;"].join("\n"));
  });
});
