import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TINY_MODELS, type TinyName, tinyModel } from "../reference/tiny-model/tiny-model.ts";

describe("tinyModel", () => {
  // The fixtures' logits belong to these very bytes; `generate.py tiny` makes both anew.
  it.each(Object.keys(TINY_MODELS) as TinyName[])(
    "%s is the file its fixture was made from",
    (name) => {
      const url = new URL(`../model/fixtures/tiny-${name}.json`, import.meta.url);
      const fixture = JSON.parse(readFileSync(url, "utf8")) as { gguf_sha256: string };
      const sha256 = createHash("sha256").update(tinyModel(name)).digest("hex");
      expect(sha256).toBe(fixture.gguf_sha256);
    },
  );
});
