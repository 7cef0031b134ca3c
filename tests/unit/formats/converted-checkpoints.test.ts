/** config.json and the tensors' names of a checkpoint, against the GGUF that llama.cpp's converter made of it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { configMetadata } from "../../../src/formats/checkpoint/hub-config.ts";
import type { HubConfig } from "../../../src/formats/checkpoint/hub-fields.ts";
import { ggufName } from "../../../src/formats/checkpoint/hub-tensors.ts";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { findTensors } from "../../../src/model/tensors.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";

const file = (name: string) => new URL(`../../model/fixtures/converted-${name}`, import.meta.url);

describe.each(["granite", "phi3"])("%s", async (name) => {
  const { checkpoint } = JSON.parse(readFileSync(file(`${name}.json`), "utf8")) as {
    checkpoint: { config: HubConfig; names: string[] };
  };
  const source = new MemorySource(new Uint8Array(readFileSync(file(`${name}.gguf`))), "a.gguf");
  const gguf = await parseGguf(source);
  const { metadata, ropeFactors } = configMetadata(checkpoint.config);
  const all = new Map([...metadata, ["general.architecture", name] as const]);

  it("has the same numbers", () => {
    const { name: _, ...wanted } = configOf(gguf);
    const { name: __, ...found } = configOf({ ...gguf, metadata: all });
    // A GGUF's are f32.
    const rounded = (_key: string, value: unknown) =>
      typeof value === "number" ? Number(value.toPrecision(6)) : value;
    expect(JSON.parse(JSON.stringify(found, rounded))).toEqual(
      JSON.parse(JSON.stringify(wanted, rounded)),
    );
  });

  it("has the same tensors", async () => {
    const mapped = checkpoint.names.map((key) => ggufName(key, name)!);
    const all = new Set([...mapped, ...Object.keys(ropeFactors)]);
    // Tied to the embedding.
    all.delete("output.weight");
    expect([...all].sort()).toEqual([...gguf.tensors.keys()].sort());
    const { ropeFactors: converted } = findTensors(source, gguf, configOf(gguf));
    const long = ropeFactors["rope_factors_long.weight"];
    expect(await converted?.read()).toEqual(long);
  });
});

describe("Phi's config.json of before 2026", () => {
  const old = {
    model_type: "phi3",
    hidden_size: 3072,
    num_hidden_layers: 32,
    num_attention_heads: 24,
    num_key_value_heads: 8,
    intermediate_size: 8192,
    max_position_embeddings: 131072,
    original_max_position_embeddings: 4096,
    partial_rotary_factor: 0.75,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    sliding_window: 262144,
    rope_scaling: {
      type: "longrope",
      long_factor: new Array(48).fill(2),
      short_factor: new Array(48).fill(1),
    },
  };

  it("is read alike", () => {
    const { metadata, ropeFactors } = configMetadata(old);
    expect(Object.fromEntries(metadata)).toMatchObject({
      "phi3.attention.key_length": 128,
      "phi3.attention.sliding_window": 262144,
      "phi3.rope.dimension_count": 96,
      "phi3.rope.scaling.type": "longrope",
      "phi3.rope.scaling.original_context_length": 4096,
      "phi3.rope.scaling.attn_factor": Math.sqrt(1 + Math.log(32) / Math.log(4096)),
    });
    expect(ropeFactors["rope_factors_short.weight"]).toHaveLength(48);
  });

  it.each<[string, object, string]>([
    ["no divisors", { rope_scaling: { type: "longrope" } }, "long_factor"],
    [
      "divisors of zero",
      { rope_scaling: { ...old.rope_scaling, short_factor: [0] } },
      "short_factor",
    ],
    ["no first context", { original_max_position_embeddings: undefined }, "original_max"],
    ["a share of a head above 1", { partial_rotary_factor: 2 }, "partial_rotary_factor"],
    ["another scaling", { rope_scaling: { type: "yarn" } }, "yarn"],
  ])("%s is refused by name", (_, changes, message) => {
    expect(() => configMetadata({ ...old, ...changes })).toThrow(new RegExp(message));
  });
});
