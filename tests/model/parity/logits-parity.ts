import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";

/** Written by tests/reference/oracles/oracle_logits.py: fp32 PyTorch on the dequantised weights. */
export interface LogitsFixture {
  probe_ids: number[];
  prompts: {
    name: string;
    tokens: number[];
    top: { ids: number[]; logits: number[] };
    probes: number[];
    logsumexp: number;
    greedy: { tokens: number[]; margins: number[] };
  }[];
}

export interface Parity {
  /** File in fixtures/. */
  fixture: string;
  load: () => Promise<InferenceEngine>;
  /** Largest difference of a logit. */
  tolerance: number;
  /** Below this margin between the best two tokens, either may win. */
  clear: number;
}

export const readLogits = (file: string): LogitsFixture =>
  JSON.parse(readFileSync(new URL(`../fixtures/${file}`, import.meta.url), "utf8"));

const argmax = (values: Float32Array): number =>
  values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);

/** Prompt path, decode path and greedy continuations of a fixture's prompts, with a full cache. */
export function describeParity(name: string, { fixture: file, load, tolerance, clear }: Parity) {
  const fixture = readLogits(file);
  describe(name, () => {
    let engine: InferenceEngine;
    let conversation: Conversation;

    beforeAll(async () => {
      engine = await load();
      conversation = engine.conversation("parity");
    });
    afterAll(() => engine?.close());

    const difference = (logits: Float32Array, prompt: LogitsFixture["prompts"][number]): number => {
      const wanted = [
        ...prompt.top.ids.map((id, i) => [id, prompt.top.logits[i]!] as const),
        ...fixture.probe_ids.map((id, i) => [id, prompt.probes[i]!] as const),
      ];
      return Math.max(...wanted.map(([id, logit]) => Math.abs(logits[id]! - logit)));
    };

    const short = fixture.prompts.filter(({ tokens }) => tokens.length <= 40);
    test("five prompts are there, three of them short", () => {
      expect(fixture.prompts).toHaveLength(5);
      expect(short.map(({ tokens }) => tokens.length)).toEqual([1, 7, 40]);
    });

    test.each(short)("decode path: $name", async (prompt) => {
      const worst = difference(await conversation.logits(prompt.tokens, { chunk: 1 }), prompt);
      console.log(`${prompt.name} (${prompt.tokens.length}), decode path: ${worst.toFixed(5)}`);
      expect(worst).toBeLessThanOrEqual(tolerance);
    });

    // The fixture's own tokens are fed, so that one close call does not end the comparison.
    test.each(fixture.prompts)("prompt path, greedy continuation: $name", async (prompt) => {
      const { tokens, greedy } = prompt;
      const { gpu, pool, runner, prompts } = engine.internals.state;
      const { buffers } = runner.transformer;
      const read = () => gpu.read(buffers.logits, 0, engine.internals.config.vocabulary * 4);
      const sequence = new KvSequence(pool, resolveCacheSettings({ budget: "full" }));
      let logits: Promise<ArrayBuffer> | undefined;
      await prompts.read(sequence, tokens, ({ taken: chunk, last }) => {
        if (!last) return;
        runner.submitHead(1, chunk.length - 1);
        logits = read();
      });
      const worst = difference(new Float32Array(await logits!), prompt);
      console.log(`${prompt.name} (${tokens.length}), prompt path: ${worst.toFixed(5)}`);
      expect(worst).toBeLessThanOrEqual(tolerance);
      const wrong: number[] = [];
      for (const [i, token] of greedy.tokens.entries()) {
        const best = argmax(new Float32Array(await logits!));
        if (best !== token && greedy.margins[i]! > clear) wrong.push(i);
        if (i === greedy.tokens.length - 1) break;
        runner.submitToken(sequence, token, runner.transformer.head(1));
        logits = read();
      }
      sequence.free();
      expect(wrong).toEqual([]);
    });
  });
}
